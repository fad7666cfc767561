/** Far more than the row of one user needs. */
const MAX_LINE_BYTES = 64 * 1024

const LINE_FEED = 0x0A
const CARRIAGE_RETURN = 0x0D

/** A line without its line break. */
export interface Line {
  /** From 1. */
  line: number
  text: string
  /** Why the line cannot be read, as a clause that can follow `line 3: `. The text is then empty. */
  problem?: string
}

/**
 * Reads the lines of UTF-8 text, with or without a byte order mark. Lines end with LF or CRLF. It holds little in
 * memory, however long the text and its lines are, and nothing of a line that is too long.
 */
export async function * readLines (chunks: AsyncIterable<Buffer>): AsyncGenerator<Line> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let parts: Buffer[] = []
  let size = 0
  let line = 0

  function finish (): Line {
    line++
    const bytes = Buffer.concat(parts)
    const isTooLong = size > MAX_LINE_BYTES
    parts = []
    size = 0
    if (isTooLong) return { line, text: '', problem: `it is longer than ${MAX_LINE_BYTES} bytes` }
    try {
      const text = decoder.decode(bytes.at(-1) === CARRIAGE_RETURN ? bytes.subarray(0, -1) : bytes)
      return { line, text: line === 1 ? text.replace(/^\uFEFF/, '') : text }
    } catch {
      return { line, text: '', problem: 'it is not valid UTF-8' }
    }
  }

  function add (part: Buffer): void {
    size += part.length
    if (size > MAX_LINE_BYTES) parts = []
    else if (part.length > 0) parts.push(part)
  }

  for await (const chunk of chunks) {
    let start = 0
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, start)) {
      add(chunk.subarray(start, end))
      start = end + 1
      yield finish()
    }
    add(chunk.subarray(start))
  }
  if (size > 0) yield finish()
}

/** Bytes: far more than any row of ours. */
const MAX_LINE_BYTES = 64 * 1024

const LINE_FEED = 0x0A
const CARRIAGE_RETURN = 0x0D

/** A line without its end. With a `problem` (the second half of a sentence) it could not be read, and its text is empty. */
export interface Line {
  /** From 1. */
  line: number
  text: string
  problem?: string
}

/**
 * The lines of a text in UTF-8, with or without a byte order mark, that end with LF or CRLF. However long it and its lines are, little of it is held: of a line
 * that is too long, nothing.
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
      return { line, text: '', problem: 'it is no valid UTF-8' }
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

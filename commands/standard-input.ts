/** Bytes: far more than anything that is read from there. */
const MAX_INPUT_BYTES = 64 * 1024

/** All of standard input, or what is enough to see that it is too much. */
export async function readAll (): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    size += chunk.length
    if (size > MAX_INPUT_BYTES) break
  }
  return Buffer.concat(chunks)
}

/** Bytes. Far more than any valid input. */
const MAX_INPUT_BYTES = 64 * 1024

/** Reads standard input. Stops soon after the maximum, so that the caller can see that there is too much. */
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

// What every peer does alike: it says on standard output that it is ready, and ends with the one who started it.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

process.once('SIGTERM', () => process.exit())
// So no peer outlives its parent, however that one ends.
process.stdin.once('close', () => process.exit()).resume()

/** Prints the one line of a peer that listens: `url`, the `headers` of its callers by what they are, and its `login` where it has one. */
export function announce ({ url, headers, login }) {
  process.stdout.write(`${JSON.stringify({ url, headers, login })}\n`)
}

/** The path of a new folder, which is removed when the process ends. */
export function makeTemporaryFolder () {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-peer-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

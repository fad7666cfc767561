// The code that all peers share: a peer prints a line when it is ready, and exits when its parent does.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

process.once('SIGTERM', () => process.exit())
// No peer outlives its parent, however the parent ends.
process.stdin.once('close', () => process.exit()).resume()

/**
 * Prints the line of a peer that listens: its `url`, the `headers` for each kind of request, and its `login` if it has
 * one.
 */
export function announce ({ url, headers, login }) {
  process.stdout.write(`${JSON.stringify({ url, headers, login })}\n`)
}

/** The path of a new folder, which is removed when the process ends. */
export function makeTemporaryFolder () {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-peer-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

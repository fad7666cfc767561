import { createRequire } from 'node:module'
import { findPackageManager } from './package-manager.js'

/**
 * Returns what is wrong with this pair of better-sqlite3 and Node.js, and how to fix it, or undefined if they match.
 * The wrong version ends the process without a message: 13.x has no build for Node.js 20, and 12.x aborts from Node.js
 * 24.19 on (nodejs/node#65446). npm installs the right version of the range in package.json. Other package managers may
 * not.
 * @param sqlite - the version of better-sqlite3.
 * @param node - the version of Node.js.
 */
export function describeMismatch (sqlite: string, node: string): string | undefined {
  const fix = findFix(sqlite, node)
  if (fix === undefined) return undefined
  return `better-sqlite3 ${sqlite} crashes Node.js ${node}; install better-sqlite3@${fix} instead`
}

/** Returns the version of better-sqlite3 to install instead, or undefined if the two match. */
function findFix (sqlite: string, node: string): string | undefined {
  const [sqliteMajor = 0] = sqlite.split('.').map(Number)
  const [nodeMajor = 0, nodeMinor = 0] = node.split('.').map(Number)
  const abortsOn12 = nodeMajor > 24 || (nodeMajor === 24 && nodeMinor >= 19)
  return nodeMajor < 22 && sqliteMajor >= 13 ? '12.11.1' : abortsOn12 && sqliteMajor < 13 ? '13' : undefined
}

/** Throws if the first use of better-sqlite3 would end the process. */
export function assertMatchingBuild (): void {
  const { version } = createRequire(import.meta.url)('better-sqlite3/package.json') as { version: string }
  const { node } = process.versions
  const fix = findFix(version, node)
  if (fix !== undefined) throw new Error(`${describeMismatch(version, node)}: ${findPackageManager().pin(fix)}`)
}

import type { Store } from './store.js'

/** Milliseconds for which one look at the file is good, within a turn of the event loop. */
const LOOK_HOLDS = 1

/** Of all files that this process writes. */
let commits = 0

/** Says that this process has committed: what is open beside it on the same file looks again. */
export function noteCommit (): void {
  commits++
}

/**
 * Tells what other processes have committed to a file, by the number that SQLite counts their commits with (PRAGMA data_version).
 * To read it takes a look at the file, several system calls, so that one look serves what comes in the same turn of the event loop: the
 * requests that the kernel reported together, all of them sent before the look. Those that it reports before and reads later (the rest
 * of a request that had begun; more than a thousand connections in one turn) are why a look grows old all the same.
 * @param readVersion - throws where the file cannot be looked at.
 */
export function createFileChanges (readVersion: () => unknown): Pick<Store, 'changed' | 'asOf'> & { forget (): void } {
  let version = readVersion()
  let told = version
  let lookedAt = performance.now()
  let toldAt = lookedAt
  let isThisTurn = false
  let seenCommits = commits

  function forget (): void {
    isThisTurn = false
  }

  function look (): void {
    const now = performance.now()
    if (isThisTurn && seenCommits === commits && now - lookedAt < LOOK_HOLDS) return
    version = readVersion()
    lookedAt = now
    seenCommits = commits
    if (isThisTurn) return
    isThisTurn = true
    setImmediate(forget)
  }

  return {
    changed () {
      look()
      toldAt = lookedAt
      if (version === told) return false
      told = version
      return true
    },
    asOf () {
      try {
        look()
        if (version === told) toldAt = lookedAt
      } catch {
        // `changed` throws it: here it is only asked since when.
      }
      return toldAt
    },
    forget
  }
}

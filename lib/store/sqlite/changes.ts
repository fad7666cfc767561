import type { Store } from '../store.js'

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
 * To read it takes a look at the file, several system calls, so that one look serves what comes in the same turn of the event loop, and a
 * millisecond at most: by so much a commit of another process may be missed. Requests that the kernel reports together were sent before the
 * look that they share; but one may have begun before and end after it, a thousand connections are reported in parts, and a look that
 * was made for something else (a timer, a commit of ours) is followed by requests.
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

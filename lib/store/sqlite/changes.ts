import type { Store } from '../store.js'

/** Milliseconds for which one look at the file is valid, within one turn of the event loop. */
const LOOK_HOLDS = 1

/** How often this process has committed, to any file. */
let commits = 0

/** Counts a commit of this process, so that its other stores on the same file look again. */
export function noteCommit (): void {
  commits++
}

/**
 * Reports what other processes have committed to a file. SQLite counts their commits (PRAGMA data_version). Reading
 * that number takes several system calls. So one look at the file serves all requests in the same turn of the event
 * loop, for at most a millisecond. For that long, a commit of another process may go unnoticed.
 *
 * Usually the requests that the kernel reports together were sent before the look that they share. There are three
 * exceptions, and the millisecond limits them. A request may begin before the look and end after it. The kernel reports
 * a thousand connections in several parts. A look for something else (a timer, a commit of this process) may come
 * before the requests of its turn.
 * @param readVersion - throws if it cannot read the file.
 */
export function createFileChanges (readVersion: () => unknown): Pick<Store, 'changed' | 'asOf'> & { forget (): void } {
  let version = readVersion()
  let reported = version
  let lookedAt = performance.now()
  let reportedAt = lookedAt
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
      reportedAt = lookedAt
      if (version === reported) return false
      reported = version
      return true
    },
    asOf () {
      try {
        look()
        if (version === reported) reportedAt = lookedAt
      } catch {
        // `changed` throws this error. This method only returns the moment of the last success.
      }
      return reportedAt
    },
    forget
  }
}

import { LatchkeyError } from '../errors.js'
import type { Follower } from '../store/change-follower.js'

/** How often it is tried to catch up with other processes that commit all the time, before it counts as a failure. */
const ATTEMPTS = 100

/**
 * The moment up to which everything acknowledged is in the store, for whoever reads it from now on, and in the keyring. Rejects with
 * `revocation_unknown` where that cannot be told.
 * @param stopwatch - `performance.now`: what `Follower.asOf` counts in.
 */
export async function reachMoment (follower: Follower, stopwatch: () => number): Promise<number> {
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      // Before the look, not after it: a commit may fall between the two.
      const before = stopwatch()
      const refreshing = follower.refresh()
      if (refreshing === undefined) return Math.min(before, follower.asOf())
      await refreshing
    }
  } catch (cause) {
    throw new LatchkeyError('revocation_unknown', { cause, retryAfter: 1 })
  }
  throw new LatchkeyError('revocation_unknown', { cause: new Error('Other processes commit faster than can be read'), retryAfter: 1 })
}

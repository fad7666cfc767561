import { LatchkeyError } from '../errors.js'
import type { Follower } from '../store/change-follower.js'

/** How many times it tries to catch up with other processes that commit all the time, before it gives up. */
const ATTEMPTS = 100

/**
 * Returns the moment up to which everything that was acknowledged is in the store, for all later reads, and in the
 * keyring. Rejects with `revocation_unknown` if that is unknown.
 * @param stopwatch - `performance.now`, the clock of `Follower.asOf`.
 */
export async function reachMoment (follower: Follower, stopwatch: () => number): Promise<number> {
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      // The time is read first, because a commit may happen between the two.
      const before = stopwatch()
      const refreshing = follower.refresh()
      if (refreshing === undefined) return Math.min(before, follower.asOf())
      await refreshing
    }
  } catch (cause) {
    throw new LatchkeyError('revocation_unknown', { cause, retryAfter: 1 })
  }
  const cause = new Error('Other processes commit faster than this one can read')
  throw new LatchkeyError('revocation_unknown', { cause, retryAfter: 1 })
}

import type { Follower } from '../store/change-follower.js'

/** How old the index of revocations is. */
interface IndexAge {
  /** Seconds since the index was last known to hold every revocation in the store, to the millisecond. */
  seconds: number
  /** Why it could not be brought up to date. */
  error?: unknown
}

/**
 * Measures how old the index is. Requests bring it up to date when they need it. Without requests it may be old, which
 * does no harm, so the function brings it up to date before it measures. An age beyond the bound then shows how long
 * this has failed.
 */
export type LookAtIndex = () => Promise<IndexAge>

/** Creates the function. Call it when the rules have just been loaded. */
export function createIndexLook (follower: Pick<Follower, 'refresh' | 'asOf'>): LookAtIndex {
  let complete = performance.now()

  function measure (): number {
    complete = Math.max(complete, follower.asOf())
    return Math.round(performance.now() - complete) / 1_000
  }

  return async function look () {
    try {
      await follower.refresh()
    } catch (error) {
      return { seconds: measure(), error }
    }
    return { seconds: measure() }
  }
}

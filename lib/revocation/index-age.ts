import type { Follower } from '../store/change-follower.js'

/** What a look at the index of revocations has found. */
export interface IndexAge {
  /** Seconds since the index was last known to hold every revocation in the store, to the millisecond. */
  seconds: number
  /** Why it could not be brought up to date. */
  error?: unknown
}

/**
 * Looks how old the index is. It is brought up to date by the requests that need it; with none of them it is old and nobody is
 * harmed. So the look does it as well: what it finds beyond the bound is how long that has failed.
 */
export type LookAtIndex = () => Promise<IndexAge>

/** Creates the look. The rules have just been loaded. */
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

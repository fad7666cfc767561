import type { Clock } from './clock.js'

/** A clock that follows one elsewhere. */
export interface FollowedClock extends Clock {
  /** Takes over what the other clock has just shown (milliseconds since the epoch). It may be earlier than before. */
  set (time: number): void
}

/**
 * Creates a clock that shows the last known time of another clock, plus what the stopwatch has measured since. A time
 * takes a while to arrive, so the clock is never ahead of the other one, unless that one was set back.
 * @param stopwatch - returns milliseconds since some moment, and is never set back.
 */
export function createFollowedClock (stopwatch: () => number): FollowedClock {
  let known: { time: number, at: number } | undefined
  return {
    now: () => known === undefined ? Date.now() : Math.floor(known.time + stopwatch() - known.at),
    set (time) {
      known = { time, at: stopwatch() }
    }
  }
}

import type { Clock } from './clock.js'

/** A clock that follows another one elsewhere. */
export interface FollowedClock extends Clock {
  /** Takes over what the other clock has just shown (milliseconds since the epoch). It may be earlier than before. */
  set (time: number): void
}

/**
 * Creates a clock that shows the last known time of another clock, plus what the stopwatch has measured since. A time
 * takes a while to arrive, so the clock is never ahead of the other one, unless that one was set back. A wrong time
 * does harm only until the next one arrives.
 * @param stopwatch - returns milliseconds since some moment, and is never set back.
 * @param wall - shown before the first time is known. Default: `Date.now`.
 */
export function createFollowedClock (stopwatch: () => number, wall: () => number = Date.now): FollowedClock {
  let read = wall
  return {
    now: () => Math.floor(read()),
    set (time) {
      const since = stopwatch()
      read = () => time + stopwatch() - since
    }
  }
}

import { readDuration } from '../lib/options/durations.js'

/** The time of an app under test, for the option `now`. It stands still until you advance it. */
export interface TestClock {
  /** Milliseconds since the epoch. */
  (): number
  /**
   * Advances the time by a duration such as `16m` or `30d`, or by milliseconds. Throws a TypeError for anything else,
   * including a negative number.
   */
  advance (duration: string | number): void
}

/**
 * Creates a clock.
 * @param start - milliseconds since the epoch. Default: the current time, so that programs with another clock can
 *   verify the tokens.
 */
export function createTestClock (start: number = Date.now()): TestClock {
  let time = start
  return Object.assign(() => time, {
    advance (duration: string | number) {
      const milliseconds = typeof duration === 'string' ? readDuration(duration) : duration
      if (milliseconds === undefined || !(milliseconds >= 0 && milliseconds < Infinity)) {
        throw new TypeError(
          `advance() takes milliseconds or a duration such as 900s, 15m or 30d, not ${String(duration)}`
        )
      }
      time += milliseconds
    }
  })
}

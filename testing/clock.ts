import { readDuration } from '../lib/options/durations.js'

/** The time of an app under test: the option `now`. Stands still until it is advanced. */
export interface TestClock {
  /** Milliseconds since the epoch. */
  (): number
  /**
   * Goes on by a duration such as `16m` or `30d`, or by milliseconds. Throws a TypeError for anything else: time does not run backwards.
   */
  advance (duration: string | number): void
}

/**
 * Creates a clock.
 * @param start - milliseconds since the epoch. Default: now, so that whoever verifies the tokens by another clock can.
 */
export function createTestClock (start: number = Date.now()): TestClock {
  let time = start
  return Object.assign(() => time, {
    advance (duration: string | number) {
      const milliseconds = typeof duration === 'string' ? readDuration(duration) : duration
      if (milliseconds === undefined || !(milliseconds >= 0 && milliseconds < Infinity)) {
        throw new TypeError(`advance() takes milliseconds or a duration such as 900s, 15m or 30d, and was given ${String(duration)}`)
      }
      time += milliseconds
    }
  })
}

/**
 * The two clocks of a machine. On some machines the stopwatch stands still during suspension. The wall clock can be set
 * forwards and back.
 */
export interface Stopwatches {
  /** Milliseconds since the epoch. */
  wall (): number
  /** Milliseconds since some moment, never set back. */
  stopwatch (): number
}

/** The clocks of this process. */
export const MACHINE: Stopwatches = { wall: () => Date.now(), stopwatch: () => performance.now() }

/** One moment on both clocks. */
export interface Moment {
  wall: number
  stopwatch: number
}

/** Reads both clocks. */
export function readMoment ({ wall, stopwatch }: Stopwatches): Moment {
  return { wall: wall(), stopwatch: stopwatch() }
}

/** Returns the milliseconds since a moment. If the clocks disagree, the longer time counts. */
export function ageOf (moment: Moment, time: Stopwatches): number {
  return Math.max(time.stopwatch() - moment.stopwatch, time.wall() - moment.wall)
}

/** A moment before all others. */
export const NEVER: Moment = { wall: -Infinity, stopwatch: -Infinity }

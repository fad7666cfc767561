/** The two clocks of a machine. A stopwatch stands still while some machines are suspended; a wall clock is set, forwards and back. */
export interface Stopwatches {
  /** Milliseconds since the epoch. */
  wall (): number
  /** Milliseconds since some moment, never set back. */
  stopwatch (): number
}

/** Those of this process. */
export const MACHINE: Stopwatches = { wall: () => Date.now(), stopwatch: () => performance.now() }

/** A moment on both. */
export interface Moment {
  wall: number
  stopwatch: number
}

/** What it is now. */
export function readMoment ({ wall, stopwatch }: Stopwatches): Moment {
  return { wall: wall(), stopwatch: stopwatch() }
}

/** Milliseconds since a moment: by the clock that has seen more go by. */
export function ageOf (moment: Moment, time: Stopwatches): number {
  return Math.max(time.stopwatch() - moment.stopwatch, time.wall() - moment.wall)
}

/** Before everything. */
export const NEVER: Moment = { wall: -Infinity, stopwatch: -Infinity }

/** The time in milliseconds since the epoch. It may be set back. */
export interface Clock {
  now (): number
}

/** The clock of a process: the time of its store. */
export interface StoreClock extends Clock {
  /** Makes the time at least `time`, which must be about now. */
  pass (time: number): void
  /** Returns `time` of the store as a time of this clock. */
  from (time: number): number
}

/** How far the clock of a process may be ahead of its store, in milliseconds. */
const MOST_AHEAD = 1_000

/**
 * Creates the clock of a process. A rule kills the tokens issued before the next millisecond, so `pass` dates the
 * following tokens later. If the store's time steps back, the clock follows, except for steps of up to a second.
 * @param storeTime - `Store.now`.
 */
export function createStoreClock (storeTime: () => number): StoreClock {
  let passed = 0
  function from (time: number): number {
    return passed - time <= MOST_AHEAD ? Math.max(time, passed) : time
  }
  return {
    now: () => from(storeTime()),
    pass (time) { passed = time },
    from
  }
}

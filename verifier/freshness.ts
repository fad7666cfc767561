import { ageOf, readMoment } from '../lib/time/elapsed-time.js'
import type { Moment, Stopwatches } from '../lib/time/elapsed-time.js'

/** The clocks of two machines drift apart by at most this share of the elapsed time. */
const DRIFT = 0.0005

/** Measures how old the known revocations are. */
export interface Freshness {
  /**
   * Records that all revocations are known up to `asOf` milliseconds after the service received the request sent at
   * `sent`. Returns the age of that moment in milliseconds, and whether it is at least as new as the one known before.
   * It is older if the event was delayed on its way.
   */
  learn (sent: Moment, asOf: number): { age: number, isNewest: boolean }
  /** Milliseconds. Infinity if nothing is known yet. */
  age (): number
  /** Whether the age is within the bound. */
  isFresh (): boolean
}

/**
 * Creates the measure. Age counts from the moment at which a request was sent, not from the arrival of its response.
 * Otherwise an attacker who delays responses, or a machine that sleeps, would make old revocations look current.
 * @param bound - milliseconds.
 */
export function createFreshness (time: Stopwatches, bound: number): Freshness {
  let known: Moment | undefined

  function age (): number {
    return known === undefined ? Infinity : ageOf(known, time)
  }

  return {
    learn (sent, asOf) {
      const now = readMoment(time)
      const elapsed = asOf - Math.abs(asOf) * DRIFT
      // Never in the future: a stopwatch may stop while its machine sleeps, so the sum can exceed its current reading.
      const next = {
        wall: Math.min(sent.wall + elapsed, now.wall),
        stopwatch: Math.min(sent.stopwatch + elapsed, now.stopwatch)
      }
      const isNewest = known === undefined || next.stopwatch >= known.stopwatch
      if (isNewest) known = next
      return { age: ageOf(next, time), isNewest }
    },
    age,
    isFresh: () => age() <= bound
  }
}

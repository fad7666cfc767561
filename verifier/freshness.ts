import { ageOf, readMoment } from '../lib/time/elapsed-time.js'
import type { Moment, Stopwatches } from '../lib/time/elapsed-time.js'

/** Two clocks of machines run apart by no more than this, of what goes by. */
const DRIFT = 0.0005

/** How old what is known of the revocations is. */
export interface Freshness {
  /**
   * Takes in that everything is known up to `asOf` milliseconds after the service got the request that was sent at `sent`. Tells how long
   * ago that is, in milliseconds, and whether it is at least as new as what was known: what was held up on its way, and comes late, is not.
   */
  learn (sent: Moment, asOf: number): { age: number, isNewest: boolean }
  /** Milliseconds; Infinity where nothing was learnt yet. */
  age (): number
  /** Whether that is within the bound. */
  isFresh (): boolean
}

/**
 * Creates the measure of freshness. It is measured from the moment at which a request was sent, and not from that at which an answer
 * came: whoever holds answers back, or lets a machine sleep, must not make them look new.
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
      // Nothing is known of the future, whatever a machine that slept says now by its stopwatch.
      const next = { wall: Math.min(sent.wall + elapsed, now.wall), stopwatch: Math.min(sent.stopwatch + elapsed, now.stopwatch) }
      const isNewest = known === undefined || next.stopwatch >= known.stopwatch
      if (isNewest) known = next
      return { age: ageOf(next, time), isNewest }
    },
    age,
    isFresh: () => age() <= bound
  }
}

import type { FeedState } from './messages.js'

/** Thrown if rules that were deleted here may matter again. The receiver must read all rules from the start. */
export class RulesMissing extends Error {
  override readonly name = 'RulesMissing'
}

/**
 * How far a horizon may be below the previous one, in milliseconds. States of two streams overlap, and one of them may
 * be late.
 */
const LATE = 60 * 60 * 1000

/** The time below which this verifier has deleted rules. */
export interface Horizon {
  /** Milliseconds. Every token issued before this time that expires by then is dead, whatever the clock shows. */
  read (): number
  /**
   * Takes the horizon of a state. Throws `RulesMissing` if only a complete reading can help.
   * @param isComplete - whether this stream has just sent every rule of the service.
   */
  take (state: Pick<FeedState, 'horizon'>, isComplete: boolean): void
}

/**
 * Creates the horizon. It does not go back, because rules below it are gone. If the service sends one that is far below
 * it, an earlier state was wrong, or the service has another database.
 */
export function createHorizon (): Horizon {
  let known = 0
  return {
    read: () => known,
    take ({ horizon }, isComplete) {
      if (horizon >= known || isComplete) known = horizon
      else if (known - horizon > LATE) throw new RulesMissing('The horizon of the service went back too far')
    }
  }
}

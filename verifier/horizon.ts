import type { FeedState } from './messages.js'

/** Thrown if rules that were deleted here may be needed again. The receiver must read all rules from the start. */
export class RulesMissing extends Error {
  override readonly name = 'RulesMissing'
}

/** The time below which this verifier has deleted rules. */
export interface Horizon {
  /** Milliseconds. Every token that expires by then is dead, whatever the clock shows. */
  read (): number
  /**
   * Takes the horizon of a state. Throws `RulesMissing` if only a complete reading can help.
   * @param isComplete - whether this stream has just sent every rule of the service.
   */
  take (state: Pick<FeedState, 'horizon' | 'time'>, isComplete: boolean): void
}

/**
 * Creates the horizon. It does not go back, because rules below it are gone. The exception is a service whose own time
 * is below it: then no token would be accepted, because an earlier state was wrong.
 */
export function createHorizon (): Horizon {
  let known = 0
  return {
    read: () => known,
    take ({ horizon, time }, isComplete) {
      if (known <= time) known = Math.max(known, horizon)
      else if (isComplete) known = horizon
      else throw new RulesMissing('The clock of the service was set back: all revocations must be read again')
    }
  }
}

import type { Clock } from '../time/clock.js'
import type { Refusal } from './foreign-tokens.js'

/** Each reason is logged once in this time, in milliseconds. Anyone can send bad tokens, and must not fill the log. */
const INTERVAL = 60_000

/** The part of a logger that is needed. */
export interface RefusalLog {
  info (details: object, message: string): void
}

/** Creates the function that logs why a token of an older system was refused. The log has nothing of the token. */
export function createRefusalReports (
  clock: Clock, log: RefusalLog | undefined
): (reason: Refusal, kid: string | undefined) => void {
  const loggedAt = new Map<string, number>()
  return function report (reason, kid) {
    const now = clock.now()
    // There are few reasons and few keys, so the map stays small.
    const subject = `${kid ?? ''} ${reason}`
    if (now - (loggedAt.get(subject) ?? -Infinity) < INTERVAL) return
    loggedAt.set(subject, now)
    log?.info({ kid, reason }, 'a token of an older system was refused')
  }
}

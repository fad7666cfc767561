import type { AuthenticatedUser } from '../../lib/identity/access-token.js'
import { LatchkeyError } from '../../lib/errors.js'
import { readDuration } from '../../lib/options/durations.js'

/** How many seconds a login may be ahead of our clock. */
const CLOCK_TOLERANCE = 5

/** Returns the seconds of a `maxAge`. Throws a TypeError for anything that is not a duration of whole seconds. */
export function readMaxAge (maxAge: unknown): number {
  const seconds = typeof maxAge === 'string' ? (readDuration(maxAge) ?? 0) / 1_000 : 0
  if (seconds >= 1 && Number.isInteger(seconds)) return seconds
  throw new TypeError("requireRecentLogin() takes a duration of whole seconds, for example '30s', '5m' or '12h'.")
}

/**
 * Returns the user. Throws `insufficient_user_authentication` if the last login is more than `maxAge` seconds ago, or
 * unknown. A login in the future counts as unknown, because the clock must have been set back since then.
 * @param now - milliseconds.
 */
export function assertRecentLogin (user: AuthenticatedUser, maxAge: number, now: number): AuthenticatedUser {
  const { auth_time: loginTime } = user.claims
  // The claim has whole seconds.
  const age = loginTime === undefined ? undefined : Math.floor(now / 1_000) - loginTime
  if (age !== undefined && age <= maxAge && age >= -CLOCK_TOLERANCE) return user
  throw new LatchkeyError('insufficient_user_authentication', { maxAge })
}

import type { Revocations } from '../revocation/revocations.js'
import type { Revocable } from '../revocation/rule-index.js'

/** The part of a verified token that decides when it dies. */
export interface TokenLife {
  revocable: Revocable
  /** The `kid` of the key that verified it. Undefined for a personal access token, which is not signed. */
  kid: string | undefined
  /** Milliseconds: its `exp`. */
  expiresAt: number
  /** Milliseconds: the end of the token or of its key, whichever comes first. */
  diesAt: number
}

/** The errors of a token that is dead by its times. */
export type TimeError = 'token_expired' | 'invalid_token'

/** Returns why a token is dead by its times, or undefined. `now`, `horizon`: milliseconds. */
export function endOf (token: TokenLife, now: number, horizon: number): TimeError | undefined {
  // RFC 7519 section 4.1.4: a token is already expired at `exp`.
  if (now >= token.diesAt) return now >= token.expiresAt ? 'token_expired' : 'invalid_token'
  return endByHorizon(token, horizon)
}

/**
 * Like `endOf`, but lets an expired token through, unless the rule that revoked it may have been purged. A token must
 * also stay dead if the clock was set back.
 */
export function endByHorizon ({ expiresAt, revocable }: TokenLife, horizon: number): TimeError | undefined {
  return expiresAt <= horizon && revocable.issuedAt < horizon ? 'token_expired' : undefined
}

/** Returns why a token is dead by the rules, or undefined. */
export function endByRules (
  { revocable }: TokenLife, { isRevoked, isStolen }: Pick<Revocations, 'isRevoked' | 'isStolen'>
): 'session_stolen' | 'token_revoked' | undefined {
  if (!isRevoked(revocable)) return undefined
  const { sessionId } = revocable
  return sessionId !== undefined && isStolen(sessionId) ? 'session_stolen' : 'token_revoked'
}

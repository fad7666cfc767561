import { LatchkeyError } from '../lib/errors.js'
import type { AccessTokenClaims, AuthenticatedUser } from '../lib/identity/access-token.js'
import type { UserIdKind } from '../lib/identity/user-ids.js'
import { isWellFormed } from '../lib/personal-access-tokens/value.js'
import type { FollowedClock } from '../lib/time/followed-clock.js'
import { createTokenCache } from '../lib/tokens/cache.js'
import { revocationUnknown, toVerifiedKey } from '../lib/tokens/verified-token.js'
import type { SignalOf } from '../lib/tokens/verified-token.js'
import type { Introspection } from './introspection.js'
import type { Reporter } from './reporter.js'

/** The cache holds at most twice this many users. */
const CACHE_HALF = 1_000

/**
 * Asks the service about a personal access token, and returns its owner. It reuses a response for the length of the
 * bound, so a key that was checked recently causes no request.
 */
export type CheckKey = (value: string) => Promise<AuthenticatedUser>

/** Creates the check. */
export function createCheckKey ({
  issuer, audience, clock, introspection, signalOf, userIds, revocationBound, reporter
}: {
  issuer: string
  audience: readonly string[]
  clock: FollowedClock
  introspection: Introspection
  signalOf: SignalOf
  userIds: UserIdKind
  /** Milliseconds: how old an answer may be. */
  revocationBound: number
  reporter: Reporter
}): CheckKey {
  /** The user of each response, so that all uses of a response share one user and one signal. */
  const users = createTokenCache<{ answer: object, user: AuthenticatedUser }>(CACHE_HALF)

  async function ask (value: string): Promise<Record<string, unknown>> {
    try {
      return await introspection.describe(value)
    } catch (cause) {
      if (cause instanceof LatchkeyError) throw new LatchkeyError('invalid_token')
      reporter.failed(cause)
      throw revocationUnknown(cause)
    }
  }

  return async function checkKey (value) {
    if (!isWellFormed(value)) throw new LatchkeyError('invalid_token')
    const answer = await ask(value)
    const known = users.get(value)
    if (known?.answer === answer) return known.user
    const claims = readClaims(answer)
    const isForUs = claims?.iss === issuer && [claims.aud].flat().some(name => audience.includes(name))
    if (claims === undefined || !isForUs) throw new LatchkeyError('invalid_token')
    if (clock.now() >= claims.exp * 1_000) throw new LatchkeyError('token_expired')
    // The answer may be this old, so it may not include the latest rules.
    const { user } = toVerifiedKey(claims, { userIds, signalOf, issuedAt: clock.now() - revocationBound })
    users.set(value, { answer, user })
    return user
  }
}

function readClaims (answer: Record<string, unknown>): AccessTokenClaims | undefined {
  const { iss, sub, aud, client_id: clientId, exp, iat, jti, scope } = answer
  const texts = [iss, sub, clientId, jti, scope, ...[aud].flat()]
  if (!texts.every(text => typeof text === 'string') || !Number.isSafeInteger(exp) || !Number.isSafeInteger(iat)) {
    return undefined
  }
  return { iss, sub, aud, client_id: clientId, exp, iat, jti, scope } as AccessTokenClaims
}

import type { AccessTokenClaims, AuthenticatedUser } from '../identity/access-token.js'
import { isClient } from '../identity/client-ids.js'
import type { UserIdKind } from '../identity/user-ids.js'
import type { Clock } from '../time/clock.js'
import { LatchkeyError } from '../errors.js'
import type { Held, JwtKey } from '../keys/keyring.js'
import type { Revocations } from '../revocation/revocations.js'
import { createTokenCache } from './cache.js'
import { isCanonical, isName, readHeader } from './header.js'
import type { TokenHeader } from './header.js'
import { endByHorizon, endByRules, endOf } from './token-life.js'
import { revocationUnknown, toVerifiedToken } from './verified-token.js'
import type { CheckedToken, SignalOf, VerifiedToken } from './verified-token.js'

/** Seconds by which another machine's clock may be ahead of ours. They count for `iat` and `nbf`, never for `exp`. */
const CLOCK_TOLERANCE = 5

/** The cache holds at most twice this many verified tokens. */
const CACHE_HALF = 10_000

/** How many lookups a token may need before it is refused: one for its key, and one for the time. */
const MOST_DOUBTS = 2

/** A key with its algorithm, type, issuer and audience pinned. */
export type VerificationKey = Pick<JwtKey, 'algorithm' | 'verify'>

/** The keys that tokens are verified with. */
export interface VerificationKeys {
  /** Returns the key with this `kid`, if its tokens may be trusted. */
  find (kid: string, now: number): Held<VerificationKey> | undefined
  /** Registers a listener that forgets what the previous keys have verified. */
  onChange (listener: () => void): void
  /**
   * Looks elsewhere for a key that `find` lacks. Returns undefined if there is nowhere to look, or if it is too early
   * to look again, because anyone can make up a `kid`. Absent if all keys are here.
   */
  seek? (kid: string): Promise<void> | undefined
}

/** Verifies access tokens. */
export interface TokenVerification {
  /**
   * Returns the holder of a token. Throws `invalid_token`, `token_expired`, `token_revoked`, or a 503 if the
   * revocations are unknown. It returns a promise only if it must look something up first: what another process has
   * revoked since the last call, a key that is not here, or a time that is ahead of ours. The promise rejects with the
   * same errors.
   */
  verify (token: string): AuthenticatedUser | Promise<AuthenticatedUser>
  /** Does the same for a token that its holder has sent here, and reports its first use: see `OnUse`. */
  accept (token: string): AuthenticatedUser | Promise<AuthenticatedUser>
  /**
   * Checks a token again that was accepted when its request arrived. It may have expired since then, but must not have
   * been revoked.
   */
  confirm (token: string): AuthenticatedUser | Promise<AuthenticatedUser>
  /**
   * Returns the claims of a token with a good signature, even if it is expired or revoked. Undefined for any other
   * text.
   */
  decode (token: string): AccessTokenClaims | undefined
  /**
   * Brings the revocations up to date, and also the keys if they follow the revocations. Throws or rejects with a 503
   * if that fails.
   */
  refresh (): Promise<void> | undefined
}

/**
 * Brings the keys and the revocations up to date: see `Follower.refresh` of the store. A verifier in another process
 * follows a feed instead.
 */
export interface StateFollower {
  refresh (): Promise<void> | undefined
}

/** Asks for the current time of the store, or of the service that a verifier follows, and sets the clock to it. */
export interface TimeReader {
  readTime (): Promise<void>
}

/**
 * Receives a token that a guard accepts for the first time. It returns false if it cannot record the use now. It then
 * receives the token again at its next use.
 */
export type OnUse = (user: AuthenticatedUser) => boolean

/** Which method of `TokenVerification` was called. */
type Purpose = 'verify' | 'accept' | 'confirm'

/** Looks up something that is needed before a token may be refused. If that does not help, `reason` is logged. */
type Doubt = (() => Promise<void>) & { reason?: string }

/**
 * Creates the verification of access tokens. A cache remembers which tokens have been verified. The times and the
 * revocations are checked with each call.
 * @param horizon - returns the time, in milliseconds, below which revocations have been purged. A token that was issued
 *   before that time and expires by then stays dead even if the clock is set back, because the rule that revoked it may
 *   be gone. Default: 0.
 * @param userIds - a token of a user whose id is not of this kind is invalid. Default: text.
 * @param checkOther - verifies tokens that are not of our own profile. Default: there are none.
 * @param onUse - Default: uses are not reported.
 */
export function createTokenVerification ({
  keys, clock, follower, ledger, revocations, signalOf, userIds = 'text', checkOther,
  horizon = () => 0, onUse = () => true
}: {
  keys: VerificationKeys
  clock: Pick<Clock, 'now'>
  follower: StateFollower
  ledger: TimeReader
  revocations: Pick<Revocations, 'isRevoked' | 'isStolen' | 'additions'>
  signalOf: SignalOf
  userIds?: UserIdKind
  checkOther?: (token: string, header: TokenHeader, now: number) => CheckedToken | undefined
  horizon?: () => number
  onUse?: OnUse
}): TokenVerification {
  const verified = createTokenCache<VerifiedToken>(CACHE_HALF)
  // A verified token must not outlive its key.
  keys.onChange(verified.clear)

  function checkToken (token: string, header: TokenHeader | undefined, now: number): CheckedToken | undefined {
    if (header === undefined) return undefined
    const kid = kidOf(header)
    const held = kid === undefined ? undefined : keys.find(kid, now)
    // One profile or the other, by the key: RFC 8725 section 3.12.
    return checkOwn(token, header, held) ?? checkOther?.(token, header, now)
  }

  function seekKey (header: TokenHeader | undefined, now: number): Doubt {
    const kid = header === undefined ? undefined : kidOf(header)
    const seeking = kid === undefined || keys.find(kid, now) !== undefined ? undefined : keys.seek?.(kid)
    if (seeking === undefined) throw new LatchkeyError('invalid_token')
    return () => seeking
  }

  function verifyNew (token: string, now: number): VerifiedToken | Doubt {
    const header = readHeader(token)
    const checked = checkToken(token, header, now)
    if (checked === undefined) return seekKey(header, now)
    const result = toVerifiedToken(checked, { userIds, signalOf })
    if (now < result.diesAt) verified.set(token, result)
    return result
  }

  function check (token: string, purpose: Purpose): AuthenticatedUser | Doubt {
    const now = clock.now()
    const found = verified.get(token) ?? verifyNew(token, now)
    if (typeof found === 'function') return found
    // Its signature is good, so a clock is wrong. Ours may have been set back since the token was verified.
    const wait = found.startsAt - now / 1000
    if (wait > CLOCK_TOLERANCE) return doubtTime(ledger, wait)
    const end = purpose === 'confirm' ? endByHorizon(found, horizon()) : endOf(found, now, horizon())
    if (end !== undefined) throw new LatchkeyError(end)
    const additions = revocations.additions()
    if (found.clearOf !== additions) {
      const code = endByRules(found, revocations)
      if (code !== undefined) throw revoked(code)
      found.clearOf = additions
    }
    if (purpose === 'accept' && !found.isUsed) found.isUsed = onUse(found.user)
    return found.user
  }

  const refresh = (): Promise<void> | undefined => refreshOrRefuse(follower)

  function decide (token: string, purpose: Purpose): AuthenticatedUser | Promise<AuthenticatedUser> {
    const outcome = check(token, purpose)
    return typeof outcome === 'function' ? resolveDoubt(token, purpose, outcome) : outcome
  }

  async function resolveDoubt (token: string, purpose: Purpose, first: Doubt): Promise<AuthenticatedUser> {
    let doubt = first
    for (let doubts = 0; doubts < MOST_DOUBTS; doubts++) {
      await doubt().catch(error => { throw revocationUnknown(error) })
      // Something may have been revoked meanwhile.
      await refresh()
      const outcome = check(token, purpose)
      if (typeof outcome !== 'function') return outcome
      doubt = outcome
    }
    throw new LatchkeyError('invalid_token', { cause: doubt.reason })
  }

  function refreshAndDecide (token: string, purpose: Purpose): AuthenticatedUser | Promise<AuthenticatedUser> {
    // An app may pass a value from a message, which can be of any type.
    if (typeof token !== 'string') throw new LatchkeyError('invalid_token')
    const refreshing = refresh()
    return refreshing === undefined ? decide(token, purpose) : refreshing.then(() => decide(token, purpose))
  }

  return {
    verify: token => refreshAndDecide(token, 'verify'),
    accept: token => refreshAndDecide(token, 'accept'),
    confirm: token => refreshAndDecide(token, 'confirm'),
    decode (token) {
      return checkToken(token, readHeader(token), clock.now())?.claims
    },
    refresh
  }
}

/** See `TokenVerification.refresh`. */
function refreshOrRefuse (follower: StateFollower): Promise<void> | undefined {
  let refreshing: Promise<void> | undefined
  try {
    refreshing = follower.refresh()
  } catch (error) {
    throw revocationUnknown(error)
  }
  return refreshing?.catch(error => { throw revocationUnknown(error) })
}

/** A guard's challenge reports a stolen session as an invalid token. */
function revoked (code: 'session_stolen' | 'token_revoked'): LatchkeyError {
  return new LatchkeyError(code, { oauth: 'invalid_token' })
}

/** @param wait - seconds until the token is valid. */
function doubtTime (ledger: TimeReader, wait: number): Doubt {
  const reason = `The token is valid in ${Math.round(wait)} s by the clock of this machine`
  return Object.assign(() => ledger.readTime(), { reason })
}

/** Returns the `kid` in a header that a token of our own can have. */
function kidOf ({ members }: TokenHeader): string | undefined {
  const { alg, typ, kid } = members
  const isOurs = typeof alg === 'string' && typ === 'at+jwt' && Object.keys(members).length === 3
  return isOurs && typeof kid === 'string' ? kid : undefined
}

/**
 * Checks a token of our own. Its header is exactly `{ alg, typ, kid }`, names a key of ours, and has that key's
 * algorithm. A header with any other member is refused, so none of them can steer the verification: no `crit`, `b64`,
 * `jwk`, `jku` or `x5u`.
 */
function checkOwn (
  token: string, header: TokenHeader, held: Held<VerificationKey> | undefined
): CheckedToken | undefined {
  if (held === undefined || header.members.alg !== held.key.algorithm || !isCanonical(header)) return undefined
  let payload: unknown
  try {
    payload = held.key.verify(token)
  } catch {
    // The caller does not need to know which check failed, and an attacker should not.
  }
  if (!hasClaimTypes(payload)) return undefined
  return { claims: payload, kid: header.members.kid as string, keyExpiresAt: held.expiresAt, isOwn: true }
}

function hasClaimTypes (payload: unknown): payload is AccessTokenClaims {
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) return false
  const claims = payload as Record<string, unknown>
  return typeof claims.iss === 'string' &&
    isName(claims.sub) && isName(claims.client_id) && isName(claims.jti) &&
    // Every token of a user belongs to a session, and none of a client's own does.
    (isClient({ id: claims.sub, clientId: claims.client_id }) ? claims.sid === undefined : isName(claims.sid)) &&
    typeof claims.scope === 'string' && isOptional(claims.gen, Number.isSafeInteger) &&
    isOptional(claims.auth_time, Number.isSafeInteger) && isOptional(claims.amr, isListOfNames) &&
    isOptional(claims.roles, isListOfNames) &&
    Number.isSafeInteger(claims.exp) && Number.isSafeInteger(claims.iat)
}

function isOptional (claim: unknown, isValid: (claim: unknown) => boolean): boolean {
  return claim === undefined || isValid(claim)
}

function isListOfNames (claim: unknown): boolean {
  return Array.isArray(claim) && claim.every(isName)
}

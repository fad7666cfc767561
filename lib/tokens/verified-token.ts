import type { AccessTokenClaims, AuthenticatedUser } from '../identity/access-token.js'
import { isClient } from '../identity/client-ids.js'
import { timeOfId } from '../identity/ids.js'
import { parseScope } from '../identity/scopes.js'
import { toUserId } from '../identity/user-ids.js'
import type { UserIdKind } from '../identity/user-ids.js'
import { LatchkeyError } from '../errors.js'
import type { Revocable } from '../revocation/rule-index.js'
import type { Revocations } from '../revocation/revocations.js'

/** The claims of a token whose signature, and everything else that cannot change, has been checked. */
export interface CheckedToken {
  claims: AccessTokenClaims
  /** Milliseconds. */
  keyExpiresAt: number
  /** Whether we issued it. Default: false, an older system did. */
  isOwn?: boolean
}

/** A token whose signature and content have been checked, as the cache keeps it. */
export interface VerifiedToken {
  user: AuthenticatedUser
  revocable: Revocable
  /** None of the revocations up to this value of `additions` kills this token. */
  clearOf: number
  /** Whether its first use by its holder was reported. */
  isUsed: boolean
  /** Seconds: its `iat` or its `nbf`, whichever is later. */
  startsAt: number
  /** Milliseconds: its `exp`. */
  expiresAt: number
  /** Milliseconds: the end of the token or of its key, whichever comes first. */
  diesAt: number
}

/**
 * Returns the signal of a token when the app reads it: see `Signals`.
 * @param isTrusted - whether the key that signed the token is still trusted.
 */
export type SignalOf = (token: VerifiedToken, isTrusted: () => boolean) => AbortSignal

/** Throws if a token is dead by its times. `now`, `horizon`: milliseconds. */
export function assertNotOver ({ expiresAt, diesAt, revocable }: VerifiedToken, now: number, horizon: number): void {
  // RFC 7519 section 4.1.4: a token is already expired at `exp`.
  if (now >= diesAt) throw new LatchkeyError(now >= expiresAt ? 'token_expired' : 'invalid_token')
  // Its rule may have been purged, so it must stay dead if the clock was set back.
  if (expiresAt <= horizon && revocable.issuedAt < horizon) throw new LatchkeyError('token_expired')
}

/** Throws if the token, its session, its user or its client was revoked. */
export function assertNotRevoked (
  { revocable }: VerifiedToken, { isRevoked, isStolen }: Pick<Revocations, 'isRevoked' | 'isStolen'>
): void {
  if (!isRevoked(revocable)) return
  const { sessionId } = revocable
  throw sessionId !== undefined && isStolen(sessionId)
    ? new LatchkeyError('session_stolen', { oauth: 'invalid_token' })
    : new LatchkeyError('token_revoked')
}

/** Makes the error for a token that cannot be judged now. */
export function revocationUnknown (cause: unknown): LatchkeyError {
  return new LatchkeyError('revocation_unknown', { cause, retryAfter: 1 })
}

/**
 * Returns what the cache keeps of a token. Throws `invalid_token` if the id of its user is not of this kind.
 * @param signalOf - returns the signal of the token when the app reads it.
 */
export function toVerifiedToken (
  { claims, keyExpiresAt, isOwn = false }: CheckedToken,
  { userIds, signalOf }: { userIds: UserIdKind, signalOf: (token: VerifiedToken) => AbortSignal }
): VerifiedToken {
  const { jti, iat, nbf, exp } = claims
  if (nbf !== undefined && typeof nbf !== 'number') throw new LatchkeyError('invalid_token')
  const named = timeOfId(jti)
  // `iat` has only seconds. Our own `jti` has the milliseconds. It is later than `iat` if the clock was set back: see
  // `dateOf`.
  const isNamed = named !== undefined && (isOwn ? named >= iat * 1000 : Math.floor(named / 1000) === iat)
  return verified(claims, {
    userIds,
    signalOf,
    credential: 'token',
    // The roles of an older system are not ours.
    roles: isOwn ? claims.roles : undefined,
    issuedAt: isNamed ? named : iat * 1000,
    startsAt: Math.max(iat, nbf ?? 0),
    diesAt: Math.min(exp * 1000, keyExpiresAt)
  })
}

/**
 * The same for a personal access token, whose claims are made from what the service says about it.
 * @param issuedAt - milliseconds. A rule for its user that is later means that the service must be asked again.
 */
export function toVerifiedKey (
  claims: AccessTokenClaims,
  { userIds, signalOf, issuedAt }: { userIds: UserIdKind, signalOf: SignalOf, issuedAt: number }
): VerifiedToken {
  return verified(claims, {
    userIds,
    signalOf: key => signalOf(key, () => true),
    credential: 'key',
    roles: claims.roles,
    issuedAt,
    startsAt: 0,
    diesAt: claims.exp * 1000
  })
}

function verified (claims: AccessTokenClaims, { userIds, signalOf, credential, roles, issuedAt, startsAt, diesAt }: {
  userIds: UserIdKind
  signalOf: (token: VerifiedToken) => AbortSignal
  credential: AuthenticatedUser['credential']
  roles: readonly string[] | undefined
  issuedAt: number
  startsAt: number
  diesAt: number
}): VerifiedToken {
  // The claims are shared by every request that carries this token.
  freezeDeeply(claims)
  const { sub, scope, sid: sessionId, jti: tokenId, client_id: clientId, exp } = claims
  // The id of a machine client is text in every app.
  const id = isClient({ id: sub, clientId }) ? sub : toUserId(sub, userIds)
  if (id === undefined) throw new LatchkeyError('invalid_token')
  const user = { id, scopes: Object.freeze(parseScope(scope)), sessionId, tokenId, clientId, credential, claims }
  // It is not enumerable, so that comparing or copying a user does not create it.
  Object.defineProperty(user, 'signal', { get: () => signalOf(token) })
  const token: VerifiedToken = {
    user: Object.freeze(user as typeof user & Pick<AuthenticatedUser, 'signal'>),
    revocable: { tokenId, sessionId, userId: sub, clientId, roles, issuedAt },
    clearOf: -1,
    isUsed: false,
    startsAt,
    expiresAt: exp * 1000,
    diesAt
  }
  return token
}

function freezeDeeply (value: object): void {
  Object.freeze(value)
  for (const member of Object.values(value)) {
    if (typeof member === 'object' && member !== null) freezeDeeply(member)
  }
}

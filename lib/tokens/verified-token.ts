import type { AccessTokenClaims, AuthenticatedUser } from '../identity/access-token.js'
import { isClient } from '../identity/client-ids.js'
import { timeOfId } from '../identity/ids.js'
import { parseScope } from '../identity/scopes.js'
import { toUserId } from '../identity/user-ids.js'
import type { UserIdKind } from '../identity/user-ids.js'
import { LatchkeyError } from '../errors.js'
import type { TokenLife } from './token-life.js'

/** The claims of a token whose signature, and everything else that cannot change, has been checked. */
export interface CheckedToken {
  claims: AccessTokenClaims
  /** The `kid` of the key that verified it. */
  kid: string
  /** Milliseconds. */
  keyExpiresAt: number
  /** Whether we issued it. Default: false, an older system did. */
  isOwn?: boolean
}

/** A token whose signature and content have been checked, as the cache keeps it. */
export interface VerifiedToken extends TokenLife {
  user: AuthenticatedUser
  /** None of the revocations up to this value of `additions` kills this token. */
  clearOf: number
  /** Whether its first use by its holder was reported. */
  isUsed: boolean
  /** Seconds: its `iat` or its `nbf`, whichever is later. */
  startsAt: number
}

/** Returns the signal of a token when the app reads it: see `TokenSignals`. */
export type SignalOf = (token: TokenLife) => AbortSignal

/** Makes the error for a token that cannot be judged now. */
export function revocationUnknown (cause: unknown): LatchkeyError {
  return new LatchkeyError('revocation_unknown', { cause, retryAfter: 1 })
}

/** Returns what the cache keeps of a token. Throws `invalid_token` if the id of its user is not of this kind. */
export function toVerifiedToken (
  { claims, kid, keyExpiresAt, isOwn = false }: CheckedToken,
  { userIds, signalOf }: { userIds: UserIdKind, signalOf: SignalOf }
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
    kid,
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
    signalOf,
    kid: undefined,
    roles: claims.roles,
    issuedAt,
    startsAt: 0,
    diesAt: claims.exp * 1000
  })
}

interface Parts extends Pick<VerifiedToken, 'kid' | 'startsAt' | 'diesAt'> {
  userIds: UserIdKind
  signalOf: SignalOf
  roles: readonly string[] | undefined
  /** Milliseconds. */
  issuedAt: number
}

function verified (
  claims: AccessTokenClaims, { userIds, signalOf, kid, roles, issuedAt, startsAt, diesAt }: Parts
): VerifiedToken {
  // The claims are shared by every request that carries this token.
  freezeDeeply(claims)
  const { sub, scope, sid: sessionId, jti: tokenId, client_id: clientId, exp } = claims
  // The id of a machine client is text in every app.
  const id = isClient({ id: sub, clientId }) ? sub : toUserId(sub, userIds)
  if (id === undefined) throw new LatchkeyError('invalid_token')
  const credential = kid === undefined ? 'key' : 'token'
  const scopes = Object.freeze(parseScope(scope))
  const user = { id, scopes, sessionId, tokenId, clientId, credential, claims } as const
  const revocable = { tokenId, sessionId, userId: sub, clientId, roles, issuedAt }
  const life = { revocable, kid, expiresAt: exp * 1000, diesAt }
  return { ...life, user: withSignal(user, life, signalOf), clearOf: -1, isUsed: false, startsAt }
}

/** Where a user keeps what its signal is made of. */
const kLife = Symbol('latchkey.life')
const kSignalOf = Symbol('latchkey.signalOf')

type WithLife = AuthenticatedUser & { [kLife]: TokenLife, [kSignalOf]: SignalOf }

/** All users share this getter, because an object with a getter of its own is slow. */
function readSignal (this: WithLife): AbortSignal {
  return this[kSignalOf](this[kLife])
}

function withSignal (
  user: Omit<AuthenticatedUser, 'signal'>, life: TokenLife, signalOf: SignalOf
): AuthenticatedUser {
  // Not enumerable, so that a copy or a comparison of users does not read the signal.
  return Object.freeze(Object.defineProperties(user as WithLife, {
    [kLife]: { value: life }, [kSignalOf]: { value: signalOf }, signal: { get: readSignal }
  }))
}

function freezeDeeply (value: object): void {
  Object.freeze(value)
  for (const member of Object.values(value)) {
    if (typeof member === 'object' && member !== null) freezeDeeply(member)
  }
}

import type { UserDirectory } from '../../schemas/host.js'
import { LatchkeyError } from '../errors.js'
import type { AccessTokenClaims, AuthenticatedUser } from '../identity/access-token.js'
import { FIRST_PARTY } from '../identity/client-ids.js'
import { formatScope } from '../identity/scopes.js'
import type { UserIdKind } from '../identity/user-ids.js'
import type { Revocations } from '../revocation/revocations.js'
import type { DeferredWrites } from '../store/deferred-writes.js'
import type { Store } from '../store/store.js'
import type { Clock } from '../time/clock.js'
import { createTokenCache } from '../tokens/cache.js'
import type { StateFollower } from '../tokens/verification.js'
import { revocationUnknown, toVerifiedKey } from '../tokens/verified-token.js'
import type { SignalOf, VerifiedToken } from '../tokens/verified-token.js'
import type { KeyAcceptance } from './key-acceptance.js'
import { findByHash } from './rows.js'
import type { PersonalAccessToken } from './rows.js'
import type { UnknownKeys } from './unknown-keys.js'
import { hashValue, isWellFormed } from './value.js'

/** The cache holds at most twice this many keys. */
const CACHE_HALF = 10_000

/**
 * Milliseconds for which a key is remembered unless a rule revokes it. After that, the key is read again, with any
 * scope that its owner gained and any change that the host made without a rule.
 */
const REMEMBERED = 60_000

/** How precise the time of the last use is, in milliseconds. Each note is a write. */
const USE_PRECISION = 60_000

/** The end of the year 9999: the `exp` of a key that does not expire, because code may turn it into a date. */
const NEVER = Date.UTC(9999, 11, 31, 23, 59, 59)

/** How often one request may read a key, because a revocation arrived during the previous read. */
const MOST_READS = 3

/** What the cache keeps of a key. Times are in milliseconds. */
interface KnownKey extends VerifiedToken {
  readAt: number
  notedAt: number
}

/** What the acceptance depends on. */
interface AcceptanceContext {
  store: Store
  clock: Clock
  follower: StateFollower
  revocations: Revocations
  users: UserDirectory
  userIds: UserIdKind
  issuer: string
  audience: readonly string[]
  signalOf: SignalOf
  unknownKeys: UnknownKeys
  uses: Pick<DeferredWrites<number>, 'note'>
  /** Milliseconds: the longest time that a transaction may run, so that its rule may become visible this much later. */
  longestWrite: number
}

/** Creates the acceptance. */
export function createKeyAcceptance (context: AcceptanceContext): KeyAcceptance {
  const { store, clock, follower, revocations, users, unknownKeys, uses, longestWrite } = context
  const known = createTokenCache<KnownKey>(CACHE_HALF)

  /** Returns what is remembered of a key, unless it must be read again. */
  function recall (value: string): KnownKey | undefined {
    const found = known.get(value)
    if (found === undefined) return undefined
    const additions = revocations.additions()
    // A program that continues to send a revoked key must not cost queries.
    if (found.clearOf !== additions && revocations.isTokenRevoked(found.user.tokenId)) {
      throw new LatchkeyError('token_revoked')
    }
    if (Math.abs(clock.now() - found.readAt) >= REMEMBERED) return undefined
    if (found.clearOf === additions) return found
    // Its owner has changed. Only the store contains the change.
    if (revocations.isRevoked(found.revocable)) return undefined
    found.clearOf = additions
    return found
  }

  function judge (found: KnownKey, mayBeExpired: boolean): AuthenticatedUser {
    const now = clock.now()
    if (now >= found.expiresAt && !mayBeExpired) throw new LatchkeyError('token_expired')
    if (Math.abs(now - found.notedAt) >= USE_PRECISION && uses.note(found.user.tokenId, now)) found.notedAt = now
    return found.user
  }

  async function read (value: string, address: string | undefined): Promise<KnownKey> {
    // A key that was good at its last read works even if others guess from the same address.
    if (known.get(value) === undefined) unknownKeys.assertFew(address)
    const [clearOf, readAt] = [revocations.additions(), clock.now()]
    const key = await store.read(db => findByHash(db, hashValue(value)))
    const owner = key === undefined ? null : await users.find(key.userId)
    if (key === undefined || owner === null) {
      unknownKeys.note(address)
      known.delete(value)
      throw new LatchkeyError('invalid_token')
    }
    const scopes = key.scopes.filter(scope => owner.scopes.includes(scope))
    // A rule may have been dated before `readAt` and become visible later.
    const found = toKnownKey(context, key, {
      scopes, roles: owner.roles, clearOf, readAt, revocableFrom: readAt - longestWrite
    })
    known.set(value, found)
    return found
  }

  async function readUntilSettled (value: string, address: string | undefined): Promise<KnownKey> {
    for (let reads = 0; reads < MOST_READS; reads++) {
      const found = await read(value, address)
      // A revocation may have arrived during the read.
      await refresh()
      if (found.clearOf === revocations.additions() || !revocations.isRevoked(found.revocable)) return found
    }
    throw revocationUnknown(new Error('The account of the key changed during each read'))
  }

  function refresh (): Promise<void> | undefined {
    try {
      return follower.refresh()?.catch(error => { throw revocationUnknown(error) })
    } catch (error) {
      throw revocationUnknown(error)
    }
  }

  function check (
    value: string, address: string | undefined, mayBeExpired: boolean
  ): AuthenticatedUser | Promise<AuthenticatedUser> {
    if (!isWellFormed(value)) throw new LatchkeyError('invalid_token')
    const decide = (): AuthenticatedUser | Promise<AuthenticatedUser> => {
      const found = recall(value)
      return found === undefined
        ? readUntilSettled(value, address).then(found => judge(found, mayBeExpired))
        : judge(found, mayBeExpired)
    }
    const refreshing = refresh()
    return refreshing === undefined ? decide() : refreshing.then(decide)
  }

  return {
    accept: (value, address) => check(value, address, false),
    confirm: (value, address) => check(value, address, true)
  }
}

function toKnownKey (
  { userIds, issuer, audience, signalOf }: AcceptanceContext,
  { id, userId, createdAt, expiresAt }: PersonalAccessToken,
  { scopes, roles, clearOf, readAt, revocableFrom }: {
    scopes: readonly string[]
    roles: readonly string[] | undefined
    clearOf: number
    readAt: number
    revocableFrom: number
  }
): KnownKey {
  const claims: AccessTokenClaims = {
    iss: issuer,
    sub: userId,
    aud: audience.length === 1 ? audience[0] as string : [...audience],
    client_id: FIRST_PARTY,
    exp: Math.floor((expiresAt ?? NEVER) / 1_000),
    iat: Math.floor(createdAt / 1_000),
    jti: id,
    scope: formatScope(scopes),
    ...(roles === undefined || roles.length === 0 ? {} : { roles: [...roles] })
  }
  const verified = toVerifiedKey(claims, { userIds, signalOf, issuedAt: revocableFrom })
  return Object.assign(verified, {
    expiresAt: expiresAt ?? Infinity, diesAt: expiresAt ?? Infinity, clearOf, readAt, notedAt: -Infinity
  })
}

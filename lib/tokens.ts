import type { User } from '../schemas/host.js'
import { isClient } from './clients.js'
import type { Clock } from './clock.js'
import { LatchkeyError } from './errors.js'
import { createId, timeOfId } from './ids.js'
import type { Keyring } from './keyring.js'
import type { PublicJwk } from './keys.js'
import { verifyForeign } from './foreign-tokens.js'
import type { Revocable } from './revocation-index.js'
import type { Revocations } from './revocations.js'
import { formatScope, parseScope } from './scopes.js'
import { createTokenCache } from './token-cache.js'
import { isCanonical, isName, MAX_TOKEN_LENGTH, readHeader } from './token-header.js'
import type { TokenHeader } from './token-header.js'

/**
 * The claims of an access token: RFC 9068 section 2.2, `sid` of OpenID Connect Front-Channel Logout, and the host's own. Those of
 * an older system's token (see `foreign-tokens.ts`) are brought into this form.
 */
export interface AccessTokenClaims {
  iss: string
  sub: string
  aud: string | string[]
  client_id: string
  /** Seconds. */
  exp: number
  /** Seconds. */
  iat: number
  jti: string
  /** Undefined: the token belongs to no session. */
  sid?: string
  scope: string
  [claim: string]: unknown
}

/** What an access token is made of. */
export interface AccessGrant {
  /** Whose `sub` it is: a user's, or that of a client of which it is the own token. */
  user: Pick<User, 'id'>
  sessionId: string | undefined
  clientId: string
  /** The scopes of the access token to be made. */
  scopes: string[]
  /** Milliseconds; decided inside the transaction, so that a rule written after it kills what is made of this grant. */
  issuedAt: number
  /** The host's claims for the access token (option `claims`). */
  claims: Record<string, unknown>
}

/** Who a request comes from: what its access token says, and nothing that would need a query. Frozen. */
export interface AuthenticatedUser {
  /** `sub`. */
  readonly id: string
  readonly scopes: readonly string[]
  /** `sid`. Undefined where the token belongs to no session: a machine client's own, or an older system's. */
  readonly sessionId: string | undefined
  /** `jti`. */
  readonly tokenId: string
  /** `client_id`. */
  readonly clientId: string
  /** All claims of the token, the host's own among them. */
  readonly claims: Readonly<AccessTokenClaims>
}

/** Claims that only Latchkey sets. */
export const RESERVED_CLAIMS = ['iss', 'sub', 'aud', 'client_id', 'exp', 'iat', 'nbf', 'jti', 'sid', 'scope'] as const

/** The claims that every access token must have; a user's must have `sid` too. */
export const REQUIRED_CLAIMS = ['iss', 'sub', 'aud', 'client_id', 'exp', 'iat', 'jti', 'scope'] as const

/** Seconds by which another machine's clock may be ahead of ours: for `iat` and `nbf`, never for `exp`. */
const CLOCK_TOLERANCE = 5

/** At most twice as many verified tokens are remembered. */
const CACHE_HALF = 10_000

interface VerifiedToken {
  user: AuthenticatedUser
  revocable: Revocable
  /** Milliseconds: its `exp`. */
  expiresAt: number
  /** Milliseconds: the end of the token or of its key, whichever comes first. */
  diesAt: number
}

/** What a token says, after its signature and everything else that cannot change was checked. */
interface Checked {
  claims: AccessTokenClaims
  /** Milliseconds. */
  keyExpiresAt: number
}

/** Makes and verifies access tokens. */
export interface Tokens {
  /**
   * Signs an access token for a grant, with the key that signs in this moment. Rejects where it would be too long to be
   * verified, or with a 503 where it cannot be told which key that is.
   */
  sign (grant: AccessGrant): Promise<string>
  /**
   * Who holds this token. Throws `invalid_token`, `token_expired`, `token_revoked`, or a 503 where the revocations cannot be told.
   * Returns a promise only when another process has revoked something since the last call; then it rejects with the same.
   */
  verify (token: string): AuthenticatedUser | Promise<AuthenticatedUser>
  /** The claims of a token that we signed, whether it is expired, revoked or neither; undefined for any other text. */
  decode (token: string): AccessTokenClaims | undefined
  /** The public keys: RFC 7517 section 5. Rejects with a 503 where it cannot be told which they are. */
  readJwks (): Promise<PublicJwk[]>
}

/**
 * Creates the access tokens of one issuer.
 * @param accessTokenTtl - milliseconds.
 * @param catalogue - the scopes that there are.
 */
export function createTokens ({ keyring, issuer, audience, catalogue, accessTokenTtl, clock, revocations }: {
  keyring: Keyring
  issuer: string
  audience: readonly string[]
  catalogue: Readonly<Record<string, string>>
  accessTokenTtl: number
  clock: Clock
  revocations: Revocations
}): Tokens {
  const verified = createTokenCache<VerifiedToken>(CACHE_HALF)
  // What a key has verified must not outlive it.
  keyring.onChange(verified.clear)
  const aud = audience.length === 1 ? audience[0] as string : [...audience]
  const ttlSeconds = Math.floor(accessTokenTtl / 1000)

  function checkToken (token: string, now: number): Checked {
    const header = readHeader(token)
    // One profile or the other, by the key: RFC 8725 section 3.12.
    const checked = header === undefined
      ? undefined
      : checkOwn(token, header, keyring, now) ?? verifyForeign(token, header, { keyring, audience, catalogue, now })
    if (checked === undefined) throw new LatchkeyError('invalid_token')
    return checked
  }

  function verifyNew (token: string, now: number): VerifiedToken {
    const { claims, keyExpiresAt } = checkToken(token, now)
    const latest = now / 1000 + CLOCK_TOLERANCE
    if (claims.iat > latest || (claims.nbf !== undefined && !(typeof claims.nbf === 'number' && claims.nbf <= latest))) {
      throw new LatchkeyError('invalid_token')
    }
    const result = toVerifiedToken(claims, keyExpiresAt)
    if (now < result.diesAt) verified.set(token, result)
    return result
  }

  function check (token: string): AuthenticatedUser {
    const now = clock.now()
    const { user, revocable, expiresAt, diesAt } = verified.get(token) ?? verifyNew(token, now)
    // RFC 7519 section 4.1.4: on or after, not only after.
    if (now >= diesAt) throw new LatchkeyError(now >= expiresAt ? 'token_expired' : 'invalid_token')
    if (revocations.isRevoked(revocable)) throw new LatchkeyError('token_revoked')
    return user
  }

  /** Brings the rules and the keys up to date. */
  function refresh (): Promise<void> | undefined {
    let refreshing: Promise<void> | undefined
    try {
      refreshing = revocations.refresh()
    } catch (error) {
      throw revocationUnknown(error)
    }
    return refreshing?.catch(error => { throw revocationUnknown(error) })
  }

  return {
    async sign (grant) {
      // While the password was being hashed another process may have revoked the key: its tokens would be dead when they arrive.
      await refresh()
      const iat = Math.floor(grant.issuedAt / 1000)
      const token = keyring.signer(clock.now()).sign({
        ...Object.fromEntries(Object.entries(grant.claims).filter(([claim]) => !(RESERVED_CLAIMS as readonly string[]).includes(claim))),
        iss: issuer,
        sub: grant.user.id,
        aud,
        client_id: grant.clientId,
        exp: iat + ttlSeconds,
        iat,
        jti: createId(grant.issuedAt),
        ...(grant.sessionId === undefined ? {} : { sid: grant.sessionId }),
        scope: formatScope(grant.scopes)
      })
      if (token.length > MAX_TOKEN_LENGTH) throw new Error(`An access token of ${token.length} characters was made, more than ${MAX_TOKEN_LENGTH}: too many scopes are granted`)
      return token
    },
    verify (token) {
      const refreshing = refresh()
      return refreshing === undefined ? check(token) : refreshing.then(() => check(token))
    },
    decode (token) {
      try {
        return checkToken(token, clock.now()).claims
      } catch {
        return undefined
      }
    },
    async readJwks () {
      await refresh()
      return keyring.jwks(clock.now())
    }
  }
}

function revocationUnknown (cause: unknown): LatchkeyError {
  return new LatchkeyError('revocation_unknown', { cause, retryAfter: 1 })
}

/**
 * A token of our own: its header is exactly `{ alg, typ, kid }`, names a key of ours and says that key's algorithm. Nothing else
 * that a header can carry is looked at, so nothing in it can steer the verification: no `crit`, `b64`, `jwk`, `jku`, `x5u`.
 */
function checkOwn (token: string, header: TokenHeader, keyring: Keyring, now: number): Checked | undefined {
  const { alg, typ, kid } = header.members
  if (typeof kid !== 'string' || typ !== 'at+jwt' || Object.keys(header.members).length !== 3) return undefined
  const held = keyring.find(kid, now)
  if (held === undefined || alg !== held.key.algorithm || !isCanonical(header)) return undefined
  let payload: unknown
  try {
    payload = held.key.verify(token)
  } catch {
    // Which of the checks failed is nobody's business but the attacker's.
  }
  return hasClaimTypes(payload) ? { claims: payload, keyExpiresAt: held.expiresAt } : undefined
}

function hasClaimTypes (payload: unknown): payload is AccessTokenClaims {
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) return false
  const claims = payload as Record<string, unknown>
  return typeof claims.iss === 'string' &&
    isName(claims.sub) && isName(claims.client_id) && isName(claims.jti) &&
    // Every token of a user belongs to a session, and none of a client's own does.
    (isClient({ id: claims.sub, clientId: claims.client_id }) ? claims.sid === undefined : isName(claims.sid)) &&
    typeof claims.scope === 'string' &&
    Number.isSafeInteger(claims.exp) && Number.isSafeInteger(claims.iat)
}

function toVerifiedToken (claims: AccessTokenClaims, keyExpiresAt: number): VerifiedToken {
  // The claims are shared by every request that carries this token.
  freezeDeeply(claims)
  const { sub, scope, sid, jti, client_id: clientId, iat, exp } = claims
  const named = timeOfId(jti)
  return {
    user: Object.freeze({ id: sub, scopes: Object.freeze(parseScope(scope)), sessionId: sid, tokenId: jti, clientId, claims }),
    revocable: {
      tokenId: jti,
      sessionId: sid,
      userId: sub,
      clientId,
      // `iat` has seconds only; our own `jti` says the millisecond. Whatever else it says is not believed.
      issuedAt: named !== undefined && Math.floor(named / 1000) === iat ? named : iat * 1000
    },
    expiresAt: exp * 1000,
    diesAt: Math.min(exp * 1000, keyExpiresAt)
  }
}

function freezeDeeply (value: object): void {
  Object.freeze(value)
  for (const member of Object.values(value)) {
    if (typeof member === 'object' && member !== null) freezeDeeply(member)
  }
}

import type { Algorithm } from '../schemas/common.js'
import type { Clock } from './clock.js'
import { LatchkeyError } from './errors.js'
import { createId, timeOfId } from './ids.js'
import type { PublicJwk } from './keys.js'
import type { Revocable } from './revocation-index.js'
import type { Revocations } from './revocations.js'
import { formatScope, parseScope } from './scopes.js'
import type { Grant } from './sessions.js'
import { createTokenCache } from './token-cache.js'

/** The claims of an access token: RFC 9068 section 2.2, `sid` of OpenID Connect Front-Channel Logout, and the host's own. */
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
  sid: string
  scope: string
  [claim: string]: unknown
}

/** Who a request comes from: what its access token says, and nothing that would need a query. Frozen. */
export interface AuthenticatedUser {
  /** `sub`. */
  readonly id: string
  readonly scopes: readonly string[]
  /** `sid`. */
  readonly sessionId: string
  /** `jti`. */
  readonly tokenId: string
  /** `client_id`. */
  readonly clientId: string
  /** All claims of the token, the host's own among them. */
  readonly claims: Readonly<AccessTokenClaims>
}

/** A key with its algorithm, type, issuer and audience pinned: what @fastify/jwt makes of a `SigningKey`. */
export interface JwtKey {
  readonly kid: string
  readonly algorithm: Algorithm
  readonly jwk: PublicJwk | null
  sign (claims: AccessTokenClaims): string
  /** The payload of a token whose signature, `alg`, `typ`, `iss` and `aud` are right and whose claims are all there. Throws otherwise. */
  verify (token: string): unknown
}

/** Claims that only Latchkey sets. */
export const RESERVED_CLAIMS = ['iss', 'sub', 'aud', 'client_id', 'exp', 'iat', 'nbf', 'jti', 'sid', 'scope'] as const

/** The claims that every access token must have. */
export const REQUIRED_CLAIMS = ['iss', 'sub', 'aud', 'client_id', 'exp', 'iat', 'jti', 'sid', 'scope'] as const

/** Seconds by which another machine's clock may be ahead of ours: for `iat` and `nbf`, never for `exp`. */
const CLOCK_TOLERANCE = 5

/** Longer than any token that we make, shorter than what is worth decoding. */
const MAX_TOKEN_LENGTH = 8_192

/** At most twice as many verified tokens are remembered. */
const CACHE_HALF = 10_000

interface VerifiedToken {
  user: AuthenticatedUser
  revocable: Revocable
  /** Milliseconds. */
  expiresAt: number
}

/** Makes and verifies access tokens. */
export interface Tokens {
  /** Signs an access token for a grant. Throws where it would be too long to be verified. */
  sign (grant: Grant): string
  /**
   * Who holds this token. Throws `invalid_token`, `token_expired`, `token_revoked`, or a 503 where the revocations cannot be told.
   * Returns a promise only when another process has revoked something since the last call; then it rejects with the same.
   */
  verify (token: string): AuthenticatedUser | Promise<AuthenticatedUser>
  /** The claims of a token that we signed, whether it is expired, revoked or neither; undefined for any other text. */
  decode (token: string): AccessTokenClaims | undefined
  /** The public keys: RFC 7517 section 5. */
  readonly jwks: readonly PublicJwk[]
  /** Every key that verifies, and whether it is the one that signs. Never the keys themselves. */
  listKeys (): Array<{ kid: string, algorithm: Algorithm, signs: boolean }>
}

/**
 * Creates the access tokens of one issuer.
 * @param keys - every one verifies; the last one of `algorithm` signs.
 * @param accessTokenTtl - milliseconds.
 */
export function createTokens ({ keys, algorithm, issuer, audience, accessTokenTtl, clock, revocations }: {
  keys: readonly JwtKey[]
  algorithm: Algorithm
  issuer: string
  audience: readonly string[]
  accessTokenTtl: number
  clock: Clock
  revocations: Revocations
}): Tokens {
  const byKid = new Map(keys.map(key => [key.kid, key]))
  const signingKey = keys.findLast(key => key.algorithm === algorithm)
  if (signingKey === undefined) throw new Error(`There is no ${algorithm} key to sign with`)
  const { kid: signingKid, sign } = signingKey
  const verified = createTokenCache<VerifiedToken>(CACHE_HALF)
  const aud = audience.length === 1 ? audience[0] as string : [...audience]
  const ttlSeconds = Math.floor(accessTokenTtl / 1000)

  function checkSignature (token: string): AccessTokenClaims {
    const key = findKey(token, byKid)
    let payload: unknown
    try {
      payload = key?.verify(token)
    } catch {
      // Which of the checks failed is nobody's business but the attacker's.
    }
    if (!hasClaimTypes(payload)) throw new LatchkeyError('invalid_token')
    return payload
  }

  function verifyNew (token: string, now: number): VerifiedToken {
    const claims = checkSignature(token)
    const latest = now / 1000 + CLOCK_TOLERANCE
    if (claims.iat > latest || (claims.nbf !== undefined && !(typeof claims.nbf === 'number' && claims.nbf <= latest))) {
      throw new LatchkeyError('invalid_token')
    }
    const result = toVerifiedToken(claims)
    if (now < result.expiresAt) verified.set(token, result)
    return result
  }

  function check (token: string): AuthenticatedUser {
    const now = clock.now()
    const { user, revocable, expiresAt } = verified.get(token) ?? verifyNew(token, now)
    // RFC 7519 section 4.1.4: on or after, not only after.
    if (now >= expiresAt) throw new LatchkeyError('token_expired')
    if (revocations.isRevoked(revocable)) throw new LatchkeyError('token_revoked')
    return user
  }

  return {
    sign (grant) {
      const iat = Math.floor(grant.issuedAt / 1000)
      const token = sign({
        ...Object.fromEntries(Object.entries(grant.claims).filter(([claim]) => !(RESERVED_CLAIMS as readonly string[]).includes(claim))),
        iss: issuer,
        sub: grant.user.id,
        aud,
        client_id: grant.clientId,
        exp: iat + ttlSeconds,
        iat,
        jti: createId(grant.issuedAt),
        sid: grant.sessionId,
        scope: formatScope(grant.scopes)
      })
      if (token.length > MAX_TOKEN_LENGTH) throw new Error(`An access token of ${token.length} characters was made, more than ${MAX_TOKEN_LENGTH}: too many scopes are granted`)
      return token
    },
    verify (token) {
      let refreshing: Promise<void> | undefined
      try {
        refreshing = revocations.refresh()
      } catch (error) {
        throw revocationUnknown(error)
      }
      if (refreshing === undefined) return check(token)
      return refreshing.then(() => check(token), error => { throw revocationUnknown(error) })
    },
    decode (token) {
      try {
        return checkSignature(token)
      } catch {
        return undefined
      }
    },
    jwks: keys.map(key => key.jwk).filter(jwk => jwk !== null),
    listKeys: () => keys.map(key => ({ kid: key.kid, algorithm: key.algorithm, signs: key.kid === signingKid }))
  }
}

function revocationUnknown (cause: unknown): LatchkeyError {
  return new LatchkeyError('revocation_unknown', { cause, retryAfter: 1 })
}

/**
 * The key that the header names, where the header is exactly `{ alg, typ, kid }` and says the key's own algorithm. Nothing else
 * that a header can carry is looked at, so nothing in it can steer the verification: no `crit`, `b64`, `jwk`, `jku`, `x5u`.
 */
function findKey (token: string, byKid: ReadonlyMap<string, JwtKey>): JwtKey | undefined {
  if (token.length > MAX_TOKEN_LENGTH) return undefined
  const [encodedHeader, , signature, ...rest] = token.split('.')
  if (encodedHeader === undefined || signature === undefined || rest.length > 0) return undefined
  // One signature has up to 16 spellings that decode alike; only the canonical one is ours.
  if (Buffer.from(signature, 'base64url').toString('base64url') !== signature) return undefined
  const text = Buffer.from(encodedHeader, 'base64url').toString()
  let header: unknown
  try {
    header = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof header !== 'object' || header === null || Object.keys(header).length !== 3) return undefined
  const { alg, typ, kid } = header as Record<string, unknown>
  if (typeof kid !== 'string' || typ !== 'at+jwt') return undefined
  const key = byKid.get(kid)
  if (key === undefined || alg !== key.algorithm) return undefined
  // A member that stands there twice, of which another reader might take the first.
  return JSON.stringify(header) === text ? key : undefined
}

function hasClaimTypes (payload: unknown): payload is AccessTokenClaims {
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) return false
  const claims = payload as Record<string, unknown>
  return typeof claims.iss === 'string' &&
    isName(claims.sub) && isName(claims.client_id) && isName(claims.jti) && isName(claims.sid) &&
    typeof claims.scope === 'string' &&
    Number.isSafeInteger(claims.exp) && Number.isSafeInteger(claims.iat)
}

function isName (claim: unknown): claim is string {
  return typeof claim === 'string' && claim !== ''
}

function toVerifiedToken (claims: AccessTokenClaims): VerifiedToken {
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
    expiresAt: exp * 1000
  }
}

function freezeDeeply (value: object): void {
  Object.freeze(value)
  for (const member of Object.values(value)) {
    if (typeof member === 'object' && member !== null) freezeDeeply(member)
  }
}

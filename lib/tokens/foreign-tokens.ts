import { createHash } from 'node:crypto'
import type { AccessTokenClaims } from '../identity/access-token.js'
import { FIRST_PARTY, isReservedId } from '../identity/client-ids.js'
import type { Held, Keyring, VerifyOnlyJwtKey } from '../keys/keyring.js'
import { BUILT_IN_SCOPES, formatScope, parseScope } from '../identity/scopes.js'
import { isCanonical, isName } from './header.js'
import type { TokenHeader } from './header.js'
import type { CheckedToken } from './verification.js'

// Verifies the tokens of an older system with the keys that were imported for it. These tokens have their own profile.
// No token fits both profiles (RFC 8725 section 3.12), because the kind of key decides, and no key is of both kinds.
// Such tokens contain little: `sub` and `exp`, perhaps `iat`, `iss`, `aud`, and `scope` or `scopes`. They belong to no
// session and to no client.

const HEADER_MEMBERS = ['alg', 'typ', 'kid']
const TYPES: unknown[] = [undefined, 'JWT', 'at+jwt']

/** The last time that a Date can express, in seconds. A later time cannot be written as text. */
const LAST_TIME = 8.64e12

/**
 * The claims in which libraries and services name the kind of a token, and their values for an access token, in lower
 * case.
 */
const KIND_CLAIMS = ['token_type', 'token_use', 'type', 'typ', 'purpose']
const ACCESS_KINDS: unknown[] = ['access', 'access_token', 'bearer', 'jwt', 'at+jwt']

/** Claims of an ID token: OpenID Connect Core sections 2 and 3.3.2.11. */
const ID_TOKEN_CLAIMS = ['nonce', 'at_hash', 'c_hash']

/** What a token of an older system is checked against. */
export interface ForeignRules {
  keyring: Keyring
  /** Our own audience. */
  audience: readonly string[]
  catalogue: Readonly<Record<string, string>>
  /** Milliseconds. */
  now: number
}

/** A token whose signature is right, and what its claims are checked against. */
interface SignedToken extends Pick<ForeignRules, 'audience' | 'catalogue'> {
  token: string
  payload: unknown
  held: Held<VerifyOnlyJwtKey>
}

/**
 * Returns the claims of an older system's token in our form, and when its key expires. Returns undefined if no key
 * vouches for the token.
 */
export function verifyForeign (
  token: string, header: TokenHeader, { keyring, audience, catalogue, now }: ForeignRules
): CheckedToken | undefined {
  const { alg, typ, kid } = header.members
  if (typeof alg !== 'string' || !TYPES.includes(typ) || (kid !== undefined && typeof kid !== 'string')) {
    return undefined
  }
  if (!Object.keys(header.members).every(name => HEADER_MEMBERS.includes(name)) || !isCanonical(header)) {
    return undefined
  }
  for (const held of keyring.findVerifyOnly(alg, kid, now)) {
    const payload = verify(held, token)
    // The signature is right, so no other key can vouch for the token.
    if (payload !== undefined) return judge({ token, payload, held, audience, catalogue })
  }
  return undefined
}

function verify ({ key }: Held<VerifyOnlyJwtKey>, token: string): unknown {
  try {
    return key.verify(token)
  } catch {
    return undefined
  }
}

function judge ({ token, payload, held, audience, catalogue }: SignedToken): CheckedToken | undefined {
  const { key: { key }, expiresAt } = held
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) return undefined
  const { sid: _sid, scopes: _scopes, ...theirs } = payload as Record<string, unknown>
  const { iss, sub, aud, exp, iat } = theirs
  if (!isAccessToken(theirs)) return undefined
  // With a reserved subject, the token would look like a machine client's own.
  if (!isName(sub) || isReservedId(sub) || !isTime(exp) || (iat !== undefined && !isTime(iat))) return undefined
  if (iss !== undefined && typeof iss !== 'string') return undefined
  if (key.issuer !== null && iss !== key.issuer) return undefined
  if (aud !== undefined && !isAudience(aud)) return undefined
  // RFC 7519 section 4.1.3: a token that names its audience is for that audience only.
  const accepted = key.audience === null ? audience : [key.audience]
  if (aud === undefined ? key.audience !== null : ![aud].flat().some(name => accepted.includes(name))) return undefined
  const scopes = readScopes(payload as Record<string, unknown>)
  if (scopes === undefined) return undefined

  const claims: AccessTokenClaims = {
    ...theirs,
    iss: iss ?? '',
    sub,
    aud: aud ?? [],
    client_id: FIRST_PARTY,
    exp: Math.floor(exp),
    // Without a time the token counts as older than every rule, so each rule that matches it kills it.
    iat: Math.floor(iat ?? 0),
    jti: deriveTokenId(token),
    scope: formatScope(scopes.filter(scope => isGranted(scope, key.scopes, catalogue)))
  }
  return { claims, keyExpiresAt: expiresAt }
}

/**
 * Whether claims are those of an access token. Most systems sign refresh tokens, ID tokens and the links in their
 * emails with the same key, and none of these is a login (RFC 8725 section 3.12).
 */
function isAccessToken (claims: Record<string, unknown>): boolean {
  if (ID_TOKEN_CLAIMS.some(name => Object.hasOwn(claims, name))) return false
  return KIND_CLAIMS.every(
    name => !Object.hasOwn(claims, name) || ACCESS_KINDS.includes(String(claims[name]).toLowerCase())
  )
}

/** Whether a claim is a NumericDate (RFC 7519 section 2). Libraries in other languages write fractions too. */
function isTime (claim: unknown): claim is number {
  return typeof claim === 'number' && claim >= 0 && claim <= LAST_TIME
}

function isAudience (claim: unknown): claim is string | string[] {
  return typeof claim === 'string' || (Array.isArray(claim) && claim.every(name => typeof name === 'string'))
}

/**
 * Reads `scope` as in RFC 9068, or `scopes` as in FastAPI's tutorial: a text or a list. Returns undefined if it is
 * neither.
 */
function readScopes ({ scope, scopes }: Record<string, unknown>): string[] | undefined {
  const given = scope ?? scopes ?? ''
  const texts = Array.isArray(given) ? given : [given]
  return texts.every(text => typeof text === 'string') ? parseScope(texts.join(' ')) : undefined
}

/**
 * Whether a token may carry a scope here. The older system decides what its users may do in the app, if the app still
 * has the scope. It does not decide what they may do to Latchkey, because its `users:write` meant something else. An
 * import can allow that.
 */
function isGranted (
  scope: string,
  allowed: readonly string[] | null,
  catalogue: Readonly<Record<string, string>>
): boolean {
  if (!Object.hasOwn(catalogue, scope)) return false
  return allowed === null ? !Object.hasOwn(BUILT_IN_SCOPES, scope) : allowed.includes(scope)
}

/**
 * Derives the id that a token has here, from its signed part. The signature does not count, because others can make a
 * second one. Its `jti` does not count, because a key of an older system could name, and so revoke, a token of ours.
 */
function deriveTokenId (token: string): string {
  return createHash('sha256').update(token.slice(0, token.lastIndexOf('.'))).digest('base64url')
}

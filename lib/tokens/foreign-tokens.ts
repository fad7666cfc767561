import { createHash } from 'node:crypto'
import type { AccessTokenClaims } from '../identity/access-token.js'
import { FIRST_PARTY, isReservedId } from '../identity/client-ids.js'
import type { Leniency } from '../keys/leniency.js'
import type { Held, Keyring, VerifyOnlyJwtKey } from '../keys/keyring.js'
import { BUILT_IN_SCOPES, formatScope, parseScope } from '../identity/scopes.js'
import { readUserId } from '../identity/user-ids.js'
import { isCanonical, isName } from './header.js'
import type { TokenHeader } from './header.js'
import type { CheckedToken } from './verified-token.js'

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
  /** Receives why a token was refused, and the key that signed it, if one did. */
  onRefused: (reason: Refusal, kid: string | undefined) => void
}

/** Why a token of an older system was refused. It contains nothing of the token. */
export type Refusal =
  'its header has members or a typ that such tokens may not have' |
  'no imported key with its alg and kid verifies its signature' |
  'its payload is not a JSON object' |
  'its claims are those of another kind of token, for example a refresh token or an ID token' |
  'its subject claim is missing or not text: see --subject-claim' |
  'its subject is a number: see --numeric-subject' |
  'its subject is reserved for machine clients' |
  'it has no exp: see --max-age' |
  'it has neither exp nor iat, so its age is unknown' |
  'its exp or iat is not a time' |
  'its iss is not the one that the import requires' |
  'its aud is not the one that the import or the service requires' |
  'its scopes are neither text nor a list of texts'

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
  token: string, header: TokenHeader, { keyring, audience, catalogue, now, onRefused }: ForeignRules
): CheckedToken | undefined {
  const { alg, typ, kid } = header.members
  if (
    typeof alg !== 'string' || !TYPES.includes(typ) || (kid !== undefined && typeof kid !== 'string') ||
    !Object.keys(header.members).every(name => HEADER_MEMBERS.includes(name)) || !isCanonical(header)
  ) {
    onRefused('its header has members or a typ that such tokens may not have', undefined)
    return undefined
  }
  for (const held of keyring.findVerifyOnly(alg, kid, now)) {
    const payload = verify(held, token)
    if (payload === undefined) continue
    // The signature is right, so no other key can vouch for the token.
    const outcome = judge({ token, payload, held, audience, catalogue })
    if (typeof outcome !== 'string') return outcome
    onRefused(outcome, held.key.key.kid)
    return undefined
  }
  onRefused('no imported key with its alg and kid verifies its signature', undefined)
  return undefined
}

/** Their sessions are not ours, and their login times can have any unit. */
function withoutOurs (claims: Record<string, unknown>): Record<string, unknown> {
  const { sid: _sid, gen: _gen, auth_time: _authTime, amr: _amr, scopes: _scopes, ...theirs } = claims
  return theirs
}

function verify ({ key }: Held<VerifyOnlyJwtKey>, token: string): unknown {
  try {
    return key.verify(token)
  } catch {
    return undefined
  }
}

function judge ({ token, payload, held, audience, catalogue }: SignedToken): CheckedToken | Refusal {
  const { key: { key }, expiresAt } = held
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) {
    return 'its payload is not a JSON object'
  }
  const theirs = withoutOurs(payload as Record<string, unknown>)
  const { iss, aud, iat } = theirs
  if (!isAccessToken(theirs)) {
    return 'its claims are those of another kind of token, for example a refresh token or an ID token'
  }
  const subject = readSubject(payload as Record<string, unknown>, key.leniency)
  if ('refusal' in subject) return subject.refusal
  const end = readExpiry(theirs, key.leniency)
  if ('refusal' in end) return end.refusal
  if (iat !== undefined && !isTime(iat)) return 'its exp or iat is not a time'
  if ((iss !== undefined && typeof iss !== 'string') || (key.issuer !== null && iss !== key.issuer)) {
    return 'its iss is not the one that the import requires'
  }
  // RFC 7519 section 4.1.3: a token that names its audience is for that audience only.
  const accepted = key.audience === null ? audience : [key.audience]
  if (
    (aud !== undefined && !isAudience(aud)) ||
    (aud === undefined ? key.audience !== null : ![aud].flat().some(name => accepted.includes(name)))
  ) return 'its aud is not the one that the import or the service requires'
  const scopes = readScopes(payload as Record<string, unknown>)
  if (scopes === undefined) return 'its scopes are neither text nor a list of texts'

  const claims: AccessTokenClaims = {
    ...theirs,
    iss: iss ?? '',
    sub: subject.id,
    aud: aud ?? [],
    client_id: FIRST_PARTY,
    exp: end.exp,
    // Without a time the token counts as older than every rule, so each rule that matches it kills it.
    iat: Math.floor(iat ?? 0),
    jti: deriveTokenId(token),
    scope: formatScope(scopes.filter(scope => isGranted(scope, key.scopes, catalogue)))
  }
  return { claims, kid: key.kid, keyExpiresAt: expiresAt }
}

/** Returns the id of the user, from the claim that the import names. */
function readSubject (
  payload: Record<string, unknown>, { subjectClaim = 'sub', numericSubject = false }: Leniency
): { id: string } | { refusal: Refusal } {
  const claim = Object.hasOwn(payload, subjectClaim) ? payload[subjectClaim] : undefined
  const isNumber = typeof claim === 'number'
  if (isNumber && !numericSubject) return { refusal: 'its subject is a number: see --numeric-subject' }
  const id = isNumber ? readUserId(claim, 'integer') : claim
  if (!isName(id)) return { refusal: 'its subject claim is missing or not text: see --subject-claim' }
  // The token would look like a machine client's own.
  return isReservedId(id) ? { refusal: 'its subject is reserved for machine clients' } : { id }
}

/** Returns when the token expires, in seconds. Without `exp` the import can set an age. */
function readExpiry (
  { exp, iat }: Record<string, unknown>, { maxAge }: Leniency
): { exp: number } | { refusal: Refusal } {
  if (exp !== undefined) return isTime(exp) ? { exp: Math.floor(exp) } : { refusal: 'its exp or iat is not a time' }
  if (maxAge === undefined) return { refusal: 'it has no exp: see --max-age' }
  if (iat === undefined) return { refusal: 'it has neither exp nor iat, so its age is unknown' }
  return isTime(iat) ? { exp: Math.floor(iat + maxAge / 1000) } : { refusal: 'its exp or iat is not a time' }
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

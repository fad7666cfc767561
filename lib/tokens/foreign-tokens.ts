import { createHash } from 'node:crypto'
import type { AccessTokenClaims } from '../identity/access-token.js'
import { FIRST_PARTY, isReservedId } from '../identity/client-ids.js'
import type { Held, Keyring, VerifyOnlyJwtKey } from '../keys/keyring.js'
import { BUILT_IN_SCOPES, formatScope, parseScope } from '../identity/scopes.js'
import { isCanonical, isName } from './header.js'
import type { TokenHeader } from './header.js'

// The tokens of an older system, verified with the keys that were imported for it. A profile of its own, with rules that exclude
// those of our tokens (RFC 8725 section 3.12): the kind of key decides, and no key is of both kinds. Such tokens say little:
// `sub` and `exp`, perhaps `iat`, `iss`, `aud`, and `scope` or `scopes`; they belong to no session and to no client.

const HEADER_MEMBERS = ['alg', 'typ', 'kid']
const TYPES: unknown[] = [undefined, 'JWT', 'at+jwt']

/** Seconds: what comes later than the last Date has no text. */
const LAST_TIME = 8.64e12

/** Members in which libraries and services say what kind of token it is, and what they say of an access token, in lower case. */
const KIND_CLAIMS = ['token_type', 'token_use', 'type', 'typ', 'purpose']
const ACCESS_KINDS: unknown[] = ['access', 'access_token', 'bearer', 'jwt', 'at+jwt']

/** Claims of an ID token: OpenID Connect Core sections 2 and 3.3.2.11. */
const ID_TOKEN_CLAIMS = ['nonce', 'at_hash', 'c_hash']

/** What a token of an older system is checked against. */
export interface ForeignRules {
  keyring: Keyring
  /** Ours. */
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

interface ForeignToken {
  claims: AccessTokenClaims
  /** Milliseconds. */
  keyExpiresAt: number
}

/** The claims of an older system's token in the form of ours, and when its key dies; undefined where no key vouches for it. */
export function verifyForeign (
  token: string, header: TokenHeader, { keyring, audience, catalogue, now }: ForeignRules
): ForeignToken | undefined {
  const { alg, typ, kid } = header.members
  if (typeof alg !== 'string' || !TYPES.includes(typ) || (kid !== undefined && typeof kid !== 'string')) return undefined
  if (!Object.keys(header.members).every(name => HEADER_MEMBERS.includes(name)) || !isCanonical(header)) return undefined
  for (const held of keyring.findVerifyOnly(alg, kid, now)) {
    const payload = verify(held, token)
    // Its signature is right: no other key can vouch for it.
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

function judge ({ token, payload, held, audience, catalogue }: SignedToken): ForeignToken | undefined {
  const { key: { key }, expiresAt } = held
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) return undefined
  const { sid: _sid, scopes: _scopes, ...theirs } = payload as Record<string, unknown>
  const { iss, sub, aud, exp, iat } = theirs
  if (!isAccessToken(theirs)) return undefined
  // A subject that is called as a client would look like a machine client's.
  if (!isName(sub) || isReservedId(sub) || !isTime(exp) || (iat !== undefined && !isTime(iat))) return undefined
  if (iss !== undefined && typeof iss !== 'string') return undefined
  if (key.issuer !== null && iss !== key.issuer) return undefined
  if (aud !== undefined && !isAudience(aud)) return undefined
  // RFC 7519 section 4.1.3: a token that says whom it is for is for nobody else.
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
    // Not known: older than every rule, which then kills it.
    iat: Math.floor(iat ?? 0),
    jti: deriveTokenId(token),
    scope: formatScope(scopes.filter(scope => isGranted(scope, key.scopes, catalogue)))
  }
  return { claims, keyExpiresAt: expiresAt }
}

/** Most systems sign refresh tokens, ID tokens and the links of their mails with the same key: none of these is a login (RFC 8725 section 3.12). */
function isAccessToken (claims: Record<string, unknown>): boolean {
  if (ID_TOKEN_CLAIMS.some(name => Object.hasOwn(claims, name))) return false
  return KIND_CLAIMS.every(name => !Object.hasOwn(claims, name) || ACCESS_KINDS.includes(String(claims[name]).toLowerCase()))
}

/** RFC 7519 section 2, NumericDate: libraries of other languages write fractions too. */
function isTime (claim: unknown): claim is number {
  return typeof claim === 'number' && claim >= 0 && claim <= LAST_TIME
}

function isAudience (claim: unknown): claim is string | string[] {
  return typeof claim === 'string' || (Array.isArray(claim) && claim.every(name => typeof name === 'string'))
}

/** `scope` as RFC 9068 has it, or `scopes` as FastAPI's tutorial does: a text or a list. Undefined where it is neither. */
function readScopes ({ scope, scopes }: Record<string, unknown>): string[] | undefined {
  const given = scope ?? scopes ?? ''
  const texts = Array.isArray(given) ? given : [given]
  return texts.every(text => typeof text === 'string') ? parseScope(texts.join(' ')) : undefined
}

/**
 * The older system decides what its users may do in the app, as far as the app still has such a scope. What they may do to
 * Latchkey it does not, unless the import said so: its `users:write` meant something else.
 */
function isGranted (scope: string, allowed: readonly string[] | null, catalogue: Readonly<Record<string, string>>): boolean {
  if (!Object.hasOwn(catalogue, scope)) return false
  return allowed === null ? !Object.hasOwn(BUILT_IN_SCOPES, scope) : allowed.includes(scope)
}

/**
 * Its name here: from what is signed, never from the signature, of which others can make a second one, and not their `jti`, by which a
 * key of an older system could name, and so revoke, a token of ours.
 */
function deriveTokenId (token: string): string {
  return createHash('sha256').update(token.slice(0, token.lastIndexOf('.'))).digest('base64url')
}

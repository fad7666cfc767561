import type { UserId } from '../../schemas/user-ids.js'

/**
 * The claims of an access token: those of RFC 9068 section 2.2, `sid` of OpenID Connect Front-Channel Logout, and the
 * host's own. `foreign-tokens.ts` converts the claims of an older system's token to this form.
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
  /** Undefined if the token belongs to no session. */
  sid?: string
  scope: string
  /** The generation of the session that the token was issued for. Undefined if the token belongs to no session. */
  gen?: number
  /** Seconds: when the user last proved who they are (RFC 9068 section 2.2.1). */
  auth_time?: number
  /** How they did so (RFC 8176). */
  amr?: string[]
  /** The roles that the user holds (RFC 9068 section 2.2.3.1). Undefined: none. */
  roles?: string[]
  [claim: string]: unknown
}

/** The sender of a request, as its access token describes them. Reading it needs no query. The object is frozen. */
export interface AuthenticatedUser {
  /**
   * `sub`. With the option `userIds: 'integer'` it is the integer. In a machine client's own token it is the id of the
   * client, which is always text.
   */
  readonly id: UserId
  readonly scopes: readonly string[]
  /** `sid`. Undefined for a machine client's own token and for an older system's, which belong to no session. */
  readonly sessionId: string | undefined
  /** `jti`. */
  readonly tokenId: string
  /** `client_id`. */
  readonly clientId: string
  /** What the request was authenticated with: an access token, or a personal access token. */
  readonly credential: 'token' | 'key'
  /** All claims of the token, including the host's own. Those of a personal access token have the same form. */
  readonly claims: Readonly<AccessTokenClaims>
  /**
   * Aborts when the token may no longer be used: it was revoked or has expired, or its session, its user, its client or
   * its key has ended. It also aborts if the revocations remain unknown for longer than `revocationBound`. The `reason`
   * is the `LatchkeyError` that a request would get. Use it to close what stays open after the request, such as a
   * WebSocket. It is created when you first read it, and is then kept until the token ends. Read it once: after the
   * token has ended, this is a different object.
   */
  readonly signal: AbortSignal
}

/** Claims that only Latchkey sets. */
export const RESERVED_CLAIMS = [
  'iss',
  'sub',
  'aud',
  'client_id',
  'exp',
  'iat',
  'nbf',
  'jti',
  'sid',
  'scope',
  'status',
  'gen',
  'auth_time',
  'amr',
  'roles'
] as const

/** The claims that every access token must have. A user's token must also have `sid`. */
export const REQUIRED_CLAIMS = ['iss', 'sub', 'aud', 'client_id', 'exp', 'iat', 'jti', 'scope'] as const

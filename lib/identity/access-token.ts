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
export const RESERVED_CLAIMS = ['iss', 'sub', 'aud', 'client_id', 'exp', 'iat', 'nbf', 'jti', 'sid', 'scope', 'status'] as const

/** The claims that every access token must have; a user's must have `sid` too. */
export const REQUIRED_CLAIMS = ['iss', 'sub', 'aud', 'client_id', 'exp', 'iat', 'jti', 'scope'] as const

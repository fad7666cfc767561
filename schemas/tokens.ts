import { Type } from 'typebox'
import type { Static } from 'typebox'
import { ExpiresIn, Password, RefreshToken, Scope, Token, Username } from './common.js'
import { Account } from './users.js'

/** How a client may authenticate in the body: RFC 6749 section 2.3.1. HTTP Basic is the other way. */
const clientCredentials = {
  client_id: Type.Optional(Type.String({ maxLength: 128 })),
  client_secret: Type.Optional(Type.String({ maxLength: 1_024, format: 'password' }))
}

/** The body of `POST /token`. Which members are needed depends on `grant_type`; unknown ones are ignored (RFC 6749 section 3.2). */
export const TokenRequest = Type.Object({
  grant_type: Type.Optional(Type.String({ maxLength: 64, description: 'password, refresh_token or client_credentials. May be left out with a username, as FastAPI clients do.' })),
  username: Type.Optional(Username),
  password: Type.Optional(Password),
  refresh_token: Type.Optional(RefreshToken),
  scope: Type.Optional(Scope),
  ...clientCredentials
})

/** RFC 6749 section 5.1. */
export const TokenResponse = Type.Object({
  access_token: Type.String(),
  token_type: Type.Literal('bearer'),
  expires_in: ExpiresIn,
  refresh_token: Type.Optional(Type.String({ description: 'Not for client_credentials: RFC 6749 section 4.4.3.' })),
  scope: Scope
})

/** The body of `POST /login`. */
export const LoginRequest = Type.Object({
  username: Username,
  password: Password,
  scope: Type.Optional(Scope)
}, { additionalProperties: false })

/** What a browser gets: the tokens are in the cookies, where no script reads them. */
export const LoginResponse = Type.Object({
  user: Account,
  scope: Scope,
  expires_in: ExpiresIn
})

/** The body of `POST /refresh`: an empty object, or nothing, where the refresh token is in the cookie. */
export const RefreshRequest = Type.Object({
  refresh_token: Type.Optional(RefreshToken),
  scope: Type.Optional(Scope)
}, { additionalProperties: false })

/** The body of `POST /revoke`: RFC 7009 section 2.1. */
export const RevokeRequest = Type.Object({
  token: Token,
  token_type_hint: Type.Optional(Type.String({ maxLength: 64 })),
  ...clientCredentials
})

/** The body of `POST /introspect`: RFC 7662 section 2.1. */
export const IntrospectRequest = RevokeRequest

/** The answer of `POST /introspect`: RFC 7662 section 2.2. Nothing but `active` where that is false. */
export const IntrospectResponse = Type.Object({
  active: Type.Boolean(),
  scope: Type.Optional(Scope),
  client_id: Type.Optional(Type.String()),
  token_type: Type.Optional(Type.Literal('bearer')),
  exp: Type.Optional(Type.Integer({ description: 'Seconds.' })),
  iat: Type.Optional(Type.Integer({ description: 'Seconds.' })),
  sub: Type.Optional(Type.String()),
  aud: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String())])),
  iss: Type.Optional(Type.String()),
  jti: Type.Optional(Type.String()),
  sid: Type.Optional(Type.String())
})
export type IntrospectResponse = Static<typeof IntrospectResponse>

/** The body of `POST /logout`: an empty object, or nothing, means `this`. */
export const LogoutRequest = Type.Object({
  target: Type.Optional(Type.Enum(['this', 'others', 'all'], { description: 'Which sessions end: this one, all others, or all.' }))
}, { additionalProperties: false })

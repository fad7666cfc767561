import { Type } from 'typebox'
import type { Static } from 'typebox'
import { ExpiresIn, listNames, Password, RefreshToken, Scope, Token, Username } from './common.js'
import { EXAMPLE, EXAMPLE_ACCOUNT } from './examples.js'
import { describeGrantType, GRANT_TYPES } from './grants.js'
import type { GrantTypeName } from './grants.js'
import { Account } from './users.js'

/** Client authentication in the body (RFC 6749 section 2.3.1). The alternative is HTTP Basic. */
const clientCredentials = {
  client_id: Type.Optional(Type.String({ maxLength: 128 })),
  client_secret: Type.Optional(Type.String({ maxLength: 1_024, format: 'password' }))
}

/**
 * The body of `POST /token`. It has the members of all grant types. Which of them are needed depends on `grant_type`.
 * Unknown ones are ignored (RFC 6749 section 3.2).
 */
function createTokenRequest (names: readonly GrantTypeName[]) {
  const note = names.includes('password') ? ' With a username it can be left out, as FastAPI clients do.' : ''
  return Type.Object({
    grant_type: Type.Optional(Type.String({ maxLength: 64, description: `${listNames(names)}.${note}` })),
    ...Object.fromEntries(names.flatMap(name => Object.entries(describeGrantType(name).parameters.properties))
      .map(([name, schema]) => [name, Type.Optional(schema)])),
    scope: Type.Optional(Scope),
    ...clientCredentials
  }, {
    title: 'TokenRequest',
    'x-examples': Object.fromEntries(names.map(name => {
      const { summary, value } = describeGrantType(name).example
      return [name, { summary, value: { grant_type: name, ...value } }]
    }))
  })
}

/** The body of `POST /token` with all grant types. */
export const TokenRequest = createTokenRequest(GRANT_TYPES)

const tokenRequests = new Map([[GRANT_TYPES.join(), TokenRequest]])

/** Returns the body of `POST /token` with these grant types. One set has one schema, because Ajv keeps each schema. */
export function tokenRequestOf (names: readonly GrantTypeName[]): typeof TokenRequest {
  const key = names.join()
  const schema = tokenRequests.get(key) ?? createTokenRequest(names)
  tokenRequests.set(key, schema)
  return schema
}

const EXAMPLE_TOKENS = {
  access_token: EXAMPLE.accessToken,
  token_type: 'bearer',
  expires_in: 900,
  refresh_token: EXAMPLE.refreshToken,
  scope: EXAMPLE.scope
}
const EXAMPLE_LOGIN = { user: EXAMPLE_ACCOUNT, scope: EXAMPLE.scope, expires_in: 900 }

/** RFC 6749 section 5.1. */
export const TokenResponse = Type.Object({
  access_token: Type.String(),
  token_type: Type.Literal('bearer'),
  expires_in: ExpiresIn,
  refresh_token: Type.Optional(Type.String({ description: 'Absent for client_credentials (RFC 6749 section 4.4.3).' })),
  scope: Scope
}, {
  title: 'TokenResponse',
  description: 'Tokens (RFC 6749 section 5.1).',
  examples: [EXAMPLE_TOKENS]
})

/** The body of `POST /login`. */
export const LoginRequest = Type.Object(
  {
    username: Username,
    password: Password,
    scope: Type.Optional(Scope)
  },
  {
    title: 'LoginRequest',
    additionalProperties: false,
    examples: [{ username: EXAMPLE.username, password: EXAMPLE.password }]
  }
)

/** The response to a browser. The tokens are in cookies that no script can read. */
export const LoginResponse = Type.Object({
  user: Account,
  scope: Scope,
  expires_in: ExpiresIn
}, {
  title: 'LoginResponse',
  description: 'The user who logged in. The tokens are in the cookies.',
  examples: [EXAMPLE_LOGIN]
})

/** The body of `POST /refresh`: an empty object or no body if the refresh token is in the cookie. */
export const RefreshRequest = Type.Object({
  refresh_token: Type.Optional(RefreshToken),
  scope: Type.Optional(Scope)
}, {
  title: 'RefreshRequest',
  additionalProperties: false,
  'x-examples': {
    cookie: { summary: 'The refresh token is in the cookie', value: {} },
    body: { summary: 'The refresh token is in the body', value: { refresh_token: EXAMPLE.refreshToken } }
  }
})

/** The response of `POST /refresh`: tokens if the refresh token was in the body, cookies if it was in the cookie. */
export const RefreshResponse = Type.Union([TokenResponse, LoginResponse], {
  description: 'The new tokens, or the user if the new tokens are in cookies.',
  'x-examples': {
    body: { summary: 'The refresh token was in the body', value: EXAMPLE_TOKENS },
    cookie: { summary: 'The refresh token was in the cookie', value: EXAMPLE_LOGIN }
  }
})

/** The body of `POST /revoke`: RFC 7009 section 2.1. */
export const RevokeRequest = Type.Object({
  token: Token,
  token_type_hint: Type.Optional(Type.String({ maxLength: 64 })),
  ...clientCredentials
}, { title: 'TokenReference', examples: [{ token: EXAMPLE.refreshToken, token_type_hint: 'refresh_token' }] })

/** The body of `POST /introspect`: RFC 7662 section 2.1. */
export const IntrospectRequest = RevokeRequest

/** The response of `POST /introspect` (RFC 7662 section 2.2). If `active` is false, it has no other member. */
export const IntrospectResponse = Type.Object({
  active: Type.Boolean(),
  scope: Type.Optional(Scope),
  client_id: Type.Optional(Type.String()),
  username: Type.Optional(Type.String({ description: 'The name of the user as it is now. Absent for a client.' })),
  token_type: Type.Optional(Type.Literal('bearer')),
  exp: Type.Optional(Type.Integer({ description: 'Seconds since the epoch.' })),
  iat: Type.Optional(Type.Integer({ description: 'Seconds since the epoch.' })),
  sub: Type.Optional(Type.String()),
  aud: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String())])),
  iss: Type.Optional(Type.String()),
  jti: Type.Optional(Type.String()),
  sid: Type.Optional(Type.String()),
  gen: Type.Optional(Type.Integer({ description: 'How often the session had been refreshed, plus 1.' })),
  auth_time: Type.Optional(Type.Integer({
    description: 'Seconds since the epoch: when the user last authenticated (RFC 9470 section 6.2).'
  })),
  amr: Type.Optional(Type.Array(Type.String(), { description: 'How the user authenticated (RFC 8176).' }))
}, {
  title: 'IntrospectResponse',
  description: 'What the token contains, if it is live.',
  'x-examples': {
    live: {
      summary: 'A live access token',
      value: {
        active: true,
        scope: EXAMPLE.scope,
        client_id: 'latchkey',
        username: EXAMPLE.username,
        token_type: 'bearer',
        exp: 1793521830,
        iat: 1793520930,
        sub: EXAMPLE.userId,
        aud: EXAMPLE.issuer,
        iss: EXAMPLE.issuer,
        jti: EXAMPLE.tokenId,
        sid: EXAMPLE.sessionId,
        gen: 1,
        auth_time: 1793520930,
        amr: ['pwd']
      }
    },
    dead: { summary: 'Anything else', value: { active: false } }
  }
})
export type IntrospectResponse = Static<typeof IntrospectResponse>

/** The body of `POST /logout`. An empty object or no body means `this`. */
export const LogoutRequest = Type.Object(
  {
    target: Type.Optional(
      Type.Enum(['this', 'others', 'all'], { description: 'Which sessions end: this one, all others, or all.' })
    )
  },
  { title: 'LogoutRequest', additionalProperties: false, examples: [{ target: 'this' }] }
)

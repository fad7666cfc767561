import { Type } from 'typebox'
import { EXAMPLE } from './examples.js'

/** The response of `GET /health/live`. */
export const Health = Type.Object(
  { status: Type.Literal('ok') },
  { title: 'Health', description: 'The process responds.', examples: [{ status: 'ok' }] }
)

/** The response of `GET /health/ready`, for load balancers. */
export const Readiness = Type.Object(
  {
    status: Type.Literal('ok'),
    revocation_index_age: Type.Number({
      minimum: 0,
      description:
        'Seconds since the revocation index of this process was last known to be complete. 0 with SQLite, at ' +
        'most the bound with PostgreSQL.'
    })
  },
  {
    title: 'Readiness',
    description: 'The process can serve requests.',
    examples: [{ status: 'ok', revocation_index_age: 0.123 }]
  }
)

/** RFC 7517 section 5. Only public members are listed, because the serializer drops all others. */
export const Jwks = Type.Object({
  keys: Type.Array(Type.Object({
    kty: Type.String(),
    kid: Type.String(),
    alg: Type.String(),
    use: Type.Literal('sig'),
    crv: Type.Optional(Type.String()),
    x: Type.Optional(Type.String()),
    y: Type.Optional(Type.String()),
    n: Type.Optional(Type.String()),
    e: Type.Optional(Type.String())
  }, { title: 'Jwk', description: 'A public key.' }))
}, {
  title: 'Jwks',
  description: 'The public keys (RFC 7517 section 5).',
  examples: [{
    // RFC 7517 appendix A.1.
    keys: [
      {
        kty: 'EC',
        kid: '1',
        alg: 'ES256',
        use: 'sig',
        crv: 'P-256',
        x: 'MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4',
        y: '4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM'
      }
    ]
  }]
})

/** A 204 response without a body. */
export const NoContent = Type.Null({ description: 'Done.' })

/** An empty response, for a standard that requires 200. */
export const Done = Type.Object({}, { title: 'Done', description: 'Done, or there was nothing to do.', examples: [{}] })

/** The text format of Prometheus. */
export const Metrics = Type.String({
  description: 'Metrics in the text format of Prometheus.',
  examples: ['latchkey_revocation_rules 0']
})

/** RFC 8414 section 2. */
export const ServerMetadata = Type.Object({
  issuer: Type.String(),
  token_endpoint: Type.String(),
  jwks_uri: Type.String(),
  scopes_supported: Type.Array(Type.String()),
  response_types_supported: Type.Array(Type.String(), { description: 'Empty: there is no authorization endpoint.' }),
  grant_types_supported: Type.Array(Type.String()),
  token_endpoint_auth_methods_supported: Type.Array(Type.String()),
  revocation_endpoint: Type.String(),
  revocation_endpoint_auth_methods_supported: Type.Array(Type.String()),
  introspection_endpoint: Type.String(),
  introspection_endpoint_auth_methods_supported: Type.Array(Type.String()),
  revocation_feed_endpoint: Type.String({
    description: 'An extension: the URL at which verifiers follow revocations.'
  }),
  service_documentation: Type.Optional(Type.String())
}, {
  title: 'ServerMetadata',
  description: 'The endpoints of this server and what they support.',
  examples: [{
    issuer: EXAMPLE.issuer,
    token_endpoint: `${EXAMPLE.issuer}/token`,
    jwks_uri: `${EXAMPLE.issuer}/.well-known/jwks.json`,
    scopes_supported: ['items:read', 'users:read'],
    response_types_supported: [],
    grant_types_supported: ['client_credentials', 'refresh_token'],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'none'],
    revocation_endpoint: `${EXAMPLE.issuer}/revoke`,
    revocation_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'none'],
    introspection_endpoint: `${EXAMPLE.issuer}/introspect`,
    introspection_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    revocation_feed_endpoint: `${EXAMPLE.issuer}/revocations`
  }]
})

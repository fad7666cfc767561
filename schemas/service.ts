import { Type } from 'typebox'

/** The answer of the health routes while all is well. */
export const Health = Type.Object({ status: Type.Literal('ok') })

/** RFC 7517 section 5. Only public members are listed: what is not listed is not sent. */
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
  }))
})

/** The answer that says nothing: 204. */
export const NoContent = Type.Null({ description: 'Done.' })

/** The answer that says nothing, where the standard wants 200. */
export const Done = Type.Object({}, { description: 'Done; also where there was nothing to do.' })

/** The text format of Prometheus. */
export const Metrics = Type.String({ description: 'Metrics in the text format of Prometheus.' })

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
  service_documentation: Type.Optional(Type.String())
})

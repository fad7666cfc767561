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

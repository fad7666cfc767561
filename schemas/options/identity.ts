import { Type } from 'typebox'

/** The names in every token: who issues it, and for which APIs. */
export const identity = {
  /**
   * The `iss` of every token: the URL at which clients reach the service, without a query or fragment. Default
   * `http://127.0.0.1:3000`.
   */
  issuer: Type.Optional(Type.String({
    pattern: '^https?://[^?#\\s]+$',
    description: 'The `iss` of every token: the URL at which clients reach the service, without a query or fragment.',
    default: 'http://127.0.0.1:3000',
    env: 'LATCHKEY_ISSUER',
    expects: 'an http or https URL without a query or fragment'
  })),
  /** The `aud` of every token: the API or APIs that it is for. Default: the issuer. */
  audience: Type.Optional(Type.Union([
    Type.String({ minLength: 1 }),
    Type.Array(Type.String({ minLength: 1 }), { minItems: 1, uniqueItems: true })
  ], {
    description: 'The `aud` of every token: the API or APIs that it is for. Default: the issuer.',
    env: 'LATCHKEY_AUDIENCE',
    list: true,
    expects: 'a name or a list of names'
  }))
}

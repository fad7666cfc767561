import { Type } from 'typebox'
import type { TNull } from 'typebox'

/** What a proxy requires of the access token. Refuses unknown parameters: a misspelt one would require nothing. */
export const VerifyQuery = Type.Object({
  scope: Type.Optional(Type.String({
    maxLength: 2_048,
    // At least one scope, because an empty variable of the proxy must not require nothing.
    pattern: '^ *[\\x21\\x23-\\x5B\\x5D-\\x7E][\\x20\\x21\\x23-\\x5B\\x5D-\\x7E]*$',
    description: 'The scopes that the access token must have, separated by spaces. Default none.'
  }))
}, { additionalProperties: false })

const ID = '`%` and everything except visible ASCII are percent-encoded.'

/** Fastify takes the headers of a response, but its types do not, hence the cast. */
export const VERIFIED = {
  204: {
    description: 'The request has a valid access token with these scopes.',
    headers: {
      'X-Latchkey-User': { type: 'string', description: `The claim \`sub\`. ${ID}` },
      'X-Latchkey-Client': {
        type: 'string',
        description: `The claim \`client_id\`. In a machine client's own token it equals \`sub\`. ${ID}`
      },
      'X-Latchkey-Scopes': { type: 'string', description: 'The scopes of the token, separated by spaces.' }
    },
    type: 'null'
  }
} as unknown as { 204: TNull }

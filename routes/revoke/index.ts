import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { createTokenRevocation } from '../../lib/sessions/revocation-request.js'
import { kAuthenticateClient } from '../../plugins/client-authentication.js'
import { sendOAuthError } from '../../plugins/errors.js'
import forms from '../../plugins/forms.js'
import { kPersonalAccessTokens } from '../../plugins/personal-access-tokens.js'
import { kTokens } from '../../plugins/tokens.js'
import { kSessions } from '../../plugins/sessions.js'
import { BODY, oauthErrors } from '../../schemas/responses.js'
import { OAUTH_BODY_TYPES } from '../../schemas/common.js'
import { Done } from '../../schemas/service.js'
import { RevokeRequest } from '../../schemas/tokens.js'

/** The revocation endpoint: RFC 7009. */
const revoke: FastifyPluginAsyncTypebox = async function revoke (app) {
  await app.register(forms)
  const revokeToken = createTokenRevocation({
    sessions: app[kSessions], tokens: app[kTokens], revokeKey: app[kPersonalAccessTokens].revokeValue
  })
  const authenticateClient = app[kAuthenticateClient]

  app.post('', {
    schema: {
      operationId: 'revokeToken',
      summary: 'Revoke an access token, a personal access token, or a refresh token with its whole session',
      description: 'RFC 7009. The response is sent once the revocation is durable and in force. It is the same for ' +
        'unknown, expired and revoked tokens. To revoke a token of a machine client, that client must authenticate.',
      tags: ['tokens'],
      consumes: OAUTH_BODY_TYPES,
      security: [{ client: [] }, {}],
      body: RevokeRequest,
      response: { 200: Done, ...oauthErrors(...BODY, 'token_of_another_client', 'invalid_client', 'too_many_failures') }
    },
    errorHandler: sendOAuthError
  }, async (request, reply) => {
    const client = await authenticateClient(request, reply, request.body)
    await revokeToken(request.body.token, { client, address: request.ip })
    // RFC 7009 section 2.2 requires the same response for unknown, expired and dead tokens.
    return {}
  })
}

export default revoke

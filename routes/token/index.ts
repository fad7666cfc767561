import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { createExchange, isGuess } from '../../lib/grants/exchange.js'
import { dropOpenIdScopes } from '../../lib/identity/scopes.js'
import { grantTypesOf } from '../../lib/options/own-routes.js'
import { kAuthenticateClient } from '../../plugins/client-authentication.js'
import { kClients } from '../../plugins/clients.js'
import { sendOAuthError } from '../../plugins/errors.js'
import forms from '../../plugins/forms.js'
import { kIssuing } from '../../plugins/issuing.js'
import { kLimitAttempts } from '../../plugins/rate-limit.js'
import { kLogIn, kSessions } from '../../plugins/sessions.js'
import { kSettings } from '../../plugins/settings.js'
import { OAUTH_BODY_TYPES } from '../../schemas/common.js'
import { GRANT_TYPES } from '../../schemas/grants.js'
import { BODY, oauthErrors } from '../../schemas/responses.js'
import { tokenRequestOf, TokenResponse } from '../../schemas/tokens.js'

/** The token endpoint: RFC 6749 section 3.2. */
const token: FastifyPluginAsyncTypebox = async function token (app) {
  await app.register(forms)
  const { senderOf, sendTokens } = app[kIssuing]
  const authenticateClient = app[kAuthenticateClient]
  const limitAttempts = app[kLimitAttempts]
  const services = { logIn: app[kLogIn], sessions: app[kSessions], clients: app[kClients] }
  const grantTypes = grantTypesOf(app[kSettings])
  const { catalogue } = app[kSettings]
  const exchange = createExchange(services, GRANT_TYPES.filter(name => !grantTypes.includes(name)))

  app.post('', {
    schema: {
      operationId: 'createToken',
      summary: 'Get an access token with a password, a refresh token, or the credentials of a machine client',
      description: 'RFC 6749. Takes a form, or the same members as JSON. The token carries all granted scopes, or ' +
        'the subset that the request asks for. `client_credentials` returns no refresh token. Parallel and repeated ' +
        'exchanges of a refresh token within the grace period receive the same successor.',
      tags: ['tokens'],
      consumes: OAUTH_BODY_TYPES,
      security: [{ client: [] }, {}],
      body: tokenRequestOf(grantTypes),
      response: {
        200: TokenResponse,
        ...oauthErrors(
          ...BODY, 'invalid_scope', 'unsupported_grant_type', 'unauthorized_client', 'invalid_credentials',
          'invalid_refresh_token', 'session_stolen', 'invalid_client', 'too_many_requests', 'too_many_failures',
          'overloaded', 'account_changed'
        )
      }
    },
    async preHandler (request, reply) {
      if (isGuess(request.body)) await limitAttempts.call(app, request, reply)
    },
    errorHandler: sendOAuthError
  }, async (request, reply) => {
    const client = await authenticateClient(request, reply, request.body)
    const body = { ...request.body, scope: dropOpenIdScopes(request.body.scope, catalogue) }
    return await sendTokens(reply, await exchange(body, { client, sender: senderOf(request) }))
  })
}

export default token

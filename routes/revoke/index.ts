import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { FIRST_PARTY } from '../../lib/identity/client-ids.js'
import { LatchkeyError } from '../../lib/errors.js'
import { anonymous, asClient } from '../../lib/ledger/events.js'
import { kAuthenticateClient } from '../../plugins/client-authentication.js'
import { sendOAuthError } from '../../plugins/errors.js'
import forms from '../../plugins/forms.js'
import { kTokens } from '../../plugins/jwt.js'
import { kSessions } from '../../plugins/sessions.js'
import { BODY, oauthErrors } from '../../schemas/responses.js'
import { Done } from '../../schemas/service.js'
import { RevokeRequest } from '../../schemas/tokens.js'

/**
 * The revocation endpoint: RFC 7009. A registered client must authenticate to revoke its tokens. The holder
 * of any other token can revoke it.
 */
const revoke: FastifyPluginAsyncTypebox = async function revoke (app) {
  await app.register(forms)
  const sessions = app[kSessions]
  const tokens = app[kTokens]
  const authenticateClient = app[kAuthenticateClient]

  app.post('', {
    schema: {
      operationId: 'revokeToken',
      summary: 'Revoke an access token, or a refresh token with its whole session',
      description: 'RFC 7009. The response is sent once the revocation is durable and in force. It is the same for ' +
        'unknown, expired and revoked tokens. To revoke a token of a machine client, that client must authenticate.',
      tags: ['tokens'],
      consumes: ['application/x-www-form-urlencoded', 'application/json'],
      security: [{ client: [] }, {}],
      body: RevokeRequest,
      response: { 200: Done, ...oauthErrors(...BODY, 'token_of_another_client', 'invalid_client', 'too_many_failures') }
    },
    errorHandler: sendOAuthError
  }, async (request, reply) => {
    const { token } = request.body
    const client = await authenticateClient(request, reply, request.body)
    // A first-party app does not authenticate, so the actor is anonymous.
    const by = client === undefined ? anonymous(request.ip) : asClient(client.id, request.ip)
    const holder = client?.id ?? FIRST_PARTY

    // `token_type_hint` is ignored: it would save hardly any work, because the two kinds of token cannot be confused.
    const claims = tokens.decode(token)
    if (claims !== undefined) {
      assertHolds(holder, claims.client_id)
      await sessions.endToken(claims, by)
    } else {
      // A refresh token that was already exchanged ends the session too, because that is what its holder wants.
      const session = await sessions.identify(token)
      if (session !== undefined) {
        assertHolds(holder, session.clientId)
        await sessions.end(session.userId, session.sessionId, by)
      }
    }
    // RFC 7009 section 2.2: the response is the same for unknown, expired and revoked tokens.
    return {}
  })
}

/**
 * RFC 7009 section 2.1: the client must learn that its request was rejected. A 200 would mean that the token is
 * revoked.
 */
function assertHolds (holder: string, clientId: string): void {
  if (holder !== clientId) throw new LatchkeyError('token_of_another_client')
}

export default revoke

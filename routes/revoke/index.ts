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

/** The revocation endpoint: RFC 7009. Whoever holds a token may end it; that of a registered client, only this client. */
const revoke: FastifyPluginAsyncTypebox = async function revoke (app) {
  await app.register(forms)
  const sessions = app[kSessions]
  const tokens = app[kTokens]
  const authenticateClient = app[kAuthenticateClient]

  app.post('', {
    schema: {
      operationId: 'revokeToken',
      summary: 'Revoke an access token, or a refresh token with its whole session',
      description: 'RFC 7009. The answer is the same for unknown, expired and dead tokens, and comes when the revocation is durable and in force. Tokens of a machine client need its authentication.',
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
    // A first-party app is whoever holds the token: that is all that is known of them.
    const by = client === undefined ? anonymous(request.ip) : asClient(client.id, request.ip)
    const holder = client?.id ?? FIRST_PARTY

    // `token_type_hint` could only save work that is not worth saving: the two kinds cannot be mistaken for each other.
    const claims = tokens.decode(token)
    if (claims !== undefined) {
      assertHolds(holder, claims.client_id)
      await sessions.endToken(claims, by)
    } else {
      // Also one that was rotated away: whoever revokes it wants the session dead.
      const session = await sessions.identify(token)
      if (session !== undefined) {
        assertHolds(holder, session.clientId)
        await sessions.end(session.userId, session.sessionId, by)
      }
    }
    // RFC 7009 section 2.2: the same answer for unknown, expired and dead tokens.
    return {}
  })
}

/** RFC 7009 section 2.1: the request is refused, and the client hears of it. A 200 would say that the token is dead. */
function assertHolds (holder: string, clientId: string): void {
  if (holder !== clientId) throw new LatchkeyError('token_of_another_client')
}

export default revoke

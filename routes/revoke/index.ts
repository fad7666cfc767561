import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { anonymous } from '../../lib/events.js'
import { assertNoClient } from '../../lib/credentials.js'
import { sendOAuthError } from '../../plugins/errors.js'
import forms from '../../plugins/forms.js'
import { kTokens } from '../../plugins/jwt.js'
import { kSessions } from '../../plugins/sessions.js'
import { oauthErrors } from '../../schemas/errors.js'
import { Done } from '../../schemas/service.js'
import { RevokeRequest } from '../../schemas/tokens.js'

/** The revocation endpoint: RFC 7009. Whoever holds a token may end it. */
const revoke: FastifyPluginAsyncTypebox = async function revoke (app) {
  await app.register(forms)
  const sessions = app[kSessions]
  const tokens = app[kTokens]

  app.post('', {
    schema: {
      operationId: 'revokeToken',
      summary: 'Revoke an access token, or a refresh token with its whole session',
      tags: ['tokens'],
      consumes: ['application/x-www-form-urlencoded', 'application/json'],
      body: RevokeRequest,
      response: { 200: Done, ...oauthErrors(400, 401, 413, 415) }
    },
    errorHandler: sendOAuthError
  }, async (request, reply) => {
    const { token } = request.body
    // Whoever holds it: that is all that is known of them.
    const by = anonymous(request.ip)
    assertNoClient(request.headers.authorization, request.body)

    // `token_type_hint` could only save work that is not worth saving: the two kinds cannot be mistaken for each other.
    const claims = tokens.decode(token)
    if (claims !== undefined) {
      await sessions.endToken(claims, by)
    } else {
      // Also one that was rotated away: whoever revokes it wants the session dead.
      const session = await sessions.identify(token)
      if (session !== undefined) await sessions.end(session.userId, session.sessionId, by)
    }
    // RFC 7009 section 2.2: the same answer for unknown, expired and dead tokens.
    reply.header('cache-control', 'no-store')
    return {}
  })
}

export default revoke

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import type { AccessTokenClaims } from '../../lib/identity/access-token.js'
import { FIRST_PARTY, isClient } from '../../lib/identity/client-ids.js'
import { LatchkeyError } from '../../lib/errors.js'
import { asUser } from '../../lib/ledger/events.js'
import { allowNoBody } from '../../plugins/content-types.js'
import { kCookies } from '../../plugins/cookies.js'
import { kTokens } from '../../plugins/jwt.js'
import { kSessions } from '../../plugins/sessions.js'
import { BODY, problems } from '../../schemas/responses.js'
import { NoContent } from '../../schemas/service.js'
import { LogoutRequest } from '../../schemas/tokens.js'

const logout: FastifyPluginAsyncTypebox = async function logout (app) {
  const sessions = app[kSessions]
  const tokens = app[kTokens]
  const cookies = app[kCookies]

  /**
   * The session that a request belongs to: that of its access token or, if this token is no longer valid, that of the
   * refresh cookie. A token of an older system identifies a user without a session.
   */
  async function findSession (request: FastifyRequest): Promise<{ userId: string, sessionId: string, live: boolean } | { userId: string, sessionId: undefined, live: true, claims: AccessTokenClaims } | undefined> {
    try {
      const { id: userId, sessionId, clientId, claims } = await tokens.verify(cookies.readAccessToken(request))
      if (isClient({ id: userId, clientId })) throw new LatchkeyError('user_required')
      return sessionId === undefined ? { userId, sessionId, live: true, claims } : { userId, sessionId, live: true }
    } catch (error) {
      if (!(error instanceof LatchkeyError) || error.statusCode !== 401) throw error
      // A request with an invalid Authorization header must not act on the session of the cookie.
      const refreshToken = request.headers.authorization === undefined ? cookies.readRefreshToken(request) : undefined
      const session = refreshToken === undefined ? undefined : await sessions.identify(refreshToken)
      // The session of a registered client ends only with that client's authentication, at POST /revoke.
      return session?.clientId === FIRST_PARTY ? session : undefined
    }
  }

  app.post('', {
    schema: {
      operationId: 'logOut',
      summary: 'End this session, all other sessions, or all sessions, and clear the cookies',
      description: 'Accepts an expired access token if the request carries the refresh cookie. The request can be ' +
        'repeated. `others` leaves this session and its cookies unchanged.',
      tags: ['browser', 'sessions'],
      body: LogoutRequest,
      response: { 204: NoContent, ...problems(...BODY, 'ambiguous_credentials', 'user_required', 'cross_site_request', 'revocation_unknown') }
    },
    preValidation: allowNoBody
  }, async (request, reply) => {
    // Another site can make the browser send cookies, but not an Authorization header.
    if (request.headers.authorization === undefined) cookies.assertSameSite(request)
    const target = request.body.target ?? 'this'
    const session = await findSession(request)
    if (session !== undefined) {
      const { userId, sessionId } = session
      const by = asUser(userId, request.ip)
      // An expired session must not end others. It can still end itself, because its access token may have outlived it.
      if (target === 'others') {
        if (session.live) await sessions.endOthers(userId, sessionId, by)
      } else if (target === 'all' && session.live) await sessions.endAll(userId, by)
      else if (session.sessionId === undefined) await sessions.endToken(session.claims, by)
      else await sessions.end(userId, session.sessionId, by)
    }
    if (target !== 'others') cookies.clear(reply)
    return reply.code(204).send(null)
  })
}

export default logout

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { LatchkeyError } from '../../lib/errors.js'
import { createLogout } from '../../lib/sessions/logout.js'
import { allowNoBody } from '../../plugins/content-types.js'
import { kCookies } from '../../plugins/cookies.js'
import { kTokens } from '../../plugins/tokens.js'
import { kSessions } from '../../plugins/sessions.js'
import { BODY, problems } from '../../schemas/responses.js'
import { NoContent } from '../../schemas/service.js'
import { LogoutRequest } from '../../schemas/tokens.js'

const logout: FastifyPluginAsyncTypebox = async function logout (app) {
  const { logOut } = createLogout({ sessions: app[kSessions], tokens: app[kTokens] })
  const cookies = app[kCookies]

  /** Returns undefined for a request without an access token, because the refresh cookie can stand for it. */
  function readAccessToken (request: FastifyRequest): string | undefined {
    try {
      return cookies.readAccessToken(request)
    } catch (error) {
      if (error instanceof LatchkeyError && error.statusCode === 401) return undefined
      throw error
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
      response: {
        204: NoContent,
        ...problems(...BODY, 'ambiguous_credentials', 'user_required', 'cross_site_request', 'revocation_unknown')
      }
    },
    preValidation: allowNoBody
  }, async (request, reply) => {
    const hasHeader = request.headers.authorization !== undefined
    // Another site cannot make the browser send a header, but it can make it send cookies.
    if (!hasHeader) cookies.assertSameSite(request)
    const target = request.body.target ?? 'this'
    await logOut(target, {
      accessToken: readAccessToken(request),
      refreshToken: hasHeader ? undefined : cookies.readRefreshToken(request),
      address: request.ip
    })
    if (target !== 'others') cookies.clear(reply)
    return reply.code(204).send(null)
  })
}

export default logout

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { allowNoBody } from '../../plugins/content-types.js'
import { kCookies } from '../../plugins/cookies.js'
import { kLogins } from '../../plugins/logins.js'
import { kSettings } from '../../plugins/settings.js'
import { SET_COOKIE, withHeaders } from '../../schemas/response-headers.js'
import { BODY, problems } from '../../schemas/responses.js'
import { NoContent } from '../../schemas/service.js'
import { LogoutRequest } from '../../schemas/tokens.js'

const logout: FastifyPluginAsyncTypebox = async function logout (app) {
  const { logOut } = app[kLogins]
  const cookies = app[kCookies]
  if (app[kSettings].ownRoutes.has('logout')) return

  app.post('', {
    schema: {
      operationId: 'logOut',
      summary: 'End this session, all other sessions, or all sessions, and clear the cookies',
      description: 'Accepts an expired access token if the request carries the refresh cookie. The request can be ' +
        'repeated. `others` leaves this session and its cookies unchanged.',
      tags: ['browser', 'sessions'],
      body: LogoutRequest,
      response: {
        204: withHeaders(NoContent, SET_COOKIE),
        ...problems(...BODY, 'user_required', 'cross_site_request', 'revocation_unknown')
      }
    },
    preValidation: allowNoBody
  }, async (request, reply) => {
    const { target } = request.body
    await logOut(request, target)
    if (target !== 'others' && !cookies.holdOthers(request)) cookies.clear(reply)
    return reply.code(204).send(null)
  })
}

export default logout

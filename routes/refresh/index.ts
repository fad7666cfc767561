import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { allowNoBody } from '../../plugins/content-types.js'
import { kIssuing } from '../../plugins/issuing.js'
import { kLogins } from '../../plugins/logins.js'
import { kSettings } from '../../plugins/settings.js'
import { SET_COOKIE, withHeaders } from '../../schemas/response-headers.js'
import { BODY, problems } from '../../schemas/responses.js'
import { RefreshRequest, RefreshResponse } from '../../schemas/tokens.js'

const refreshRoute: FastifyPluginAsyncTypebox = async function refreshRoute (app) {
  const { sendCookies, sendTokens } = app[kIssuing]
  const { refresh } = app[kLogins]
  if (app[kSettings].ownRoutes.has('refresh')) return

  app.post('', {
    schema: {
      operationId: 'refresh',
      summary: 'Exchange a refresh token from the cookie or the body for its successor',
      description: 'If the body has no token, the route reads the cookie and sets new cookies. Parallel and repeated ' +
        'requests within the grace period receive the same successor. Any other use of an old token ends its session.',
      tags: ['browser', 'tokens'],
      body: RefreshRequest,
      response: {
        200: withHeaders(RefreshResponse, SET_COOKIE),
        ...problems(...BODY, 'invalid_scope', 'unauthenticated', 'invalid_refresh_token', 'session_stolen',
          'cross_site_request')
      }
    },
    preValidation: allowNoBody
  }, async (request, reply) => {
    const { refresh_token: refreshToken, scope } = request.body
    // If this fails, the cookies stay, because another tab may have won a race and set newer ones in between.
    const grant = await refresh(request, { refreshToken, scope })
    return refreshToken === undefined ? await sendCookies(reply, grant) : await sendTokens(reply, grant)
  })
}

export default refreshRoute

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { LatchkeyError } from '../../lib/errors.js'
import { allowNoBody } from '../../plugins/content-types.js'
import { kCookies } from '../../plugins/cookies.js'
import { kIssuing } from '../../plugins/issuing.js'
import { kSessions } from '../../plugins/sessions.js'
import { BODY, problems } from '../../schemas/responses.js'
import { RefreshRequest, RefreshResponse } from '../../schemas/tokens.js'

const refresh: FastifyPluginAsyncTypebox = async function refresh (app) {
  const { sendCookies, sendTokens } = app[kIssuing]
  const cookies = app[kCookies]
  const sessions = app[kSessions]

  app.post('', {
    schema: {
      operationId: 'refresh',
      summary: 'Exchange a refresh token from the cookie or the body for its successor',
      description: 'If the body has no token, the route reads the cookie and sets new cookies. Parallel and repeated ' +
        'requests within the grace period receive the same successor. Any other use of an old token ends its session.',
      tags: ['browser', 'tokens'],
      body: RefreshRequest,
      response: {
        200: RefreshResponse,
        ...problems(...BODY, 'invalid_scope', 'unauthenticated', 'invalid_refresh_token', 'cross_site_request')
      }
    },
    preValidation: allowNoBody
  }, async (request, reply) => {
    const { refresh_token: fromBody, scope } = request.body
    const address = request.ip
    if (fromBody !== undefined) return await sendTokens(reply, await sessions.refresh(fromBody, { scope, address }))
    const fromCookie = cookies.readRefreshToken(request)
    if (fromCookie === undefined) throw new LatchkeyError('unauthenticated')
    // If this fails, the cookies stay, because another tab may have won a race and set newer ones in between.
    return await sendCookies(reply, await sessions.refresh(fromCookie, { scope, address }))
  })
}

export default refresh

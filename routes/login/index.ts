import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { createLogout } from '../../lib/sessions/logout.js'
import { kCookies } from '../../plugins/cookies.js'
import { kIssuing } from '../../plugins/issuing.js'
import { kSettings } from '../../plugins/settings.js'
import { kTokens } from '../../plugins/tokens.js'
import { kLimitAttempts } from '../../plugins/rate-limit.js'
import { kLogIn, kSessions } from '../../plugins/sessions.js'
import { BODY, problems } from '../../schemas/responses.js'
import { LoginRequest, LoginResponse } from '../../schemas/tokens.js'

const login: FastifyPluginAsyncTypebox = async function login (app) {
  const { sendCookies, senderOf } = app[kIssuing]
  const logIn = app[kLogIn]
  const cookies = app[kCookies]
  const { access, refresh } = app[kSettings].cookieNames
  const { leave } = createLogout({ sessions: app[kSessions], tokens: app[kTokens] })

  app.post('', {
    schema: {
      operationId: 'logIn',
      summary: 'Log in from a browser and receive the tokens in HttpOnly cookies',
      description: `Sets the cookies \`${access}\` and \`${refresh}\`. They are HttpOnly and, unless configured ` +
        'otherwise, `Secure` with the prefix `__Host-`. If the browser already had a session, that session ends.',
      tags: ['browser'],
      body: LoginRequest,
      response: {
        200: LoginResponse,
        ...problems(
          ...BODY, 'invalid_scope', 'invalid_credentials', 'cross_site_request', 'too_many_requests',
          'too_many_failures', 'overloaded', 'account_changed'
        )
      }
    },
    onRequest: app[kLimitAttempts]
  }, async (request, reply) => {
    // Another site must not log a visitor in to an account that the site chooses.
    cookies.assertSameSite(request)
    const sender = senderOf(request)
    const grant = await logIn(request.body, sender)
    if (sender.refreshToken !== undefined) await leave(sender.refreshToken, request.ip)
    return await sendCookies(reply, grant)
  })
}

export default login

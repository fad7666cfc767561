import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { kIssuing } from '../../plugins/issuing.js'
import { kLogins } from '../../plugins/logins.js'
import { kLimitAttempts } from '../../plugins/rate-limit.js'
import { kSettings } from '../../plugins/settings.js'
import { SET_COOKIE, withHeaders } from '../../schemas/response-headers.js'
import { BODY, problems } from '../../schemas/responses.js'
import { LoginRequest, LoginResponse } from '../../schemas/tokens.js'

const login: FastifyPluginAsyncTypebox = async function login (app) {
  const { sendCookies } = app[kIssuing]
  const { logIn } = app[kLogins]
  const { cookieNames: { access, refresh }, ownRoutes } = app[kSettings]
  if (ownRoutes.has('login')) return

  app.post('', {
    schema: {
      operationId: 'logIn',
      summary: 'Log in from a browser and receive the tokens in HttpOnly cookies',
      description: `Sets the cookies \`${access}\` and \`${refresh}\`. They are HttpOnly and, unless configured ` +
        'otherwise, `Secure` with the prefix `__Host-`. If the browser already had a session, that session ends.',
      tags: ['browser'],
      body: LoginRequest,
      response: {
        200: withHeaders(LoginResponse, SET_COOKIE),
        ...problems(
          ...BODY, 'invalid_scope', 'invalid_credentials', 'cross_site_request', 'too_many_requests',
          'too_many_failures', 'overloaded', 'account_changed'
        )
      }
    },
    onRequest: app[kLimitAttempts]
  }, async (request, reply) => await sendCookies(reply, await logIn(request, request.body)))
}

export default login

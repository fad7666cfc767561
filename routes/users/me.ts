import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { LatchkeyError } from '../../lib/errors.js'
import { toAccount } from '../../lib/users/account.js'
import { createOwnPasswordAttempt } from '../../lib/users/own-password-attempt.js'
import { kGuards } from '../../plugins/authentication.js'
import { ACCEPTS_KEYS } from '../../plugins/guards/accepts.js'
import { kLimitAttempts } from '../../plugins/rate-limit.js'
import { kThrottle } from '../../plugins/throttle.js'
import { kBuiltInUsers, kUsers } from '../../plugins/users.js'
import { BODY, GUARDED, OR_KEY, problems } from '../../schemas/responses.js'
import { NoContent } from '../../schemas/service.js'
import { Account, PasswordChange } from '../../schemas/users.js'

const me: FastifyPluginAsyncTypebox = async function me (app) {
  const users = app[kUsers]
  const builtInUsers = app[kBuiltInUsers]
  const { authenticate, requireUser, userOf } = app[kGuards]

  app.get('/me', {
    config: ACCEPTS_KEYS,
    schema: {
      operationId: 'readOwnUser',
      summary: 'Read your own account',
      description: 'Returns the current account, including scopes that were granted after the token was issued.',
      tags: ['users'],
      response: { 200: Account, ...problems(...GUARDED, ...OR_KEY, 'user_required') }
    },
    preHandler: requireUser
  }, async (request) => {
    const user = await users.find(userOf(request).claims.sub)
    if (user === null) throw new LatchkeyError('invalid_token')
    return toAccount(user)
  })

  if (builtInUsers === undefined) return // The host manages the passwords of its own accounts.
  const changeOwnPassword = createOwnPasswordAttempt({ users: builtInUsers, throttle: app[kThrottle] })

  app.put('/me/password', {
    schema: {
      operationId: 'changeOwnPassword',
      summary: 'Change your own password and end all your other sessions',
      description: 'Requires the current password. The session of this request continues.',
      tags: ['users'],
      body: PasswordChange,
      response: {
        204: NoContent,
        ...problems(
          ...BODY, ...GUARDED, 'password_rejected', 'user_required', 'cross_site_request', 'wrong_password',
          'not_found', 'too_many_requests', 'too_many_failures', 'overloaded', 'account_changed'
        )
      }
    },
    onRequest: [app[kLimitAttempts], authenticate],
    preHandler: requireUser
  }, async (request, reply) => {
    const { current_password: current, new_password: password } = request.body
    const { id, sessionId } = userOf(request)
    await changeOwnPassword({ id, sessionId, address: request.ip }, { current, password })
    return reply.code(204).send(null)
  })
}

export default me

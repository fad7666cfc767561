import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { LatchkeyError } from '../../lib/errors.js'
import { createPasswordChange } from '../../lib/users/own-password.js'
import { kGuards } from '../../plugins/authentication.js'
import { kLimitAttempts } from '../../plugins/rate-limit.js'
import { kThrottle } from '../../plugins/throttle.js'
import { kBuiltInUsers, kUsers } from '../../plugins/users.js'
import { BODY, GUARDED, problems } from '../../schemas/responses.js'
import { NoContent } from '../../schemas/service.js'
import { Account, PasswordChange } from '../../schemas/users.js'

const me: FastifyPluginAsyncTypebox = async function me (app) {
  const users = app[kUsers]
  const builtInUsers = app[kBuiltInUsers]
  const { authenticate, requireUser, userOf } = app[kGuards]

  app.get('/me', {
    schema: {
      operationId: 'readOwnUser',
      summary: 'The user whose token this is',
      description: 'As it is stored: scopes granted after the token was made are here, and not in the token.',
      tags: ['users'],
      response: { 200: Account, ...problems(...GUARDED, 'user_required') }
    },
    preHandler: requireUser
  }, async (request) => {
    const user = await users.find(userOf(request).id)
    if (user === null) throw new LatchkeyError('invalid_token')
    const { id, username, scopes } = user
    return { id, username, scopes: [...scopes] }
  })

  if (builtInUsers === undefined) return // The host's accounts have passwords that are the host's business.
  const changeOwnPassword = createPasswordChange({ users: builtInUsers, throttle: app[kThrottle] })

  app.put('/me/password', {
    schema: {
      operationId: 'changeOwnPassword',
      summary: 'Change the own password; every other session ends',
      description: 'Asks for the current password. The session of this request goes on.',
      tags: ['users'],
      body: PasswordChange,
      response: { 204: NoContent, ...problems(...BODY, ...GUARDED, 'password_rejected', 'user_required', 'cross_site_request', 'wrong_password', 'not_found', 'too_many_requests', 'too_many_failures', 'overloaded', 'account_changed') }
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

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { anonymous } from '../../lib/events.js'
import { kLimitAttempts } from '../../plugins/rate-limit.js'
import { kSettings } from '../../plugins/settings.js'
import { kBuiltInUsers } from '../../plugins/users.js'
import { problems } from '../../schemas/errors.js'
import { Account, RegisterRequest } from '../../schemas/users.js'

const register: FastifyPluginAsyncTypebox = async function register (app) {
  const users = app[kBuiltInUsers]
  if (!app[kSettings].registration || users === undefined) return

  app.post('', {
    schema: {
      operationId: 'register',
      summary: 'Make an account, without scopes',
      tags: ['users'],
      body: RegisterRequest,
      response: { 201: Account, ...problems(400, 409, 413, 415, 429) }
    },
    onRequest: app[kLimitAttempts]
  }, async (request, reply) => {
    const { id, username, scopes } = await users.add(request.body, anonymous(request.ip))
    reply.code(201)
    return { id, username, scopes: [...scopes] }
  })
}

export default register

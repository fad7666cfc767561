import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { anonymous } from '../../lib/ledger/events.js'
import { toAccount } from '../../lib/users/account.js'
import { kLimitAttempts } from '../../plugins/rate-limit.js'
import { kSettings } from '../../plugins/settings.js'
import { kBuiltInUsers } from '../../plugins/users.js'
import { BODY, problems } from '../../schemas/responses.js'
import { Account, RegisterRequest } from '../../schemas/users.js'

const register: FastifyPluginAsyncTypebox = async function register (app) {
  const users = app[kBuiltInUsers]
  const { registration, registrationScopes: scopes } = app[kSettings]
  if (!registration || users === undefined) return

  app.post('', {
    schema: {
      operationId: 'register',
      summary: 'Create an account',
      description: 'Exists only if the option `registration` is on. The request cannot ask for scopes. The ' +
        'account receives the scopes that the option lists. By default it lists none.',
      tags: ['users'],
      body: RegisterRequest,
      response: {
        201: Account,
        ...problems(...BODY, 'password_rejected', 'username_taken', 'too_many_requests', 'overloaded')
      }
    },
    onRequest: app[kLimitAttempts]
  }, async (request, reply) => {
    const user = await users.add({ ...request.body, scopes }, anonymous(request.ip))
    reply.code(201)
    return toAccount(user)
  })
}

export default register

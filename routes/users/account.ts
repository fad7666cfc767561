import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { LatchkeyError } from '../../lib/errors.js'
import { toUserView } from '../../lib/users/list.js'
import { kGuards } from '../../plugins/authentication.js'
import { kBuiltInUsers } from '../../plugins/users.js'
import { BODY, SCOPED, problems } from '../../schemas/responses.js'
import { NoContent } from '../../schemas/service.js'
import { UserParams, UserPatch, UserView } from '../../schemas/users.js'

/** One account, in the hands of an administrator. `lib/users/authority.ts` has the rules. */
const account: FastifyPluginAsyncTypebox = async function account (app) {
  const users = app[kBuiltInUsers]
  const { actorOf, requireScopes } = app[kGuards]
  if (users === undefined) return // The host's accounts are the host's to administer.

  app.get('/:id', {
    schema: {
      operationId: 'readUser',
      summary: 'A user',
      description: 'As it is stored, without its password hash.',
      tags: ['users'],
      params: UserParams,
      response: { 200: UserView, ...problems(...SCOPED, 'invalid_request', 'not_found') }
    },
    preHandler: requireScopes('users:read')
  }, async (request) => {
    const user = await users.findById(request.params.id)
    if (user === null) throw new LatchkeyError('not_found', { message: 'There is no such user.' })
    return toUserView(user)
  })

  app.patch('/:id', {
    schema: {
      operationId: 'changeUser',
      summary: 'Change scopes, disable, enable, set a password: all of it or nothing',
      description: 'Taking away a scope kills the access tokens of the user; a new password or `disabled` ends every session too. A built-in scope is given or taken only by who has it.',
      tags: ['users'],
      params: UserParams,
      body: UserPatch,
      response: { 200: UserView, ...problems(...BODY, ...SCOPED, 'invalid_scope', 'password_rejected', 'cross_site_request', 'not_found', 'last_administrator', 'overloaded') }
    },
    preHandler: requireScopes('users:write')
  }, async (request) => toUserView(await users.update(request.params.id, request.body, actorOf(request))))

  app.delete('/:id', {
    schema: {
      operationId: 'removeUser',
      summary: 'Delete a user with every session and token',
      description: 'The last enabled user with `users:write` stays.',
      tags: ['users'],
      params: UserParams,
      response: { 204: NoContent, ...problems(...SCOPED, 'invalid_request', 'cross_site_request', 'not_found', 'last_administrator') }
    },
    preHandler: requireScopes('users:write')
  }, async (request, reply) => {
    await users.remove(request.params.id, actorOf(request))
    return reply.code(204).send(null)
  })
}

export default account

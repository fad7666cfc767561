import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { LatchkeyError } from '../../lib/errors.js'
import { toUserView } from '../../lib/users/list.js'
import { kGuards } from '../../plugins/authentication.js'
import { ACCEPTS_KEYS } from '../../plugins/guards/accepts.js'
import { kBuiltInUsers } from '../../plugins/users.js'
import { BODY, OR_KEY, SCOPED, problems } from '../../schemas/responses.js'
import { NoContent } from '../../schemas/service.js'
import { UserParams, UserPatch, UserView } from '../../schemas/users.js'

/** Administrators manage one account with these routes. `lib/users/authority.ts` has the rules. */
const account: FastifyPluginAsyncTypebox = async function account (app) {
  const users = app[kBuiltInUsers]
  const { actorOf, requireScopes } = app[kGuards]
  if (users === undefined) return // The host manages its own accounts.

  app.get('/:id', {
    config: ACCEPTS_KEYS,
    schema: {
      operationId: 'readUser',
      summary: 'Read a user',
      description: 'Returns the account as it is stored, without its password hash.',
      tags: ['users'],
      params: UserParams,
      response: { 200: UserView, ...problems(...SCOPED, ...OR_KEY, 'invalid_request', 'not_found') }
    },
    preHandler: requireScopes('users:read')
  }, async (request) => {
    const user = await users.findById(request.params.id)
    if (user === null) throw new LatchkeyError('not_found', { message: 'There is no such user.' })
    return toUserView(user)
  })

  app.patch(
    '/:id',
    {
      schema: {
        operationId: 'changeUser',
        summary: 'Rename the account, replace its scopes, disable or enable it, or set its password',
        description:
          'Makes either all changes in the request or none. Removing a scope revokes the access tokens of the ' +
          'user. A new password or `disabled` also ends every session. A new username ends no session. Callers can ' +
          'grant only built-in scopes that they have, and cannot change a user who has other built-in scopes.',
        tags: ['users'],
        params: UserParams,
        body: UserPatch,
        response: {
          200: UserView,
          ...problems(
            ...BODY,
            ...SCOPED,
            'invalid_scope',
            'password_rejected',
            'cross_site_request',
            'not_found',
            'username_taken',
            'last_administrator',
            'overloaded'
          )
        }
      },
      preHandler: requireScopes('users:write')
    },
    async request => toUserView(await users.update(request.params.id, request.body, actorOf(request)))
  )

  app.delete(
    '/:id',
    {
      schema: {
        operationId: 'removeUser',
        summary: 'Delete a user with all sessions and tokens',
        description: 'The last enabled user with `users:write` cannot be deleted.',
        tags: ['users'],
        params: UserParams,
        response: {
          204: NoContent,
          ...problems(...SCOPED, 'invalid_request', 'cross_site_request', 'not_found', 'last_administrator')
        }
      },
      preHandler: requireScopes('users:write')
    },
    async (request, reply) => {
      await users.remove(request.params.id, actorOf(request))
      return reply.code(204).send(null)
    }
  )
}

export default account

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { formatCursor, parseCursor } from '../../lib/http/cursor.js'
import { toUserView } from '../../lib/users/list.js'
import { kGuards } from '../../plugins/authentication.js'
import { ACCEPTS_KEYS } from '../../plugins/guards/accepts.js'
import { kBuiltInUsers } from '../../plugins/users.js'
import { BODY, OR_KEY, SCOPED, problems } from '../../schemas/responses.js'
import { NewUser, UserPage, UsersQuery, UserView } from '../../schemas/users.js'

const usersRoutes: FastifyPluginAsyncTypebox = async function usersRoutes (app) {
  const users = app[kBuiltInUsers]
  const { actorOf, requireScopes } = app[kGuards]
  if (users === undefined) return // The host manages its own accounts.

  app.get('', {
    config: ACCEPTS_KEYS,
    schema: {
      operationId: 'listUsers',
      summary: 'List the users by name',
      description: 'Returns one page at a time. `search` matches the beginning of the username.',
      tags: ['users'],
      querystring: UsersQuery,
      response: { 200: UserPage, ...problems(...SCOPED, ...OR_KEY, 'invalid_request') }
    },
    preHandler: requireScopes('users:read')
  }, async (request) => {
    const { search, cursor, limit = '100' } = request.query
    const found = await users.list({
      search,
      after: cursor === undefined ? undefined : parseCursor(cursor),
      limit: Number(limit) + 1
    })
    const page = found.slice(0, Number(limit))
    const last = page.at(-1)
    return {
      users: page.map(toUserView),
      next: last !== undefined && found.length > page.length ? formatCursor(last.username) : null
    }
  })

  app.post(
    '',
    {
      schema: {
        operationId: 'addUser',
        summary: 'Add a user',
        description: 'Callers can grant only built-in scopes that they have.',
        tags: ['users'],
        body: NewUser,
        response: {
          201: UserView,
          ...problems(
            ...BODY,
            ...SCOPED,
            'invalid_scope',
            'password_rejected',
            'cross_site_request',
            'username_taken',
            'overloaded'
          )
        }
      },
      preHandler: requireScopes('users:write')
    },
    async (request, reply) => {
      const user = await users.add(request.body, actorOf(request))
      reply.code(201)
      return toUserView(user)
    }
  )
}

export default usersRoutes

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { LatchkeyError } from '../../lib/errors.js'
import { toSessionView } from '../../lib/sessions/list.js'
import { kGuards } from '../../plugins/authentication.js'
import { ACCEPTS_KEYS } from '../../plugins/guards/accepts.js'
import { kSessions } from '../../plugins/sessions.js'
import { kBuiltInUsers, kUsers } from '../../plugins/users.js'
import { OR_KEY, SCOPED, problems } from '../../schemas/responses.js'
import { NoContent } from '../../schemas/service.js'
import { SessionList } from '../../schemas/sessions.js'
import { UserParams } from '../../schemas/users.js'

/** The sessions of another user. The routes exist even if the host keeps the accounts: Latchkey keeps the sessions. */
const userSessions: FastifyPluginAsyncTypebox = async function userSessions (app) {
  const sessions = app[kSessions]
  const users = app[kUsers]
  const builtInUsers = app[kBuiltInUsers]
  const { actorOf, requireScopes, userOf } = app[kGuards]

  app.get('/:id/sessions', {
    config: ACCEPTS_KEYS,
    schema: {
      operationId: 'listSessionsOfUser',
      summary: 'List the live sessions of a user, most recently used first',
      description: 'Shows what the user sees at `GET /sessions`.',
      tags: ['users', 'sessions'],
      params: UserParams,
      response: { 200: SessionList, ...problems(...SCOPED, ...OR_KEY, 'invalid_request', 'not_found') }
    },
    preHandler: requireScopes('users:read')
  }, async (request) => {
    const { id } = request.params
    const { sessionId } = userOf(request)
    const found = await sessions.list(id, sessionId)
    // `find` of the host returns null for an account that may no longer log in, but the account can still have
    // sessions.
    const isThere =
      found.length > 0 || (await (builtInUsers === undefined ? users.find(id) : builtInUsers.findById(id))) !== null
    if (!isThere) throw new LatchkeyError('not_found', { message: 'There is no such user.' })
    return { sessions: found.map(session => toSessionView(session, sessionId)) }
  })

  app.delete('/:id/sessions', {
    schema: {
      operationId: 'logOutUser',
      summary: 'Log a user out everywhere: end every session and every access token',
      description: 'The response is sent once this is durable and in force.',
      tags: ['users', 'sessions'],
      params: UserParams,
      response: { 204: NoContent, ...problems(...SCOPED, 'invalid_request', 'cross_site_request', 'not_found') }
    },
    preHandler: requireScopes('users:write')
  }, async (request, reply) => {
    await sessions.endAll(request.params.id, actorOf(request))
    return reply.code(204).send(null)
  })
}

export default userSessions

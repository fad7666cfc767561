import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { LatchkeyError } from '../../lib/errors.js'
import { toSessionView } from '../../lib/sessions/list.js'
import { kGuards } from '../../plugins/authentication.js'
import { kSessions } from '../../plugins/sessions.js'
import { GUARDED, problems } from '../../schemas/responses.js'
import { NoContent } from '../../schemas/service.js'
import { SessionList, SessionParams } from '../../schemas/sessions.js'

const sessionRoutes: FastifyPluginAsyncTypebox = async function sessionRoutes (app) {
  const sessions = app[kSessions]
  const { actorOf, requireUser, userOf } = app[kGuards]

  app.get('', {
    schema: {
      operationId: 'listOwnSessions',
      summary: 'The own live sessions, the last used first',
      description: 'With where and when they began; `current` is that of this request.',
      tags: ['sessions'],
      response: { 200: SessionList, ...problems(...GUARDED, 'user_required') }
    },
    preHandler: requireUser
  }, async (request) => {
    const { id: userId, sessionId } = userOf(request)
    return { sessions: (await sessions.list(userId, sessionId)).map(session => toSessionView(session, sessionId)) }
  })

  app.delete('/:id', {
    schema: {
      operationId: 'endOwnSession',
      summary: 'End one of the own sessions',
      description: 'Its access tokens die with it.',
      tags: ['sessions'],
      params: SessionParams,
      response: { 204: NoContent, ...problems(...GUARDED, 'invalid_request', 'user_required', 'cross_site_request', 'not_found') }
    },
    preHandler: requireUser
  }, async (request, reply) => {
    // Somebody else's session and none at all look alike.
    if (!await sessions.end(userOf(request).id, request.params.id, actorOf(request))) throw new LatchkeyError('not_found', { message: 'There is no such session.' })
    return reply.code(204).send(null)
  })
}

export default sessionRoutes

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { LatchkeyError } from '../../lib/errors.js'
import { toSessionView } from '../../lib/sessions/list.js'
import { kGuards } from '../../plugins/authentication.js'
import { ACCEPTS_KEYS } from '../../plugins/guards/accepts.js'
import { kSessions } from '../../plugins/sessions.js'
import { GUARDED, OR_KEY, problems } from '../../schemas/responses.js'
import { NoContent } from '../../schemas/service.js'
import { SessionList, SessionParams } from '../../schemas/sessions.js'

const sessionRoutes: FastifyPluginAsyncTypebox = async function sessionRoutes (app) {
  const sessions = app[kSessions]
  const { actorOf, requireUser, userOf } = app[kGuards]

  app.get('', {
    config: ACCEPTS_KEYS,
    schema: {
      operationId: 'listOwnSessions',
      summary: 'List your live sessions, most recently used first',
      description: 'Shows when and from where each session started. `current` marks the session of this request.',
      tags: ['sessions'],
      response: { 200: SessionList, ...problems(...GUARDED, ...OR_KEY, 'user_required') }
    },
    preHandler: requireUser
  }, async (request) => {
    const { id: userId, sessionId } = userOf(request)
    return { sessions: (await sessions.list(userId, sessionId)).map(session => toSessionView(session, sessionId)) }
  })

  app.delete(
    '/:id',
    {
      schema: {
        operationId: 'endOwnSession',
        summary: 'End one of your sessions',
        description: 'The access tokens of the session are invalid at once.',
        tags: ['sessions'],
        params: SessionParams,
        response: {
          204: NoContent,
          ...problems(...GUARDED, 'invalid_request', 'user_required', 'cross_site_request', 'not_found')
        }
      },
      preHandler: requireUser
    },
    async (request, reply) => {
      // The response must not reveal whether the session of another user exists.
      if (!(await sessions.end(userOf(request).id, request.params.id, actorOf(request)))) {
        throw new LatchkeyError('not_found', { message: 'There is no such session.' })
      }
      return reply.code(204).send(null)
    }
  )
}

export default sessionRoutes

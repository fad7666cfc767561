import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { kGuards } from '../../plugins/authentication.js'
import { kMetrics } from '../../plugins/metrics.js'
import { problems } from '../../schemas/errors.js'
import { Metrics } from '../../schemas/service.js'

const metrics: FastifyPluginAsyncTypebox = async function metrics (app) {
  const registry = app[kMetrics]
  if (registry === undefined) return

  app.get('', {
    schema: {
      operationId: 'readMetrics',
      summary: 'The metrics, in the text format of Prometheus',
      tags: ['service'],
      produces: ['text/plain'],
      response: { 200: Metrics, ...problems(400, 401, 403) }
    },
    config: { answersUnderPressure: true },
    // Not "whoever comes from this machine": so does everybody, through a reverse proxy that runs on it.
    preHandler: app[kGuards].requireScopes('metrics:read')
  }, async (_request, reply) => {
    const text = await registry.metrics()
    return reply.type(registry.contentType).header('cache-control', 'no-store').send(text)
  })
}

export default metrics

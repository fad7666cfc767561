import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { kGuards } from '../../plugins/authentication.js'
import { ACCEPTS_KEYS } from '../../plugins/guards/accepts.js'
import { kMetrics } from '../../plugins/metrics.js'
import { OR_KEY, SCOPED, problems } from '../../schemas/responses.js'
import { Metrics } from '../../schemas/service.js'

const metrics: FastifyPluginAsyncTypebox = async function metrics (app) {
  const registry = app[kMetrics]
  if (registry === undefined) return

  app.get('', {
    schema: {
      operationId: 'readMetrics',
      summary: 'Read the metrics in the text format of Prometheus',
      description: 'Exists only if the option `metrics` is on.',
      tags: ['service'],
      produces: ['text/plain'],
      response: { 200: Metrics, ...problems(...SCOPED, ...OR_KEY) }
    },
    config: { answersUnderPressure: true, ...ACCEPTS_KEYS },
    // The address of this machine would prove nothing: behind a reverse proxy on it, every request comes from there.
    preHandler: app[kGuards].requireScopes('metrics:read')
  }, async (_request, reply) => {
    const text = await registry.metrics()
    return reply.type(registry.contentType).send(text)
  })
}

export default metrics

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { LatchkeyError } from '../../lib/errors.js'
import { kStore } from '../../plugins/database.js'
import { kRevocations } from '../../plugins/revocations.js'
import { problems } from '../../schemas/responses.js'
import { Health } from '../../schemas/service.js'

const health: FastifyPluginAsyncTypebox = async function health (app) {
  const store = app[kStore]
  const revocations = app[kRevocations]

  app.get('/live', {
    schema: {
      operationId: 'checkLive',
      summary: 'Whether the process answers',
      description: 'For a supervisor that restarts what does not answer.',
      tags: ['service'],
      response: { 200: Health, ...problems('headers_too_large') }
    },
    config: { answersUnderPressure: true }
  }, async () => ({ status: 'ok' as const }))

  app.get('/ready', {
    schema: {
      operationId: 'checkReady',
      summary: 'Whether the store answers and every revocation in it is known here',
      description: 'For a load balancer: 503 while the database is not available, or revocations could not be read.',
      tags: ['service'],
      response: { 200: Health, ...problems('headers_too_large') }
    },
    config: { answersUnderPressure: true }
  }, async () => {
    try {
      await store.read(db => db.selectFrom('meta').select('name').limit(1).execute())
      await revocations.refresh()
    } catch (cause) {
      throw new LatchkeyError('store_unavailable', { cause, retryAfter: 1 })
    }
    return { status: 'ok' as const }
  })
}

export default health

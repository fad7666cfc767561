import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { LatchkeyError } from '../../lib/errors.js'
import { kStore } from '../../plugins/database.js'
import { kRevocations } from '../../plugins/revocations.js'
import { Problem } from '../../schemas/errors.js'
import { Health } from '../../schemas/service.js'

const health: FastifyPluginAsyncTypebox = async function health (app) {
  const store = app[kStore]
  const revocations = app[kRevocations]

  app.get('/live', {
    schema: { operationId: 'checkLive', summary: 'Whether the process answers', tags: ['service'], response: { 200: Health, 500: Problem } },
    config: { answersUnderPressure: true }
  }, async () => ({ status: 'ok' as const }))

  app.get('/ready', {
    schema: {
      operationId: 'checkReady',
      summary: 'Whether the store answers and every revocation in it is known here',
      tags: ['service'],
      response: { 200: Health, 500: Problem, 503: Problem }
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

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { LatchkeyError } from '../../lib/errors.js'
import { kStore } from '../../plugins/database.js'
import { kLookAtIndex } from '../../plugins/revocations.js'
import { problems } from '../../schemas/responses.js'
import { Health, Readiness } from '../../schemas/service.js'

const health: FastifyPluginAsyncTypebox = async function health (app) {
  const store = app[kStore]
  const lookAtIndex = app[kLookAtIndex]

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
      description: 'For a load balancer: 503 while the database is not available, or revocations could not be read. Both answers say how old is what is known of them: the member `revocation_index_age`, or the sentence in `detail`.',
      tags: ['service'],
      response: { 200: Readiness, ...problems('revocation_unknown', 'headers_too_large') }
    },
    config: { answersUnderPressure: true }
  }, async () => {
    // Before anything else is asked of the store: a server that is cut off makes wait longer for that.
    const { seconds, error } = await lookAtIndex()
    const message = (reason: string): string => `${reason}; all revocations were last known ${seconds} seconds ago.`
    if (error !== undefined) throw new LatchkeyError('revocation_unknown', { message: message('The database does not tell what is revoked'), cause: error, retryAfter: 1 })
    try {
      await store.ask()
      await store.read(db => db.selectFrom('meta').select('name').limit(1).execute())
    } catch (cause) {
      throw new LatchkeyError('store_unavailable', { message: message('The database is not available'), cause, retryAfter: 1 })
    }
    return { status: 'ok' as const, revocation_index_age: seconds }
  })
}

export default health

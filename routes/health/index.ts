import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { LatchkeyError } from '../../lib/errors.js'
import { findUnfitServer } from '../../lib/store/store.js'
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
      summary: 'Check whether the process responds',
      description: 'For a supervisor that restarts a process that does not respond.',
      tags: ['service'],
      response: { 200: Health, ...problems() }
    },
    config: { answersUnderPressure: true }
  }, async () => ({ status: 'ok' as const }))

  app.get('/ready', {
    schema: {
      operationId: 'checkReady',
      summary: 'Check whether logins work and this process knows every revocation in the database',
      description: 'For a load balancer. Responds 503 while the database accepts no writes or its revocations cannot ' +
        'be read. Both responses report the age of the revocation index: in `revocation_index_age`, or in the text ' +
        'of `detail`.',
      tags: ['service'],
      response: { 200: Readiness, ...problems('revocation_unknown') }
    },
    config: { answersUnderPressure: true }
  }, async () => {
    // This comes before any other query, because a database server that is cut off keeps other queries waiting for
    // longer.
    const { seconds, error } = await lookAtIndex()
    const message = (reason: string): string =>
      `${reason}. The revocation index was last complete ${seconds} seconds ago.`
    if (error !== undefined) {
      throw new LatchkeyError('revocation_unknown', {
        message: message(reasonOf(error) ?? 'The revocations in the database cannot be read'),
        cause: error,
        retryAfter: 1
      })
    }
    try {
      await store.poll()
      await store.proveWritable()
    } catch (error) {
      // The server has answered others. Without this node, the other nodes would have even more to do.
      const isBusy = error instanceof LatchkeyError && error.code === 'overloaded'
      if (!isBusy) throw notWritable(error, message)
    }
    return { status: 'ok' as const, revocation_index_age: seconds }
  })
}

function notWritable (error: unknown, message: (reason: string) => string): LatchkeyError {
  return new LatchkeyError('store_unavailable', {
    message: message(reasonOf(error) ?? 'The database accepts no writes'),
    cause: error instanceof LatchkeyError ? error.cause : error,
    retryAfter: 1
  })
}

/** Returns why the node must not serve, without the final period. */
function reasonOf (error: unknown): string | undefined {
  return findUnfitServer(error)?.message
}

export default health

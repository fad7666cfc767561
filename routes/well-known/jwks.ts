import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { kTokens } from '../../plugins/jwt.js'
import { Problem } from '../../schemas/errors.js'
import { Jwks } from '../../schemas/service.js'

export const autoPrefix = '/.well-known'

/** How long a verifier may go on with the keys that it has, in seconds. */
const MAX_AGE = 300

const jwks: FastifyPluginAsyncTypebox = async function jwks (app) {
  const keys = [...app[kTokens].jwks]

  app.get('/jwks.json', {
    schema: {
      operationId: 'readKeys',
      summary: 'The public keys that access tokens are verified with',
      tags: ['service'],
      response: { 200: Jwks, 500: Problem }
    }
  }, async (_request, reply) => {
    reply.header('cache-control', `public, max-age=${MAX_AGE}`)
    return { keys }
  })
}

export default jwks

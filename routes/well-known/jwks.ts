import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { JWKS_MAX_AGE } from '../../lib/keys/life.js'
import { kTokens } from '../../plugins/tokens.js'
import { problems } from '../../schemas/responses.js'
import { Jwks } from '../../schemas/service.js'

const jwks: FastifyPluginAsyncTypebox = async function jwks (app) {
  const tokens = app[kTokens]

  app.get('/jwks.json', {
    config: { isOpenToAllOrigins: true },
    schema: {
      operationId: 'readKeys',
      summary: 'Read the public keys that verify access tokens',
      description: 'RFC 7517. Clients can cache the keys for as long as `Cache-Control` allows, because each key is ' +
        'published that long before it signs.',
      tags: ['service'],
      response: { 200: Jwks, ...problems() }
    }
  }, async (_request, reply) => {
    const keys = await tokens.readJwks()
    reply.header('cache-control', `public, max-age=${JWKS_MAX_AGE}`)
    return { keys }
  })
}

export default jwks

import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { allowCaching, kServerMetadata } from '../../plugins/discovery.js'
import { problems } from '../../schemas/responses.js'
import { ServerMetadata } from '../../schemas/service.js'

export const autoPrefix = '/.well-known'

/** The metadata of this server: RFC 8414. They are at the root of the host too: see `plugins/discovery.ts`. */
const serverMetadata: FastifyPluginAsyncTypebox = async function serverMetadata (app) {
  const metadata = app[kServerMetadata]
  // Without a prefix this is the root of the host, where a sibling with a prefix may have its metadata already.
  if (app.hasRoute({ method: 'GET', url: `${app.prefix}/oauth-authorization-server` })) return

  app.get('/oauth-authorization-server', {
    schema: {
      operationId: 'readServerMetadata',
      summary: 'Where the endpoints are and what they support (RFC 8414)',
      description: 'RFC 8414. Also at the root of the host, before the path of the issuer.',
      tags: ['service'],
      response: { 200: ServerMetadata, ...problems('headers_too_large') }
    }
  }, async (_request, reply) => {
    allowCaching(reply)
    return metadata
  })
}

export default serverMetadata

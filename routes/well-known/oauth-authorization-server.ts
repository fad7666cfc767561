import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { allowCaching, kServerMetadata } from '../../plugins/discovery.js'
import { problems } from '../../schemas/responses.js'
import { ServerMetadata } from '../../schemas/service.js'

/** The metadata of this server (RFC 8414). `plugins/discovery.ts` also serves it at the root of the host. */
const serverMetadata: FastifyPluginAsyncTypebox = async function serverMetadata (app) {
  const metadata = app[kServerMetadata]
  // Without a prefix this is the root of the host, where another registration may already serve its metadata.
  if (app.hasRoute({ method: 'GET', url: `${app.prefix}/oauth-authorization-server` })) return

  app.get('/oauth-authorization-server', {
    config: { isOpenToAllOrigins: true },
    schema: {
      operationId: 'readServerMetadata',
      summary: 'Read the endpoints of this server and what they support',
      description: 'RFC 8414. Also served at the root of the host, at the well-known path followed by the path of ' +
        'the issuer.',
      tags: ['service'],
      response: { 200: ServerMetadata, ...problems() }
    }
  }, async (_request, reply) => {
    allowCaching(reply)
    return metadata
  })
}

export default serverMetadata

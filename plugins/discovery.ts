import fp from 'fastify-plugin'
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Static } from 'typebox'
import { createServerMetadata, metadataPath } from '../lib/http/server-metadata.js'
import { grantTypesOf } from '../lib/options/own-routes.js'
import type { ServerMetadata } from '../schemas/service.js'
import { openToAllOrigins, permit } from './cors.js'
import { OWN_PUBLIC } from './guards/public-routes.js'
import { kSettings } from './settings.js'

export const kServerMetadata = Symbol('latchkey.serverMetadata')

declare module 'fastify' {
  interface FastifyInstance {
    [kServerMetadata]: Static<typeof ServerMetadata>
  }
}

/** How long a client may use what it has read, in seconds. */
const MAX_AGE = 3_600

/** Makes the metadata of RFC 8414, once. */
export default fp(async function latchkeyDiscovery (app) {
  app.decorate(kServerMetadata, createServerMetadata({
    ...app[kSettings], prefix: app.prefix, grantTypes: grantTypesOf(app[kSettings])
  }))
}, { name: 'latchkey-discovery', fastify: '5.x', dependencies: ['latchkey-settings'] })

/** Lets clients and caches keep a response that is the same for everyone. */
export function allowCaching (reply: FastifyReply): void {
  reply.header('cache-control', `public, max-age=${MAX_AGE}`)
}

/**
 * Serves the metadata where clients look for it: at the root of the host, before the path of the issuer (RFC 8414
 * section 3.1). With a `prefix`, this is our only path outside our scope. There is no such route if the host's
 * scope has a prefix, or if the path is taken, for example by a sibling with the same issuer. A reverse proxy can then
 * send that path to the route of the same name under our prefix.
 */
export function serveAtRoot (
  app: FastifyInstance,
  { issuer, metadata }: { issuer: string, metadata: Static<typeof ServerMetadata> }
): void {
  const url = metadataPath(issuer)
  // A path with characters that are special to the router, or with %, would match other paths or none.
  if (app.prefix !== '' || !/^[A-Za-z0-9._~/-]+$/.test(url) || app.hasRoute({ method: 'GET', url })) return
  // No serializer of the host changes bytes.
  const body = Buffer.from(JSON.stringify(metadata))
  const options = { schema: { hide: true }, config: { ...OWN_PUBLIC, isOpenToAllOrigins: true as const } }
  app.get(url, options, async function readServerMetadata (_request, reply) {
    // In a host, the hooks of our scope do not run here.
    openToAllOrigins(reply)
    allowCaching(reply)
    return reply.type('application/json; charset=utf-8').send(body)
  })
  // In the service, the hooks have added it.
  if (app.hasRoute({ method: 'OPTIONS', url })) return
  app.options(url, options, async function answerPreflight (request, reply) {
    openToAllOrigins(reply)
    permit(request, reply, ['GET', 'HEAD'])
    return reply.code(204).send()
  })
}

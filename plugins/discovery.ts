import fp from 'fastify-plugin'
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Static } from 'typebox'
import { createServerMetadata, metadataPath } from '../lib/http/server-metadata.js'
import type { ServerMetadata } from '../schemas/service.js'
import { OWN_PUBLIC } from './public-routes.js'
import { kSettings } from './settings.js'

export const kServerMetadata = Symbol('latchkey.serverMetadata')

declare module 'fastify' {
  interface FastifyInstance {
    [kServerMetadata]: Static<typeof ServerMetadata>
  }
}

/** How long a client may go on with what it has read, in seconds. */
const MAX_AGE = 3_600

/** The metadata of RFC 8414, made once. */
export default fp(async function latchkeyDiscovery (app) {
  app.decorate(kServerMetadata, createServerMetadata({ ...app[kSettings], prefix: app.prefix }))
}, { name: 'latchkey-discovery', fastify: '5.x', dependencies: ['latchkey-settings'] })

/** Lets clients and caches keep an answer that is the same for everybody. */
export function allowCaching (reply: FastifyReply): void {
  reply.header('cache-control', `public, max-age=${MAX_AGE}`)
}

/**
 * Serves the metadata where clients look for them: at the root of the host, before the path of the issuer (RFC 8414 section
 * 3.1). With a `prefix` that is outside of our scope: the one route of ours that is. Not there where it cannot be: in a scope of
 * the host that has a prefix, and where the path is taken, as by a sibling with the same issuer. A reverse proxy can then send
 * that path to the route of the same name under our prefix.
 */
export function serveAtRoot (app: FastifyInstance, { issuer, metadata }: { issuer: string, metadata: Static<typeof ServerMetadata> }): void {
  const url = metadataPath(issuer)
  // What means something to the router, or is written with %, matches other paths than this one or none.
  if (app.prefix !== '' || !/^[A-Za-z0-9._~/-]+$/.test(url) || app.hasRoute({ method: 'GET', url })) return
  // Bytes, which no serializer of the host touches.
  const body = Buffer.from(JSON.stringify(metadata))
  app.get(url, { schema: { hide: true }, config: OWN_PUBLIC }, async function readServerMetadata (_request, reply) {
    allowCaching(reply)
    return reply.type('application/json; charset=utf-8').send(body)
  })
}

// An API without Latchkey that accepts the access tokens of a service that is already running. It listens on port 3001:
//
//   ISSUER=http://127.0.0.1:3000 CLIENT_ID=... CLIENT_SECRET=... node dist/examples/resource-server/server.js

import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import { createAccess } from './access.js'
import type { AccessOptions } from './access.js'

export async function build (options: AccessOptions): Promise<FastifyInstance> {
  const app = fastify()
  const { requireScope, requireLive } = await createAccess(options)

  // Checks the token alone. This sends no request to the service, which may be down. In return, the API does not notice
  // a revocation, a logout or a disabled account before the token expires: 15 minutes at most, unless `accessTokenTtl`
  // differs.
  app.get('/items', { onRequest: requireScope('items:read') }, async ({ claims }) => ({
    owner: claims.sub,
    items: ['lamp']
  }))

  // For routes where 15 minutes are too long: asks the service each time, and rejects the request if it cannot ask.
  app.delete('/items', { onRequest: requireLive('items:write') }, async (_request, reply) => reply.code(204).send())

  return app
}

/** Reads an environment variable that must be set. */
function need (name: string): string {
  const value = process.env[name]
  if (value === undefined || value === '') throw new Error(`Set ${name}. demo.ts shows where its value comes from.`)
  return value
}

if (process.argv[1] === import.meta.filename) {
  const issuer = need('ISSUER')
  const app = await build({
    issuer,
    audience: process.env.AUDIENCE ?? issuer,
    client: { id: need('CLIENT_ID'), secret: need('CLIENT_SECRET') }
  })
  await app.listen({ port: 3001 })
  console.log('Listening on http://127.0.0.1:3001')
}

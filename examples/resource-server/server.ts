// An API without Latchkey in it, beside a service that runs already: it takes that service's access tokens. On port 3001:
//
//   ISSUER=http://127.0.0.1:3000 CLIENT_ID=... CLIENT_SECRET=... node dist/examples/resource-server/server.js

import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import { createAccess } from './access.js'
import type { AccessOptions } from './access.js'

export async function build (options: AccessOptions): Promise<FastifyInstance> {
  const app = fastify()
  const { requireScope, requireLive } = await createAccess(options)

  // By the token alone: no request to the service, and it may be down. The price: nobody here hears of a revocation, a logout or a
  // disabled account before the token expires, which is 15 minutes at most unless `accessTokenTtl` says otherwise.
  app.get('/items', { onRequest: requireScope('items:read') }, async ({ claims }) => ({ owner: claims.sub, items: ['lamp'] }))

  // Where a quarter of an hour is too long: asks the service each time, and refuses while it cannot be asked.
  app.delete('/items', { onRequest: requireLive('items:write') }, async (_request, reply) => reply.code(204).send())

  return app
}

/** A variable that must be there. */
function need (name: string): string {
  const value = process.env[name]
  if (value === undefined || value === '') throw new Error(`Set ${name}: demo.js shows where it comes from`)
  return value
}

if (process.argv[1] === import.meta.filename) {
  const issuer = need('ISSUER')
  const app = await build({ issuer, audience: process.env.AUDIENCE ?? issuer, client: { id: need('CLIENT_ID'), secret: need('CLIENT_SECRET') } })
  await app.listen({ port: 3001 })
  console.log('It listens on http://127.0.0.1:3001')
}

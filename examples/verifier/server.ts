// An API of its own process and without a database, beside a service that runs already: it takes that service's access tokens, and refuses
// a revoked one within a second. On port 3001, or PORT:
//
//   ISSUER=http://127.0.0.1:3000 CLIENT_ID=... CLIENT_SECRET=... node dist/examples/verifier/server.js

import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import verifier from 'fastify-latchkey/verifier/plugin'
import type { VerifierPluginOptions } from 'fastify-latchkey/verifier/plugin'

export async function build (options: VerifierPluginOptions): Promise<FastifyInstance> {
  const app = fastify()
  // All else is found out at the issuer: its keys, its scopes, and where it tells what is revoked.
  await app.register(verifier, options)

  // The same guards as in an app with the full plugin. No request to the service; while it cannot be told what is revoked: 503.
  app.get('/me', { onRequest: app.authenticate }, async ({ user }) => ({ id: user.id, scopes: user.scopes }))
  app.get('/items', { preHandler: app.requireScopes('items:read') }, async ({ user }) => ({ owner: user.id, items: ['lamp'] }))

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
  const app = await build({ issuer, audience: process.env.AUDIENCE ?? issuer, clientId: need('CLIENT_ID'), clientSecret: need('CLIENT_SECRET') })
  console.log(`It listens on ${await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3001) })}`)
}

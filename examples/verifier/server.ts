// An API in its own process, without a database. It accepts the access tokens of a service that is already running, and
// rejects a revoked one within a second. It listens on port 3001, or on PORT:
//
//   ISSUER=http://127.0.0.1:3000 CLIENT_ID=... CLIENT_SECRET=... node dist/examples/verifier/server.js

import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import verifier from 'fastify-latchkey/verifier/plugin'
import type { VerifierPluginOptions } from 'fastify-latchkey/verifier/plugin'

export async function build (options: VerifierPluginOptions): Promise<FastifyInstance> {
  const app = fastify()
  // The verifier discovers everything else at the issuer: the keys, the scopes and the feed of revocations.
  await app.register(verifier, options)

  // The same guards as in an app with the full plugin. They send no request to the service. While the revocation status
  // is unknown, they respond 503.
  app.get('/me', { onRequest: app.authenticate }, async ({ user }) => ({ id: user.id, scopes: user.scopes }))
  app.get('/items', { preHandler: app.requireScopes('items:read') }, async ({ user }) => ({
    owner: user.id,
    items: ['lamp']
  }))

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
    clientId: need('CLIENT_ID'),
    clientSecret: need('CLIENT_SECRET')
  })
  console.log(`Listening on ${await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3001) })}`)
}

// The smallest complete app: guarded routes, its own scopes, and a user to try them with. It listens on port 3000:
//
//   node dist/examples/plugin.js

import { randomBytes } from 'node:crypto'
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import latchkey, { authenticate, requireScopes } from 'fastify-latchkey'
import type { LatchkeyOptions } from 'fastify-latchkey'

// New at each start, because attackers try the passwords that examples publish.
export const PASSWORD = randomBytes(12).toString('base64url')

export async function build (options: LatchkeyOptions = {}): Promise<FastifyInstance> {
  const app = fastify()
  await app.register(latchkey, {
    database: ':memory:', // Give a path instead to keep the data across restarts.
    scopes: { 'items:read': 'Read items', 'items:write': 'Change items' },
    ...options
  })
  await app.latchkey.users.add({ username: 'alice', password: PASSWORD, scopes: ['items:read'] })

  const items = ['lamp']
  app.get('/', async () => ({ hello: 'world' }))
  app.get('/me', { onRequest: authenticate }, async ({ user }) => ({ id: user.id, scopes: user.scopes }))
  app.get('/items', { preHandler: requireScopes('items:read') }, async () => items)
  app.delete('/items', { preHandler: requireScopes('items:write') }, async (_request, reply) => {
    items.length = 0
    return reply.code(204).send()
  })
  return app
}

if (process.argv[1] === import.meta.filename) {
  const app = await build()
  await app.listen({ port: 3000 })
  console.log(`Log in as alice, who may read items but not delete them.
Set TOKEN to the access_token of the first response:

  curl -d username=alice -d 'password=${PASSWORD}' http://127.0.0.1:3000/token
  curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:3000/items
  curl -H "Authorization: Bearer $TOKEN" -X DELETE http://127.0.0.1:3000/items`)
}

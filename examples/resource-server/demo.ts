// Starts the service and a separate API that checks its tokens. They listen on ports 3000 and 3001:
//
//   node dist/examples/resource-server/demo.js

import { randomBytes } from 'node:crypto'
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import latchkey from 'fastify-latchkey'
import type { LatchkeyOptions } from 'fastify-latchkey'
import { build } from './server.js'

// New at each start, because attackers try the passwords that examples publish.
const PASSWORD = randomBytes(12).toString('base64url')

/** The name of the API in the tokens. */
export const AUDIENCE = 'https://items.example.com'

/** Builds the service with a user and the API's machine client. `latchkey serve` and two other commands do the same. */
export async function buildService (options: LatchkeyOptions = {}): Promise<{
  service: FastifyInstance
  client: { id: string, secret: string }
}> {
  const service = fastify()
  await service.register(latchkey, {
    database: ':memory:',
    audience: AUDIENCE,
    scopes: { 'items:read': 'Read items', 'items:write': 'Change items' },
    ...options
  })
  await service.latchkey.users.add({ username: 'alice', password: PASSWORD, scopes: ['items:read', 'items:write'] })
  const {
    client: { id },
    secret
  } = await service.latchkey.clients.add({ name: 'items', scopes: ['tokens:introspect'] })
  return { service, client: { id, secret } }
}

if (process.argv[1] === import.meta.filename) {
  const issuer = 'http://127.0.0.1:3000'
  const { service, client } = await buildService({ issuer })
  await service.listen({ port: 3000 })
  const api = await build({ issuer, audience: AUDIENCE, client })
  await api.listen({ port: 3001 })
  console.log(`Log in at the service. Set TOKEN to the access_token of the response, and call the API:

  curl -d username=alice -d 'password=${PASSWORD}' ${issuer}/token
  curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:3001/items

Revoke the token. GET accepts it until it expires, DELETE rejects it at once:

  curl -d "token=$TOKEN" ${issuer}/revoke
  curl -i -H "Authorization: Bearer $TOKEN" http://127.0.0.1:3001/items
  curl -i -H "Authorization: Bearer $TOKEN" -X DELETE http://127.0.0.1:3001/items`)
}

// Starts the service, and an API in another process that verifies its tokens with `fastify-latchkey/verifier`. They
// listen on ports 3000 and 3001:
//
//   node dist/examples/verifier/demo.js

import { randomBytes } from 'node:crypto'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import latchkey from 'fastify-latchkey'
import type { LatchkeyOptions } from 'fastify-latchkey'

// New at each start, because attackers try the passwords that examples publish.
export const PASSWORD = randomBytes(12).toString('base64url')

/** The name of the API in the tokens. */
const AUDIENCE = 'https://items.example.com'

/** The machine client that the API is registered as. */
export interface Client {
  id: string
  secret: string
}

/** Builds the service with a user and the API's machine client. `latchkey serve` and two other commands do the same. */
export async function buildService (options: LatchkeyOptions = {}): Promise<{
  service: FastifyInstance
  client: Client
}> {
  const service = fastify()
  await service.register(latchkey, {
    database: ':memory:',
    audience: AUDIENCE,
    scopes: { 'items:read': 'Read items' },
    ...options
  })
  await service.latchkey.users.add({ username: 'alice', password: PASSWORD, scopes: ['items:read'] })
  // Only this scope: the API may read revocations and nothing else.
  const { client: { id }, secret } = await service.latchkey.clients.add({ name: 'items', scopes: ['revocations:read'] })
  return { service, client: { id, secret } }
}

/** Starts the API in its own process. Returns its URL when it listens. */
export async function startApi (
  { issuer, client, port }: { issuer: string, client: Client, port: number }
): Promise<{ url: string, child: ChildProcess }> {
  const child = spawn(process.execPath, [...process.execArgv, join(import.meta.dirname, 'server.js')], {
    env: {
      ...process.env,
      ISSUER: issuer,
      AUDIENCE,
      CLIENT_ID: client.id,
      CLIENT_SECRET: client.secret,
      PORT: String(port)
    },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  for await (const line of createInterface({ input: child.stdout })) {
    const [, url] = /^Listening on (http:\S+)$/.exec(line) ?? []
    if (url !== undefined) return { url, child }
  }
  throw new Error('The API exited before it listened')
}

if (process.argv[1] === import.meta.filename) {
  const issuer = 'http://127.0.0.1:3000'
  const { service, client } = await buildService({ issuer })
  await service.listen({ port: 3000 })
  const { url, child } = await startApi({ issuer, client, port: 3001 })
  child.on('exit', () => process.exit())
  process.on('SIGTERM', () => child.kill())
  console.log(`Log in at the service. Set TOKEN to the access_token of the response.
Then call the API, which is process ${child.pid}:

  curl -d username=alice -d 'password=${PASSWORD}' ${issuer}/token
  curl -H "Authorization: Bearer $TOKEN" ${url}/items

Revoke the token at the service. The API rejects it within a second:

  curl -d "token=$TOKEN" ${issuer}/revoke
  curl -i -H "Authorization: Bearer $TOKEN" ${url}/items`)
}

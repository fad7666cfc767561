// The service, and an API in another process that verifies its tokens with `fastify-latchkey/verifier`, started together to try them. On
// ports 3000 and 3001:
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

// Random at each start, because attackers try the passwords that examples print.
export const PASSWORD = randomBytes(12).toString('base64url')

/** The API, by its name in the tokens. */
const AUDIENCE = 'https://items.example.com'

/** What the API is to the service. */
export interface Client {
  id: string
  secret: string
}

/** The service with a user, and the machine client as which the API follows it. `latchkey serve` and two verbs would do the same. */
export async function buildService (options: LatchkeyOptions = {}): Promise<{ service: FastifyInstance, client: Client }> {
  const service = fastify()
  await service.register(latchkey, { database: ':memory:', audience: AUDIENCE, scopes: { 'items:read': 'Read items' }, ...options })
  await service.latchkey.users.add({ username: 'alice', password: PASSWORD, scopes: ['items:read'] })
  // This scope and no other: it may know what is revoked, and nothing else.
  const { client: { id }, secret } = await service.latchkey.clients.add({ name: 'items', scopes: ['revocations:read'] })
  return { service, client: { id, secret } }
}

/** Starts the API in a process of its own; gives its URL when it listens. */
export async function startApi ({ issuer, client, port }: { issuer: string, client: Client, port: number }): Promise<{ url: string, child: ChildProcess }> {
  const child = spawn(process.execPath, [...process.execArgv, join(import.meta.dirname, 'server.js')], {
    env: { ...process.env, ISSUER: issuer, AUDIENCE, CLIENT_ID: client.id, CLIENT_SECRET: client.secret, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  for await (const line of createInterface({ input: child.stdout })) {
    const [, url] = /^It listens on (http:\S+)$/.exec(line) ?? []
    if (url !== undefined) return { url, child }
  }
  throw new Error('The API has ended instead of listening')
}

if (process.argv[1] === import.meta.filename) {
  const issuer = 'http://127.0.0.1:3000'
  const { service, client } = await buildService({ issuer })
  await service.listen({ port: 3000 })
  const { url, child } = await startApi({ issuer, client, port: 3001 })
  child.on('exit', () => process.exit())
  process.on('SIGTERM', () => child.kill())
  console.log(`Log in at the service, and use the token at the API, which is process ${child.pid}:

  curl -d username=alice -d 'password=${PASSWORD}' ${issuer}/token
  curl -H "Authorization: Bearer $TOKEN" ${url}/items

Revoke it at the service. The API refuses it within a second:

  curl -d "token=$TOKEN" ${issuer}/revoke
  curl -i -H "Authorization: Bearer $TOKEN" ${url}/items`)
}

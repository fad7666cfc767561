// better-auth with its plugin for API keys, on SQLite. `verifyApiKey` checks each request. It reads the key with its
// permissions, and writes when the key was last used. The rate limit of the plugin is off, because by default a key may
// make ten requests a day.
//
// Based on https://www.better-auth.com/docs/plugins/api-key. The plugin and better-auth must have the same version.

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { apiKey } from '@better-auth/api-key'
import { betterAuth } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'
import Database from 'better-sqlite3'
import Fastify from 'fastify'
import { announce, makeTemporaryFolder } from './announce.js'
import { ITEM, ITEM_SCHEMA } from './item.js'

const database = new Database(join(makeTemporaryFolder(), 'auth.db'))
database.pragma('journal_mode = WAL')

const options = {
  baseURL: 'http://127.0.0.1',
  secret: randomBytes(32).toString('base64'),
  database,
  emailAndPassword: { enabled: true },
  // One of the keys below expires at once, so that the benchmark can check that it is rejected.
  plugins: [apiKey({ rateLimit: { enabled: false }, keyExpiration: { minExpiresIn: 0 } })],
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  logger: { disabled: true }
}
const auth = betterAuth(options)
const { runMigrations } = await getMigrations(options)
await runMigrations()

const app = Fastify()

app.get('/items/1', { schema: { response: { 200: ITEM_SCHEMA } } }, async (request, reply) => {
  const key = request.headers['x-api-key']
  const { valid } = await auth.api.verifyApiKey({ body: { key, permissions: { items: ['read'] } } })
  if (!valid) return reply.code(401).send({ message: 'Unauthorized' })
  return ITEM
})

const { user } = await auth.api.signUpEmail({
  body: { email: 'johndoe@example.com', password: 'marble otter sings at noon', name: 'John Doe' }
})

/** Creates a key. */
async function create (more = {}) {
  return await auth.api.createApiKey({
    body: { userId: user.id, name: 'A program', permissions: { items: ['read'] }, ...more }
  })
}

const good = await create()
const expired = await create({ expiresIn: 1 })
const revoked = await create()
await auth.api.updateApiKey({ body: { keyId: revoked.id, userId: user.id, enabled: false } })
await setTimeout(1_100) // Wait until the key of `expired` has expired. It lives for one second.

const url = await app.listen({ host: '127.0.0.1', port: 0 })
const header = key => ({ 'x-api-key': key })
announce({
  url,
  headers: {
    good: header(good.key),
    expired: header(expired.key),
    forged: header([...good.key].reverse().join('')),
    revoked: header(revoked.key)
  }
})

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import Fastify from 'fastify'
import latchkey from 'fastify-latchkey'
import type { LatchkeyOptions } from 'fastify-latchkey'
import { createTestClock, testOptions, withTestKit } from 'fastify-latchkey/testing'

// Your app. Its tests give it other options.
async function build (options: LatchkeyOptions = {}) {
  const app = Fastify()
  await app.register(latchkey, { database: './auth.db', scopes: { 'items:read': 'Read items' }, ...options })
  app.get('/items', { preHandler: app.requireScopes('items:read') }, async ({ user }) => ({ owner: user.id }))
  return app
}

test('only users with items:read can read the items', async (t) => {
  const clock = createTestClock()
  const app = withTestKit(await build({ ...testOptions, now: clock }))
  t.after(() => app.close())
  const alice = await app.latchkey.users.add({ username: 'alice', password: randomUUID(), scopes: ['items:read'] })

  assert.deepEqual((await app.injectAs('alice', '/items')).json(), { owner: alice.id })
  assert.equal((await app.injectAs({ scopes: [] }, '/items')).statusCode, 403)
  assert.equal((await app.inject('/items')).statusCode, 401)

  const token = await app.createTestToken({ scopes: ['items:read'] })
  const request = { url: '/items', headers: { authorization: `Bearer ${token}` } }
  assert.equal((await app.inject(request)).statusCode, 200)
  await app.revoke(token)
  assert.equal((await app.inject(request)).json().code, 'token_revoked')
  clock.advance('16m')
  assert.equal((await app.inject(request)).json().code, 'token_expired')
})

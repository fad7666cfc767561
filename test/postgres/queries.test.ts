import t from 'tap'
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import latchkey from '../../app.js'
import { kFollower, kStore } from '../../plugins/database.js'
import type { Store } from '../../lib/store/store.js'
import { bearer, logIn, PASSWORD, SECRET, TEST_OPTIONS } from '../helper.js'
import { createDatabase } from './databases.js'

t.test('a protected request on PostgreSQL makes no query: neither the first with a token, nor the next ones', async t => {
  const app = fastify({ logger: false }) as FastifyInstance
  t.teardown(() => app.close())
  const scopes: FastifyInstance[] = []
  app.addHook('onRegister', scope => { scopes.push(scope) })
  // As long as the bound is: an app that stands still for a second asks, and does so rightly.
  await app.register(latchkey, { ...TEST_OPTIONS, database: createDatabase(), secret: SECRET, revocationBound: '1m' })
  app.get('/items', { preHandler: app.requireScopes('items:read') }, async () => 'items')
  await app.ready()
  await app.latchkey.users.add({ username: 'alice', password: PASSWORD, scopes: ['items:read'] })
  const tokens = [await logIn(app), await logIn(app)]
  const scope = scopes.find(scope => scope[kStore] !== undefined)
  const store = scope?.[kStore] as Store
  const call = async (token: string): Promise<number> => (await app.inject({
    url: '/items', headers: bearer(token)
  })).statusCode
  // What the making of the key has announced is taken in by then.
  await store.poll()
  await scope?.[kFollower].refresh()

  const asked: string[] = []
  const original = { ...store }
  store.read = async work => {
    asked.push('read')
    return await original.read(work)
  }
  store.transaction = async work => {
    asked.push('transaction')
    return await original.transaction(work)
  }
  store.poll = async () => {
    asked.push('poll')
    await original.poll()
  }
  for (let round = 0; round < 10; round++) {
    for (const { access_token: token } of tokens) t.equal(await call(token), 200)
  }
  t.strictSame(asked, [])
  await app.inject({ method: 'POST', url: '/revoke', payload: { token: tokens[0]?.refresh_token } })
  t.not(asked.length, 0, 'a revocation does')
  t.equal(await call(tokens[0]?.access_token ?? ''), 401)
})

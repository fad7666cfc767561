import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { Test } from 'tap'
import latchkey from '../../app.js'
import type { LatchkeyOptions } from '../../app.js'
import { bearer, cookieHeader, PASSWORD, TEST_OPTIONS } from '../helper.js'

interface Two {
  app: FastifyInstance
  /** Guards and services of each. */
  a: FastifyInstance
  b: FastifyInstance
}

/** One host, two sibling scopes, two databases, two secrets: `a` under a prefix, `b` without one. */
async function build (t: Test, shared: LatchkeyOptions = {}): Promise<Two> {
  const app = fastify()
  t.teardown(() => app.close())
  const scopes: FastifyInstance[] = []
  for (const [name, options] of [['a', { prefix: '/a' }], ['b', {}]] as const) {
    await app.register(async scope => {
      await scope.register(latchkey, { ...TEST_OPTIONS, secret: name.repeat(32), ...shared, ...options })
      scope.get(`/of-${name}`, { onRequest: scope.authenticate }, async request => ({ id: request.user.id }))
      scope.get(
        `/admin-of-${name}`, { preHandler: scope.requireScopes('admin') }, async request => ({ id: request.user.id })
      )
      scopes.push(scope)
    })
  }
  const [a, b] = scopes as [FastifyInstance, FastifyInstance]
  for (const scope of scopes) {
    await scope.latchkey.users.add({
      username: 'alice', password: PASSWORD, scopes: ['admin']
    })
  }
  return { app, a, b }
}

async function logIn (app: FastifyInstance, prefix: string): Promise<string> {
  const response = await app.inject({
    method: 'POST', url: `${prefix}/token`, payload: { username: 'alice', password: PASSWORD }
  })
  return response.json().access_token
}

t.test('each has its own users, sessions and tokens', async t => {
  const { app, a, b } = await build(t)
  const [tokenA, tokenB] = [await logIn(app, '/a'), await logIn(app, '')]
  const statuses = async (url: string): Promise<number[]> => await Promise.all([tokenA, tokenB].map(
    async token => (await app.inject({ url, headers: bearer(token) })).statusCode
  ))

  t.same(await statuses('/of-a'), [200, 401])
  t.same(await statuses('/of-b'), [401, 200])
  t.same(await statuses('/admin-of-a'), [200, 401])
  t.same(await statuses('/admin-of-b'), [401, 200])
  t.same(await statuses('/a/users/me'), [200, 401])
  t.same(await statuses('/users/me'), [401, 200])

  t.equal((await a.latchkey.users.list()).length, 1)
  await a.latchkey.users.add({ username: 'only-in-a', password: PASSWORD })
  t.equal(await b.latchkey.users.findByName('only-in-a'), null)

  await app.inject({ method: 'POST', url: '/a/revoke', payload: { token: tokenB } })
  t.same(await statuses('/of-b'), [401, 200], 'one cannot revoke for the other')
  await app.inject({ method: 'POST', url: '/revoke', payload: { token: tokenB } })
  t.same(await statuses('/of-b'), [401, 401])
  t.same(await statuses('/of-a'), [200, 401])
})

t.test('the same secret and issuer do not make one of two: each database has its own keys', async t => {
  const { app } = await build(t, { secret: 'one secret for both, of 32 bytes' })
  t.equal((await app.inject({ url: '/of-b', headers: bearer(await logIn(app, '/a')) })).statusCode, 401)
})

t.test('cookies of one are refused by the other', async t => {
  const { app } = await build(t)
  const login = await app.inject({
    method: 'POST', url: '/a/login', payload: { username: 'alice', password: PASSWORD }
  })
  const headers = { cookie: cookieHeader(login) }
  t.equal((await app.inject({ url: '/of-a', headers })).statusCode, 200)
  t.equal((await app.inject({ url: '/of-b', headers })).statusCode, 401)
  t.equal((await app.inject({ method: 'POST', url: '/refresh', headers })).statusCode, 401)
  t.equal((await app.inject({ method: 'POST', url: '/a/refresh', headers })).statusCode, 200)
})

t.test('the guards of one do not accept the request.user of the other', async t => {
  const app = fastify()
  t.teardown(() => app.close())
  const guards: Record<string, Pick<FastifyInstance, 'authenticate' | 'requireScopes'>> = {}
  for (const name of ['a', 'b']) {
    await app.register(async scope => {
      await scope.register(latchkey, { ...TEST_OPTIONS, prefix: `/${name}` })
      await scope.latchkey.users.add({ username: 'alice', password: PASSWORD, scopes: ['admin'] })
      guards[name] = { authenticate: scope.authenticate, requireScopes: scope.requireScopes }
    })
  }
  const { a, b } = guards as Record<'a' | 'b', typeof guards[string]>
  const answer = async (): Promise<string> => 'in'
  await app.register(async scope => {
    scope.get('/both', { onRequest: [a.authenticate, b.authenticate] }, answer)
    scope.get('/a-then-scope-of-b', { onRequest: a.authenticate, preHandler: b.requireScopes('admin') }, answer)
    scope.get('/scope-of-a-then-of-b', { preHandler: [a.requireScopes('admin'), b.requireScopes('admin')] }, answer)
    scope.get('/forged', {
      onRequest: async request => { Object.assign(request, { user: { id: 'mallory', scopes: ['admin'] } }) },
      preHandler: a.requireScopes('admin')
    }, answer)
    scope.get('/replaced', {
      onRequest: a.authenticate,
      preValidation: async request => { Object.assign(request, { user: { ...request.user, scopes: ['admin'] } }) },
      preHandler: a.requireScopes('admin')
    }, answer)
  })
  await app.ready()
  const [tokenA, tokenB] = [await logIn(app, '/a'), await logIn(app, '/b')]
  for (const url of ['/both', '/a-then-scope-of-b', '/scope-of-a-then-of-b']) {
    for (const [name, token] of [['a', tokenA], ['b', tokenB]] as const) {
      t.equal((await app.inject({ url, headers: bearer(token) })).statusCode, 401, `${url} with a token of ${name}`)
    }
  }
  t.equal((await app.inject('/forged')).statusCode, 401, 'request.user of somebody else proves nothing')
  t.equal((await app.inject({ url: '/forged', headers: bearer(tokenB) })).statusCode, 401)

  const poor = await app.inject({
    method: 'POST', url: '/a/token', payload: { username: 'alice', password: PASSWORD, scope: 'admin' }
  })
  t.equal(
    (await app.inject({ url: '/replaced', headers: bearer(poor.json().access_token) })).statusCode, 200,
    'verified again, from the token'
  )
})

t.test('scopes that a hook adds to request.user are not the token\'s', async t => {
  const app = fastify()
  t.teardown(() => app.close())
  await app.register(latchkey, TEST_OPTIONS)
  await app.latchkey.users.add({ username: 'bob', password: PASSWORD, scopes: [] })
  app.get('/replaced', {
    onRequest: app.authenticate,
    preValidation: async request => { Object.assign(request, { user: { ...request.user, scopes: ['admin'] } }) },
    preHandler: app.requireScopes('admin')
  }, async () => 'in')
  const login = await app.inject({ method: 'POST', url: '/token', payload: { username: 'bob', password: PASSWORD } })
  t.equal((await app.inject({ url: '/replaced', headers: bearer(login.json().access_token) })).statusCode, 403)
})

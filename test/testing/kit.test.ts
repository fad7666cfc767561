import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { Test } from 'tap'
import latchkey from '../../app.js'
import type { LatchkeyOptions, SecurityEvent, User } from '../../app.js'
import { createTestClock, testOptions, withTestKit } from '../../testing/index.js'
import type { TestClock, TestKit } from '../../testing/index.js'
import { bearer, PASSWORD } from '../helper.js'
import { claimsOf, headerOf } from '../routes/support.js'

interface Bed {
  app: FastifyInstance & TestKit
  clock: TestClock
  events: SecurityEvent[]
}

/** An app as a user of the kit has it, and `alice` in it. */
async function build (t: Test, options: LatchkeyOptions = {}): Promise<Bed> {
  const clock = createTestClock()
  const events: SecurityEvent[] = []
  const app = fastify()
  t.teardown(() => app.close())
  await app.register(latchkey, {
    issuer: 'https://auth.example.com',
    scopes: { 'items:read': 'Read items', 'items:write': 'Change items' },
    onEvent: event => { events.push(event) },
    ...testOptions,
    now: clock,
    ...options
  })
  app.get(
    '/items',
    { preHandler: app.requireScopes('items:read') },
    async ({ user, headers }) => ({
      id: user.id, scopes: user.scopes, tenant: user.claims.tenant, trace: headers['x-trace']
    })
  )
  app.post(
    '/items', { preHandler: app.requireScopes('items:write') }, async ({ user, body }) => ({ id: user.id, body })
  )
  if (options.users === undefined) {
    await app.latchkey.users.add({
      username: 'alice', password: PASSWORD, scopes: ['items:read']
    })
  }
  return { app: withTestKit(app), clock, events }
}

t.test('a test token is one that a login of this app could have given', async t => {
  const { app, clock, events } = await build(t)
  const token = await app.createTestToken({ scopes: ['items:read'] })
  const [key] = (await app.inject('/.well-known/jwks.json')).json().keys
  const iat = Math.floor(clock() / 1000)
  t.same(headerOf(token), { alg: 'ES256', typ: 'at+jwt', kid: key.kid }, 'the published key signs it')
  t.match(
    claimsOf(token),
    {
      iss: 'https://auth.example.com',
      aud: 'https://auth.example.com',
      iat,
      exp: iat + 900,
      sid: String,
      scope: 'items:read'
    }
  )
  t.match(
    events.filter(({ type }) => type === 'login').map(({ subject, sessionId }) => ({ subject, sessionId })),
    [{ subject: claimsOf(token).sub, sessionId: claimsOf(token).sid }]
  )

  t.equal((await app.inject({ url: '/items', headers: bearer(token) })).statusCode, 200)
  t.equal((await app.inject({ method: 'POST', url: '/items', headers: bearer(token), payload: {} })).statusCode, 403)
  t.match(
    (await app.inject({ url: '/users/me', headers: bearer(token) })).json(),
    { id: claimsOf(token).sub, scopes: ['items:read'] }, 'its user has an account'
  )
  const { app: another } = await build(t)
  t.equal((await another.inject({ url: '/items', headers: bearer(token) })).statusCode, 401, 'no other app believes it')
})

t.test('the same scopes are the same user, other scopes another one', async t => {
  const { app } = await build(t)
  const idOf = async (scopes: string[]): Promise<unknown> => claimsOf(await app.createTestToken({ scopes })).sub
  const [first, second, swapped, fewer] = await Promise.all([
    idOf(['items:read', 'items:write']), idOf(['items:read', 'items:write']), idOf(['items:write', 'items:read']),
    idOf(['items:read'])
  ])
  t.equal(second, first, 'also at once')
  t.equal(swapped, first)
  t.not(fewer, first)
  t.equal(claimsOf(await app.createTestToken({ scopes: [] })).scope, '')
  t.equal((await app.latchkey.users.list()).length, 4, 'alice and three')
})

t.test('injectAs: by name, by user, by scopes; the rest of the request stays', async t => {
  const { app } = await build(t)
  const alice = await app.latchkey.users.findByName('alice') as User
  t.match((await app.injectAs('alice', '/items')).json(), { id: alice.id, scopes: ['items:read'] })
  t.match(
    (await app.injectAs(
      alice, { url: '/items', headers: { 'x-trace': '7', authorization: 'Bearer nonsense' } }
    )).json(),
    { id: alice.id, trace: '7' }
  )
  const posted = await app.injectAs(
    { scopes: ['items:write'] }, { method: 'POST', url: '/items', payload: { name: 'spoon' } }
  )
  t.match(posted.json(), { body: { name: 'spoon' } })
  t.equal((await app.injectAs('alice', { method: 'POST', url: '/items', payload: {} })).statusCode, 403)
  t.equal((await app.inject('/items')).statusCode, 401, 'inject itself is as it was')

  await app.latchkey.users.setScopes(alice.id, ['items:write'])
  t.equal(
    (await app.injectAs(alice, { method: 'POST', url: '/items', payload: {} })).statusCode, 200,
    'what the user has now, not what the test remembers'
  )
  t.equal((await app.injectAs(alice, '/items')).statusCode, 403)
})

t.test('the clock: tokens expire when it has advanced, and it does not go back', async t => {
  const { app, clock } = await build(t)
  const headers = bearer(await app.createTestToken('alice'))
  const start = clock()
  clock.advance('14m')
  t.equal((await app.inject({ url: '/items', headers })).statusCode, 200)
  clock.advance(60_000)
  t.equal(clock(), start + 15 * 60_000)
  const response = await app.inject({ url: '/items', headers })
  t.equal(response.statusCode, 401)
  t.match(response.headers['www-authenticate'], /expired/)
  t.equal((await app.injectAs('alice', '/items')).statusCode, 200, 'who logs in now has a new one')
  for (const wrong of ['16', 'soon', '-1m', -1, NaN, Infinity]) {
    t.throws(
      () => clock.advance(wrong), { name: 'TypeError', message: /^advance\(\) takes/ }, String(wrong)
    )
  }
  t.equal(createTestClock(1_000)(), 1_000)
})

t.test('revoke: that token is dead, by the real revocation, and no other', async t => {
  const { app, clock, events } = await build(t)
  const [token, other] = [await app.createTestToken('alice'), await app.createTestToken('alice')]
  await app.revoke(token)
  await app.revoke(token)
  const response = await app.inject({ url: '/items', headers: bearer(token) })
  t.equal(response.statusCode, 401)
  t.match(response.headers['www-authenticate'], /revoked/)
  t.equal((await app.inject({ url: '/items', headers: bearer(other) })).statusCode, 200)
  t.same(
    events.filter(({ type }) => type === 'token_revoked').map(({ details }) => details),
    [{ tokenId: claimsOf(token).jti }]
  )
  clock.advance('1h')
  await app.revoke(other)

  const { app: another } = await build(t)
  for (const wrong of ['', 'lkr_x', await another.createTestToken('alice')]) {
    await t.rejects(
      app.revoke(wrong), { name: 'TypeError', message: /not an access token of this app$/ }
    )
  }
})

t.test('a test key is a personal access token of this app', async t => {
  const { app, clock } = await build(t, { accepts: ['token', 'key'] })
  const status = async (token: string): Promise<number> =>
    (await app.inject({ url: '/items', headers: bearer(token) })).statusCode
  const key = await app.createTestKey('alice')
  const alice = await app.latchkey.users.findByName('alice') as User
  t.match((await app.inject({ url: '/items', headers: bearer(key) })).json(), { id: alice.id, scopes: ['items:read'] })
  t.match(await app.latchkey.personalAccessTokens.list(alice.id), [{ scopes: ['items:read'], expiresAt: undefined }])

  const other = await app.createTestKey({ scopes: ['items:read', 'items:write'] }, { scopes: ['items:write'] })
  t.equal(await status(other), 403, 'it has the scopes that the test names')
  t.equal((await app.inject({ method: 'POST', url: '/items', headers: bearer(other), payload: {} })).statusCode, 200)
  t.equal(await status(await app.createTestKey(alice, { scopes: [] })), 403, 'or none')

  await app.revoke(key)
  t.equal((await app.inject({ url: '/items', headers: bearer(key) })).json().code, 'token_revoked')
  await t.rejects(app.revoke(key), { name: 'TypeError', message: /not a personal access token of this app$/ })

  const short = await app.createTestKey(alice, { expiresIn: 60 })
  t.equal(await status(short), 200)
  clock.advance('1m')
  t.equal((await app.inject({ url: '/items', headers: bearer(short) })).json().code, 'token_expired')

  const { app: another } = await build(t)
  await t.rejects(another.revoke(other), { name: 'TypeError' }, 'a key of another app')
  t.equal(await status(other), 403, 'another key is still accepted')
})

t.test('a test key that the app would not give', async t => {
  const { app } = await build(t)
  const { id } = await app.latchkey.users.findByName('alice') as User
  const key = await app.createTestKey('alice')
  t.equal((await app.inject({ url: '/items', headers: bearer(key) })).statusCode, 401, 'the routes accept no keys')
  await t.rejects(app.createTestKey('bob'), { name: 'TypeError', message: /^There is no user bob/ })
  await t.rejects(app.createTestKey('alice', { scopes: ['items:write'] }), { code: 'invalid_scope' })
  await t.rejects(app.createTestKey('alice', { expiresIn: 0 }), { code: 'invalid_request' })
  await app.latchkey.users.disable(id)
  await t.rejects(app.createTestKey('alice'), { code: 'not_found' })

  const ada = { id: 'u1', username: 'ada', scopes: ['items:read'] }
  const { app: own } = await build(t, {
    accepts: ['key'], users: { authenticate: async () => null, find: async id => id === ada.id ? ada : null }
  })
  const adas = await own.createTestKey(ada)
  t.equal((await own.inject({ url: '/items', headers: bearer(adas) })).json().id, 'u1')
  await t.rejects(own.createTestKey({ scopes: [] }), { code: 'not_found' }, 'find does not know this one')
})

t.test('a test token of a client: of one that the test added, or of any with these scopes', async t => {
  const { app } = await build(t)
  const read = async (token: string): Promise<{ id: string, scopes: string[] }> =>
    (await app.inject({ url: '/items', headers: bearer(token) })).json()
  const { client } = await app.latchkey.clients.add({ name: 'Reports', scopes: ['items:read'] })
  t.match(await read(await app.createTestClientToken(client)), { id: client.id, scopes: ['items:read'] })
  const other = await read(await app.createTestClientToken({ scopes: ['items:read', 'items:write'] }))
  t.match(other, { scopes: ['items:read', 'items:write'] })
  t.not(other.id, client.id)
  await t.rejects(app.createTestClientToken({ scopes: ['nonsense'] }), { name: 'RangeError' })
  await app.latchkey.clients.remove(client.id)
  await t.rejects(app.createTestClientToken(client), { code: 'invalid_client' })
})

t.test('users of the app\'s own: anybody whom it could give, and its claims', async t => {
  const ada = { id: 'u1', username: 'ada', scopes: ['items:read'] }
  const { app } = await build(
    t,
    {
      users: { authenticate: async () => null, find: async id => id === ada.id ? ada : null },
      claims: user => ({ tenant: `of ${user.username}` })
    }
  )
  t.same((await app.injectAs(ada, '/items')).json(), { id: 'u1', scopes: ['items:read'], tenant: 'of ada' })
  t.equal((await app.injectAs(ada, '/users/me')).json().username, 'ada')
  t.equal((await app.injectAs({ scopes: ['items:read'] }, '/items')).statusCode, 200)
  t.equal((await app.injectAs({ scopes: ['items:read'] }, '/users/me')).statusCode, 401, 'find does not know this one')
  await t.rejects(app.injectAs('ada', '/items'), { name: 'TypeError', message: /itself \(option users\)/ })
  await t.rejects(
    app.injectAs({ scopes: ['nonsense'] }, '/items'), { name: 'RangeError', message: /Unknown scope 'nonsense'/ }
  )
})

t.test('what no login would give is no test token either', async t => {
  const { app } = await build(t)
  const { id } = await app.latchkey.users.findByName('alice') as User
  await t.rejects(app.createTestToken('bob'), { name: 'TypeError', message: /^There is no user bob/ })
  await t.rejects(
    app.createTestToken({ id: 'u1', username: 'ada', scopes: [] }),
    { name: 'TypeError', message: /^There is no user ada/ }
  )
  await t.rejects(
    app.createTestToken({ scopes: ['nonsense'] }),
    { name: 'RangeError', message: /Unknown scope 'nonsense'.*items:read/ }
  )
  await app.latchkey.users.disable(id)
  await t.rejects(app.createTestToken('alice'), { code: 'invalid_credentials' })
})

t.test('the kit waits for an app that is not ready, and names one that has no Latchkey', async t => {
  const app = fastify()
  t.teardown(() => app.close())
  app.register(latchkey, { ...testOptions, prefix: '/auth' })
  t.equal((await withTestKit(app).injectAs({ scopes: ['users:read'] }, '/auth/users')).statusCode, 200)

  const bare = fastify()
  t.teardown(() => bare.close())
  await t.rejects(
    withTestKit(bare).createTestToken({ scopes: [] }), { name: 'TypeError', message: /an app without Latchkey/ }
  )

  const outer = fastify()
  t.teardown(() => outer.close())
  const scopes: FastifyInstance[] = []
  outer.register(async scope => {
    await scope.register(latchkey, testOptions)
    scopes.push(scope)
  })
  await outer.ready()
  t.equal(
    (await withTestKit(scopes[0] as FastifyInstance).injectAs({ scopes: ['users:read'] }, '/users')).statusCode, 200,
    'in a scope of its own'
  )
})

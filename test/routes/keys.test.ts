import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { fastify } from 'fastify'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import t from 'tap'
import type { Test } from 'tap'
import latchkey, { authenticate, requireScopes } from '../../app.js'
import type { LatchkeyOptions } from '../../app.js'
import { createValue, isWellFormed } from '../../lib/personal-access-tokens/value.js'
import { addUsers, bearer, build, createTestClock, logIn, ON_POSTGRES, postForm, SECRET, TEST_OPTIONS } from '../helper.js'
import type { TestClock } from '../helper.js'
import { addClient, assertProblem, databaseFile, query } from './support.js'

const MINUTE = 60_000
const DAY = 86_400_000
const BOTH = { latchkey: { accepts: ['token', 'key'] } } as const

interface Key {
  id: string
  value: string
  [member: string]: unknown
}

interface Bench {
  app: FastifyInstance
  clock: TestClock
  create (token: string, body: object): Promise<Key>
  /** The status of a route that accepts keys and requires a scope, and of one that requires none. */
  read (value: string): Promise<number>
  me (value: string): Promise<number>
}

async function open (t: Test, options: LatchkeyOptions = {}): Promise<Bench> {
  const clock = createTestClock()
  const app = fastify({ logger: false }) as FastifyInstance
  t.teardown(() => app.close())
  await app.register(latchkey, { ...TEST_OPTIONS, now: clock, ...options })
  app.get('/items', { config: BOTH, preHandler: app.requireScopes('items:read') }, async ({ user }) => user)
  app.get('/me', { config: BOTH, onRequest: app.authenticate }, async ({ user }) => user)
  app.post('/me', { config: BOTH, onRequest: app.authenticate }, async ({ user }) => user)
  app.get('/tokens-only', { onRequest: app.authenticate }, async ({ user }) => user)
  app.get('/keys-only', { config: { latchkey: { accepts: ['key'] } }, onRequest: authenticate }, async ({ user }) => user)
  app.get('/optional', { config: BOTH, onRequest: app.authenticateOptional }, async ({ user }) => user ?? 'nobody')
  await app.ready()
  if (options.users === undefined) await addUsers(app)
  const status = (url: string) => async (value: string): Promise<number> =>
    (await app.inject({ url, headers: bearer(value) })).statusCode
  return {
    app,
    clock,
    async create (token, body) {
      const response = await app.inject({ method: 'POST', url: '/keys', headers: bearer(token), payload: body })
      if (response.statusCode !== 201) throw new Error(response.body)
      return response.json()
    },
    read: status('/items'),
    me: status('/me')
  }
}

t.test('a key: it is shown once, works with its scopes, says what it is, and is listed without its value', async t => {
  const { app, clock, create } = await open(t)
  const { access_token: token } = await logIn(app)
  const response = await app.inject({
    method: 'POST', url: '/keys', headers: bearer(token), payload: { name: 'backup', scopes: ['items:read'], expires_in: 3_600 }
  })
  t.equal(response.statusCode, 201)
  t.equal(response.headers['cache-control'], 'no-store')
  const { value, ...view } = response.json()
  t.match(value, /^lkp_[0-9A-Za-z]{42}$/)
  t.ok(isWellFormed(value))
  t.match(view, {
    name: 'backup',
    scopes: ['items:read'],
    last_used_at: null,
    created_at: new Date(clock()).toISOString(),
    expires_at: new Date(clock() + 3_600_000).toISOString()
  })
  const user = (await app.inject({ url: '/items', headers: bearer(value) })).json()
  const alice = await app.latchkey.users.findByName('alice')
  t.match(user, { id: alice?.id, scopes: ['items:read'], tokenId: view.id, credential: 'key', claims: { sub: alice?.id } })
  t.equal(user.sessionId, undefined)
  t.equal((await app.inject({ url: '/me', headers: bearer(token) })).json().credential, 'token')
  clock.move(1)
  const other = await create(token, { name: 'another', scopes: [] })
  const list = await app.inject({ url: '/keys', headers: bearer(token) })
  t.strictSame(list.json().keys.map(({ id }: Key) => id), [other.id, view.id], 'newest first')
  t.notOk(list.body.includes(value))
  t.equal((await app.inject({ url: '/me', headers: bearer(other.value) })).statusCode, 200, 'a key without scopes')
  t.equal((await app.inject({ url: '/items', headers: bearer(other.value) })).statusCode, 403)
})

t.test('a key works where the route or the app accepts it, never from a cookie, and alike in every guard', async t => {
  const { app, create, read } = await open(t)
  const { access_token: token } = await logIn(app)
  const { value } = await create(token, { name: 'x', scopes: ['items:read'] })
  t.equal(await read(value), 200)
  const call = async (url: string, headers: Record<string, string>): Promise<number> =>
    (await app.inject({ url, headers })).statusCode
  t.equal(await call('/tokens-only', bearer(value)), 401)
  t.equal(await call('/keys-only', bearer(value)), 200)
  t.equal(await call('/keys-only', bearer(token)), 401)
  t.equal(await call('/tokens-only', bearer(token)), 200)
  t.equal(await call('/me', { cookie: `__Host-access_token=${value}` }), 401, 'not from a cookie')
  t.equal((await app.inject({ url: '/optional', headers: bearer(value) })).json().credential, 'key')
  t.equal(await call('/optional', bearer(createValue())), 401, 'a bad key is an error, not an anonymous request')
  const refused = await app.inject({ url: '/tokens-only', headers: bearer(value) })
  t.match(refused.headers['www-authenticate'], /^Bearer error="invalid_token", error_description="This route accepts no/)

  const other = fastify({ logger: false }) as FastifyInstance
  t.teardown(() => other.close())
  await other.register(latchkey, { ...TEST_OPTIONS, accepts: ['token', 'key'], decorators: false })
  other.addHook('onRequest', authenticate)
  other.get('/items', { preHandler: requireScopes('items:read') }, async () => 'items')
  other.get('/tokens-only', { config: { latchkey: { accepts: ['token'] } } }, async () => 'tokens')
  await other.ready()
  await addUsers(other)
  const alice = await other.latchkey.users.findByName('alice')
  const created = await other.latchkey.personalAccessTokens.create(alice?.id ?? '', { name: 'x', scopes: ['items:read'] })
  const status = async (url: string, text: string): Promise<number> =>
    (await other.inject({ url, headers: bearer(text) })).statusCode
  t.equal(await status('/items', created.value), 200, 'the option')
  t.equal(await status('/tokens-only', created.value), 401, 'a route that differs, under a guard of the app')
  t.equal(await status('/keys', created.value), 401, 'our own routes for keys accept none')
  t.equal(await status('/users/me', created.value), 200, 'and those for data do')
})

t.test('our own routes: those for data accept keys, those for passwords, keys, clients and scopes do not', async t => {
  const { app, create } = await open(t)
  await app.latchkey.users.setScopes((await app.latchkey.users.findByName('alice'))?.id ?? '', Object.keys(app.latchkey.scopes))
  const { access_token: token } = await logIn(app)
  const { value } = await create(token, { name: 'all', scopes: Object.keys(app.latchkey.scopes) })
  const bob = (await app.latchkey.users.findByName('bob'))?.id ?? ''
  const call = async (method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', url: string): Promise<number> =>
    (await app.inject({ method, url, headers: bearer(value), ...method === 'GET' || method === 'DELETE' ? {} : { payload: {} } })).statusCode
  for (const url of ['/users/me', '/users', `/users/${bob}`, `/users/${bob}/sessions`, `/users/${bob}/keys`, '/sessions', '/audit']) {
    t.equal(await call('GET', url), 200, `GET ${url}`)
  }
  for (const [method, url] of [
    ['PUT', '/users/me/password'], ['POST', '/keys'], ['GET', '/keys'], ['POST', '/users'], ['PATCH', `/users/${bob}`],
    ['DELETE', `/users/${bob}`], ['GET', '/clients'], ['POST', '/clients'], ['DELETE', `/users/${bob}/keys/${bob}`]
  ] as const) t.equal(await call(method, url), 401, `${method} ${url}`)
})

t.test('a key has no more than its owner, at any time, and dies with the account', async t => {
  const { app, clock, create, read, me } = await open(t)
  const { access_token: token } = await logIn(app)
  const alice = (await app.latchkey.users.findByName('alice'))?.id ?? ''
  const { value } = await create(token, { name: 'x', scopes: ['items:read', 'admin'] })
  t.equal(await read(value), 200)
  await app.latchkey.users.setScopes(alice, ['admin'])
  t.equal(await read(value), 403, 'at once')
  t.equal(await me(value), 200)
  await app.latchkey.users.setScopes(alice, ['admin', 'items:read', 'items:write'])
  clock.move(2 * MINUTE)
  t.equal(await read(value), 200, 'it grows again to what it was created with')
  t.strictSame((await app.inject({ url: '/me', headers: bearer(value) })).json().scopes, ['admin', 'items:read'])
  await app.latchkey.sessions.endAll(alice)
  t.equal(await read(value), 200, 'it is no session')
  await app.latchkey.users.setPassword(alice, 'another password of alice')
  t.equal(await read(value), 200)
  await app.latchkey.users.disable(alice)
  t.equal(await me(value), 401)
  await app.latchkey.users.enable(alice)
  t.equal(await me(value), 200)
  await app.latchkey.users.remove(alice)
  t.equal(await me(value), 401)
  t.strictSame(await app.latchkey.personalAccessTokens.list(alice), [])
})

t.test('what a key may be created with', async t => {
  const { app, create } = await open(t)
  const { access_token: token } = await logIn(app)
  const post = (payload: object, credential = token): Promise<LightMyRequestResponse> =>
    app.inject({ method: 'POST', url: '/keys', headers: bearer(credential), payload })
  assertProblem(t, await post({ name: 'x', scopes: ['items:write'] }), 400, 'invalid_scope')
  assertProblem(t, await post({ name: 'x', scopes: ['unheard:of'] }), 400, 'invalid_scope')
  const narrow = (await postForm(app, '/token', { username: 'alice', password: 'marble otter sings at noon', scope: 'admin' })).json()
  assertProblem(t, await post({ name: 'x', scopes: ['items:read'] }, narrow.access_token), 400, 'invalid_scope', 'more than the token that asks')
  for (const [body, member] of [
    [{ scopes: [] }, 'name'], [{ name: 'x' }, 'scopes'], [{ name: '', scopes: [] }, 'name'], [{ name: ' x', scopes: [] }, 'name'],
    [{ name: 'a\u0000b', scopes: [] }, 'name'], [{ name: 'x'.repeat(101), scopes: [] }, 'name'], [{ name: 7, scopes: [] }, 'name'],
    [{ name: 'x', scopes: 'items:read' }, 'scopes'], [{ name: 'x', scopes: [7] }, 'scopes'], [{ name: 'x', scopes: ['a b'] }, 'scopes'],
    [{ name: 'x', scopes: [], expires_in: 0 }, 'expires_in'], [{ name: 'x', scopes: [], expires_in: 1e12 }, 'expires_in'],
    [{ name: 'x', scopes: [], expires_in: '60' }, 'expires_in'], [{ name: 'x', scopes: [], more: 1 }, 'more']
  ] as Array<[object, string]>) {
    const response = await post(body)
    assertProblem(t, response, 400, 'invalid_request', JSON.stringify(body))
    t.match(response.json().detail, member, JSON.stringify(body))
  }
  const client = await addClient(app, { scopes: ['items:read'] })
  const own = (await postForm(app, '/token', { grant_type: 'client_credentials' }, client.basic)).json()
  assertProblem(t, await post({ name: 'x', scopes: [] }, own.access_token), 403, 'user_required')
  const made = await Promise.all(Array.from({ length: 105 }, () => create(token, { name: 'many', scopes: [] }).then(() => true, () => false)))
  t.equal(made.filter(isMade => isMade).length, 100, 'at most a hundred, also at once')
})

t.test('a revoked key is refused at once, here and in another process, and any holder of its value can revoke it', async t => {
  const options = { database: databaseFile(t), secret: SECRET }
  const { app, create, read } = await open(t, options)
  const { access_token: token } = await logIn(app)
  const other = ON_POSTGRES ? undefined : (await build(t, { ...options, accepts: ['token', 'key'] })).app
  const there = async (value: string): Promise<number | undefined> =>
    (await other?.inject({ url: '/protected-route', headers: bearer(value) }))?.statusCode
  const { id, value } = await create(token, { name: 'x', scopes: ['items:read'] })
  t.equal(await read(value), 200)
  if (other !== undefined) t.equal(await there(value), 200)
  const remove = (id: string, credential: string): Promise<LightMyRequestResponse> =>
    app.inject({ method: 'DELETE', url: `/keys/${id}`, headers: bearer(credential) })
  const bob = await logIn(app, 'bob')
  assertProblem(t, await remove(id, bob.access_token), 404, 'not_found', "another user's")
  t.equal((await remove(id, token)).statusCode, 204)
  const refused = await app.inject({ url: '/items', headers: bearer(value) })
  t.match(refused.json(), { statusCode: 401, code: 'token_revoked' })
  if (other !== undefined) t.equal(await there(value), 401)
  assertProblem(t, await remove(id, token), 404, 'not_found', 'twice')
  assertProblem(t, await remove('x', token), 400, 'invalid_request')

  const found = await create(token, { name: 'in a repository', scopes: [] })
  t.equal((await postForm(app, '/revoke', { token: found.value })).statusCode, 200)
  t.equal((await app.inject({ url: '/me', headers: bearer(found.value) })).statusCode, 401)
  t.equal((await postForm(app, '/revoke', { token: found.value })).statusCode, 200, 'again')
  const leaked = await create(token, { name: 'found by a scanner', scopes: [] })
  const scanner = await addClient(app, { scopes: [] })
  t.equal((await postForm(app, '/revoke', { token: leaked.value }, scanner.basic)).statusCode, 200)
  t.equal((await app.inject({ url: '/me', headers: bearer(leaked.value) })).statusCode, 401, 'by a machine client')
})

t.test('a token that expires while the body of one of our own routes is sent changes nothing', async t => {
  const { app, clock } = await open(t)
  const { access_token: token } = await logIn(app)
  async function * slowly (): AsyncGenerator<string> {
    yield '{"name":'
    await sleep(20)
    clock.move(16 * MINUTE)
    yield '"late","scopes":[]}'
  }
  const response = await app.inject({
    method: 'POST',
    url: '/keys',
    headers: { ...bearer(token), 'content-type': 'application/json' },
    payload: Readable.from(slowly())
  })
  assertProblem(t, response, 401, 'token_expired')
})

t.test('an administrator sees and revokes the keys of others, within its authority', async t => {
  const { app, create, me } = await open(t)
  const ids = Object.fromEntries(await Promise.all(['alice', 'bob'].map(
    async name => [name, (await app.latchkey.users.findByName(name))?.id ?? '']
  )))
  await app.latchkey.users.setScopes(ids.alice, ['users:read', 'users:write'])
  const alice = await logIn(app)
  const key = await create((await logIn(app, 'bob')).access_token, { name: 'x', scopes: [] })
  const list = await app.inject({ url: `/users/${ids.bob}/keys`, headers: bearer(alice.access_token) })
  t.match(list.json(), { keys: [{ id: key.id, name: 'x' }] })
  const remove = (user: string): Promise<LightMyRequestResponse> =>
    app.inject({ method: 'DELETE', url: `/users/${user}/keys/${key.id}`, headers: bearer(alice.access_token) })
  assertProblem(t, await remove(ids.alice), 404, 'not_found')
  await app.latchkey.users.setScopes(ids.bob, ['audit:read'])
  assertProblem(t, await remove(ids.bob), 403, 'insufficient_scope', 'a user with more authority')
  await app.latchkey.users.setScopes(ids.bob, [])
  t.equal((await remove(ids.bob)).statusCode, 204)
  t.equal(await me(key.value), 401)
})

t.test('a key is created only soon after a login', async t => {
  const { app, clock } = await open(t)
  const first = await logIn(app)
  const post = (token: string): Promise<LightMyRequestResponse> =>
    app.inject({ method: 'POST', url: '/keys', headers: bearer(token), payload: { name: 'x', scopes: [] } })
  clock.move(14 * MINUTE)
  t.equal((await post(first.access_token)).statusCode, 201)
  const next = (await app.inject({
    method: 'POST', url: '/refresh', payload: { refresh_token: first.refresh_token }
  })).json()
  clock.move(2 * MINUTE)
  const response = await post(next.access_token)
  assertProblem(t, response, 401, 'insufficient_user_authentication')
  t.match(response.headers['www-authenticate'], /max_age="900"/)
  t.equal((await post((await logIn(app)).access_token)).statusCode, 201)
})

t.test('a malformed key costs no query, an unknown one costs one, and too many of them are refused', async t => {
  const { app, clock, create, me } = await open(t, { rateLimit: true })
  const { access_token: token } = await logIn(app)
  const { value } = await create(token, { name: 'x', scopes: [] })
  const revoked = await create(token, { name: 'y', scopes: [] })
  t.equal(await me(revoked.value), 200)
  await app.latchkey.personalAccessTokens.revoke(revoked.id)
  for (const text of ['lkp_', `${value}x`, value.slice(0, -1), value.replace(/.$/, last => last === 'a' ? 'b' : 'a'), `lkp_${'0'.repeat(42)}`, value.toUpperCase()]) {
    t.equal(await me(text), 401, text)
  }
  t.equal(await me(value), 200)
  for (let number = 0; number < 100; number++) t.equal(await me(createValue()), 401)
  const refused = await app.inject({ url: '/me', headers: bearer(createValue()) })
  t.match(refused.json(), { statusCode: 429, code: 'too_many_requests' })
  t.match(refused.headers['retry-after'], /^\d+$/)
  t.equal(await me(value), 200, 'a key that was seen lately still works')
  clock.move(2 * MINUTE)
  t.equal(await me(value), 200, 'also when it must be read again')
  const again = await app.inject({ url: '/me', headers: bearer(revoked.value) })
  t.match(again.json(), { statusCode: 401, code: 'token_revoked' }, 'a revoked key needs no query')
  await app.latchkey.users.disable((await app.latchkey.users.findByName('alice'))?.id ?? '')
  t.equal(await me(value), 401)
  t.equal(await me(value), 429, 'the key of a closed account is an unknown one')
})

t.test('a key expires, and the next purge after a day deletes it', async t => {
  const { app, clock, create, me } = await open(t)
  const { access_token: token } = await logIn(app)
  const { value } = await create(token, { name: 'x', scopes: [], expires_in: 60 })
  t.equal(await me(value), 200)
  clock.move(MINUTE)
  const response = await app.inject({ url: '/me', headers: bearer(value) })
  t.match(response.json(), { statusCode: 401, code: 'token_expired' })
  await app.latchkey.personalAccessTokens.purge(10, clock())
  const alice = (await app.latchkey.users.findByName('alice'))?.id ?? ''
  t.equal((await app.latchkey.personalAccessTokens.list(alice)).length, 1)
  clock.move(DAY + 1)
  await app.latchkey.personalAccessTokens.purge(10, clock())
  t.strictSame(await app.latchkey.personalAccessTokens.list(alice), [])
  t.equal(await me(value), 401)
})

t.test('the last use is written later, and once a minute', { skip: ON_POSTGRES }, async t => {
  const file = databaseFile(t)
  const { app, clock, create, me } = await open(t, { database: file, secret: SECRET })
  const { access_token: token } = await logIn(app)
  const { value } = await create(token, { name: 'x', scopes: [] })
  await me(value)
  const usedAt = clock()
  clock.move(59_000)
  await me(value)
  await app.close()
  t.strictSame(query(file, 'select last_used_at from latchkey_personal_access_tokens'), [{ last_used_at: usedAt }])
})

t.test('introspection: what a resource server learns of a key', async t => {
  const { app, create } = await open(t)
  const { access_token: token } = await logIn(app)
  const { id, value } = await create(token, { name: 'x', scopes: ['items:read'], expires_in: 60 })
  const client = await addClient(app, { scopes: ['tokens:introspect'] })
  const ask = async (): Promise<unknown> => (await postForm(app, '/introspect', { token: value }, client.basic)).json()
  t.match(await ask(), { active: true, scope: 'items:read', username: 'alice', jti: id, client_id: 'latchkey' })
  await app.latchkey.personalAccessTokens.revoke(id)
  t.strictSame(await ask(), { active: false })
})

t.test('bad values of accepts stop the boot, and name the legal ones', async t => {
  for (const accepts of [[], ['keys'], 'key', [1]]) {
    const app = fastify()
    t.teardown(() => app.close())
    await t.rejects(async () => await app.register(latchkey, { ...TEST_OPTIONS, accepts: accepts as never }), /'token'.*'key'/)
    const other = fastify()
    t.teardown(() => other.close())
    await other.register(latchkey, TEST_OPTIONS)
    t.throws(
      () => other.get('/', { config: { latchkey: { accepts: accepts as never } }, onRequest: other.authenticate }, async () => ''),
      /config.latchkey.*'token'.*'key'/
    )
  }
})

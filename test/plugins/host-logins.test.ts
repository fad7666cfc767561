import { fastify } from 'fastify'
import type { FastifyRequest, InjectOptions } from 'fastify'
import t from 'tap'
import type { Login, LoginChecks, LoginDetails } from '../../app.js'
import { bearer, cookieHeader, PASSWORD } from '../helper.js'
import { buildHost } from '../routes/support.js'
import { ALICE, ANOTHER_SITE, assertError, attributesOf, buildOwn } from './host-logins-support.js'

// The logins that an app calls in routes of its own do what POST /login does.

t.test('logIn returns the tokens of a session, and setCookies sets what POST /login sets', async t => {
  const { app, call } = await buildOwn(t)
  const response = await call('login', ALICE)
  const login = response.json<Login>()
  const [alice, theirs] = [
    await app.latchkey.users.findByName('alice'), await app.inject({ method: 'POST', url: '/login', payload: ALICE })
  ]
  t.strictSame(login.user, { id: alice?.id, username: 'alice', scopes: ['admin', 'items:read'], roles: [] })
  t.match(login, { expiresIn: 900, refreshExpiresIn: 30 * 86_400, scope: 'admin items:read', refreshToken: /^lkr_/ })
  t.equal((await app.inject({ url: '/me', headers: bearer(login.accessToken) })).json().clientId, 'latchkey')
  t.strictSame(attributesOf(response), attributesOf(theirs))
  t.equal(attributesOf(response).length, 2)
  t.match(response.headers, { 'cache-control': 'no-store', pragma: 'no-cache' })
  t.equal((await app.inject({ url: '/users/me', headers: { cookie: cookieHeader(response) } })).statusCode, 200)
  t.equal((await call('login', { ...ALICE, scope: 'admin' })).json().scope, 'admin')
})

t.test('values of any kind from a request are refused with a sentence that names the member', async t => {
  const { call } = await buildOwn(t)
  const cases: Array<[payload: unknown, message: RegExp]> = [
    [{ username: 'alice' }, /lacks the member 'password'/], [{ password: 'x' }, /lacks the member 'username'/],
    [{ ...ALICE, password: ['x'] }, /'password' in the login must be string/],
    [{ ...ALICE, password: null }, /'password' in the login/], [{ ...ALICE, password: '' }, /'password' in the login/],
    [{ ...ALICE, password: 'x'.repeat(1_025) }, /'password' in the login/],
    [{ ...ALICE, password: '\ud800' }, /'password' in the login/],
    [{ ...ALICE, username: { $ne: null } }, /'username' in the login must be string/],
    [{ ...ALICE, username: 5 }, /'username' in the login/], [{ ...ALICE, username: 'a'.repeat(1_000) }, /'username'/],
    [{ ...ALICE, scope: ['admin'] }, /'scope' in the login/], [{ ...ALICE, confirm: true }, /unknown member 'confirm'/],
    [{ ...ALICE, client: 'x' }, /unknown member 'client'/], [[ALICE], /The login must be object/]
  ]
  for (const [payload, message] of cases) {
    const response = await call('login', payload)
    assertError(t, response, 400, 'invalid_request', JSON.stringify(payload).slice(0, 60))
    t.match(response.json().message, message)
  }
  assertError(t, await call('login', { ...ALICE, scope: 'items:write' }), 400, 'invalid_scope')
  assertError(t, await call('login', { ...ALICE, scope: 'nonsense' }), 400, 'invalid_scope')
  assertError(t, await call('as', { user: 'x', scope: 5 }), 400, 'invalid_request')
  for (const payload of [{ refreshToken: ['x'] }, { refreshToken: '' }, { refreshToken: null }, { refresh_token: 'x' }]) {
    assertError(t, await call('refresh', payload), 400, 'invalid_request', JSON.stringify(payload))
  }
  for (const target of [null, 'everything', 5]) {
    assertError(t, await call('logout', { target }), 400, 'invalid_request', String(target))
  }
})

t.test('a body of ten megabytes is refused before anything is hashed', async t => {
  const { app } = await buildHost(t, {}, app => {
    app.post('/own', { bodyLimit: 2 ** 25 }, request => app.latchkey.logIn(request, request.body as typeof ALICE))
  })
  const response = await app.inject({ method: 'POST', url: '/own', payload: { ...ALICE, password: 'x'.repeat(10e6) } })
  assertError(t, response, 400, 'invalid_request')
})

t.test('unknown user, wrong password and disabled user get one answer, and an entry in the audit trail', async t => {
  const { app, call } = await buildOwn(t)
  const carol = await app.latchkey.users.add({ username: 'carol', password: PASSWORD })
  await app.latchkey.users.disable(carol.id)
  const answers = []
  for (const payload of [
    { ...ALICE, password: 'wrong' }, { ...ALICE, username: 'nobody' }, { ...ALICE, username: 'carol' }
  ]) {
    const response = await call('login', payload, { remoteAddress: '192.0.2.9' })
    assertError(t, response, 401, 'invalid_credentials')
    t.equal(response.headers['www-authenticate'], 'Bearer')
    answers.push(response.body)
  }
  t.equal(new Set(answers).size, 1)
  await call('login', ALICE, { remoteAddress: '192.0.2.7', headers: { 'user-agent': 'browser' } })
  const [login] = await app.latchkey.audit.list({ type: 'login' })
  const failed = await app.latchkey.audit.list({ type: 'login_failed' })
  t.match(login, { type: 'login', actor: { kind: 'user', address: '192.0.2.7' }, details: {} })
  t.equal(failed.length, 3)
  t.match(failed[0], { actor: { kind: 'anonymous', address: '192.0.2.9' }, subject: carol.id })
  const [session] = await app.latchkey.sessions.list(login?.subject ?? '')
  t.match(session, { userAgent: 'browser' })
})

t.test('attempts at the own route and at POST /login are counted together', async t => {
  const { app, call, clock } = await buildOwn(t, { rateLimit: true })
  let attempts = 0
  const at = (): InjectOptions => ({ remoteAddress: `10.0.0.${++attempts}` })
  for (let time = 0; time < 11; time++) {
    if (time % 2 === 0) await call('login', { ...ALICE, password: 'wrong' }, at())
    else await app.inject({ method: 'POST', url: '/login', payload: { ...ALICE, password: 'wrong' }, ...at() })
  }
  const blocked = await call('login', ALICE, at())
  assertError(t, blocked, 429, 'too_many_failures')
  t.equal(blocked.headers['retry-after'], '1')
  const theirs = await app.inject({ method: 'POST', url: '/login', payload: ALICE, ...at() })
  t.equal(theirs.json().code, 'too_many_failures')
  clock.move(1_000)
  t.equal((await call('login', ALICE, at())).statusCode, 200)
})

t.test('an address has a hundred attempts a minute over the own route and POST /login', async t => {
  const { app, call } = await buildOwn(t, { rateLimit: true })
  for (let time = 0; time < 50; time++) {
    await call('login', {})
    await app.inject({ method: 'POST', url: '/login', payload: {} })
  }
  const blocked = await call('login', ALICE)
  assertError(t, blocked, 429, 'too_many_requests')
  t.match(blocked.headers['retry-after'], /^\d+$/)
  t.match(blocked.headers, { 'ratelimit-policy': '"attempts";q=100;w=60', ratelimit: /^"attempts";r=0;t=\d+$/ })
  t.equal((await call('login', ALICE, { remoteAddress: '10.0.0.1' })).statusCode, 200, 'another address')
})

t.test('another site cannot log its visitor in, not even with a link', async t => {
  const { app, call } = await buildOwn(t, { trustedOrigins: ['https://trusted.example'] })
  const alice = await app.latchkey.users.findByName('alice')
  for (const headers of [ANOTHER_SITE, { 'sec-fetch-site': 'same-site' }, { origin: 'https://evil.example' }]) {
    assertError(t, await call('login', ALICE, { headers }), 403, 'cross_site_request')
    assertError(t, await call('as', { user: alice?.id }, { headers }), 403, 'cross_site_request')
    const { username, password } = ALICE
    const link = { method: 'GET', url: `/own/login?${String(new URLSearchParams({ username, password }))}` } as const
    assertError(t, await app.inject({ ...link, headers }), 403, 'cross_site_request', 'a link')
    t.equal((await app.inject(link)).statusCode, 200, 'the same link of the app itself')
  }
  t.equal((await call('login', ALICE, { headers: { origin: 'https://trusted.example' } })).statusCode, 200)
  // An external provider redirects back from another site with a GET.
  const callback = await app.inject({ url: `/own/as?user=${alice?.id ?? ''}&method=google`, headers: ANOTHER_SITE })
  t.equal(callback.statusCode, 200)
  t.equal(callback.cookies.length, 2)
})

t.test('a login ends the session that this browser had, and no other', async t => {
  const { app, call } = await buildOwn(t)
  const alice = await app.latchkey.users.findByName('alice')
  const other = { cookie: cookieHeader(await call('login', ALICE)) }
  for (const [name, payload] of [['login', ALICE], ['as', { user: alice?.id }]] as const) {
    const before = { cookie: cookieHeader(await call('login', ALICE)) }
    await call('login', { ...ALICE, password: 'wrong' }, { headers: before })
    t.equal((await app.inject({ url: '/me', headers: before })).statusCode, 200, 'not if it fails')
    t.equal((await call(name, payload, { headers: before })).statusCode, 200)
    t.equal((await app.inject({ url: '/me', headers: before })).statusCode, 401, name)
  }
  t.equal((await app.inject({ url: '/me', headers: other })).statusCode, 200)
})

t.test('logInAs: the audit trail has the method, and closed accounts stay out', async t => {
  const { app, call } = await buildOwn(t)
  const alice = await app.latchkey.users.findByName('alice')
  const id = alice?.id ?? ''
  t.match((await call('as', { user: alice, method: 'registration' })).json(), { user: { id }, scope: 'admin items:read' })
  t.match((await call('as', { user: id, scope: 'admin' })).json(), { scope: 'admin' })
  const methods = (await app.latchkey.audit.list({ type: 'login' })).map(({ details }) => details.method)
  t.strictSame(methods, ['app', 'registration'])
  assertError(t, await call('as', { user: id, scope: 'items:write' }), 400, 'invalid_scope')

  await app.latchkey.users.disable(id)
  assertError(t, await call('as', { user: alice, method: 'google' }), 401, 'invalid_credentials', 'disabled')
  assertError(t, await call('as', { user: 'nobody' }), 401, 'invalid_credentials', 'unknown')
  const failed = await app.latchkey.audit.list({ type: 'login_failed' })
  t.match(failed.map(({ subject, details }) => [subject, details.method]), [['nobody', 'app'], [id, 'google']])
  t.equal((await app.latchkey.sessions.list(id)).length, 0)
})

t.test('mistakes of the app are errors that name what is legal', async t => {
  const { app } = await buildOwn(t)
  const { latchkey } = app
  const alice = await latchkey.users.findByName('alice')
  const given = await new Promise<FastifyRequest>(resolve => {
    const other = fastify()
    other.get('/', async request => { resolve(request) })
    other.inject('/').catch(() => {})
  })
  const mistakes: Array<[work: () => Promise<unknown>, message: RegExp]> = [
    [() => latchkey.logIn(given, ALICE, { verify: () => false } as LoginChecks), /takes { confirm: \(user\) => boolean }/],
    [() => latchkey.logIn(given, ALICE, { confirm: true } as unknown as LoginChecks), /takes { confirm/],
    [() => latchkey.logIn(given, ALICE, { confirm: undefined }), /takes { confirm/],
    [() => latchkey.logIn(undefined as never, ALICE), /logIn\(\) takes Fastify's request/],
    [() => latchkey.logIn(given.raw as never, ALICE), /logIn\(\) takes Fastify's request/],
    [() => latchkey.logInAs(given, 5 as never), /the id of a user/], [() => latchkey.logInAs(given, ''), /the id of/],
    [() => latchkey.logInAs(given, null as never), /the id of a user/],
    [() => latchkey.logInAs(given, { id: undefined } as never), /the id of a user/],
    [() => latchkey.logInAs(given, 'x', { method: 'A person typed this' }), /a word of lower-case letters/],
    [() => latchkey.logInAs(given, 'x', { methode: 'x' } as LoginDetails), /takes { method, scope }/],
    [async () => latchkey.setCookies({} as never, latchkey.logInAs(given, 'x').catch(() => {}) as never), /setCookies/],
    [async () => latchkey.setCookies({} as never, { ...await latchkey.logInAs(given, alice?.id ?? ''), refreshExpiresIn: undefined } as never), /setCookies/],
    [async () => latchkey.setCookies({} as never, undefined as never), /setCookies\(\) takes what logIn\(\)/]
  ]
  for (const [work, message] of mistakes) await t.rejects(work(), { name: 'TypeError', message })
})

t.test('setCookies: another site cannot log a visitor in with tokens of its own, except by a GET', async t => {
  const { call } = await buildOwn(t)
  const { refreshToken } = (await call('login', ALICE)).json<{ refreshToken: string }>()
  const sent = await call('refresh', { refreshToken }, { headers: ANOTHER_SITE })
  t.equal(sent.statusCode, 403)
  t.equal(sent.json().code, 'cross_site_request')
  t.strictSame(sent.cookies, [])
})

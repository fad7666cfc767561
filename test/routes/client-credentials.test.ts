import { request as httpRequest } from 'node:http'
import t from 'tap'
import type { FastifyInstance } from 'fastify'
import { bearer, build, logIn, PASSWORD, postForm, TEST_OPTIONS } from '../helper.js'
import type { TokenBody } from '../helper.js'
import {
  addClient, assertOAuthError, assertProblem, basic, buildHost, claimsOf, databaseFile, headerOf, query, readSessions,
  SECRET, visible
} from './support.js'

const OWN = { grant_type: 'client_credentials' }
const LOGIN = { grant_type: 'password', username: 'alice', password: PASSWORD }

async function statusOf (app: FastifyInstance, token: string): Promise<number> {
  return (await app.inject({ url: '/protected-route', headers: bearer(token) })).statusCode
}

t.test('RFC 6749 4.4: a client gets an access token of its own, by Basic and by the body, and no refresh token', async t => {
  const { app } = await build(t)
  const client = await addClient(app, { scopes: ['items:read', 'items:write'] })
  for (const response of [
    await postForm(app, '/token', OWN, client.basic), await postForm(app, '/token', { ...OWN, ...client.form }),
    await app.inject({ method: 'POST', url: '/token', payload: { ...OWN, ...client.form } })
  ]) {
    t.equal(response.statusCode, 200)
    t.equal(response.headers['cache-control'], 'no-store')
    t.equal(response.headers.pragma, 'no-cache')
    const body = response.json()
    t.strictSame(
      Object.keys(body).sort(), ['access_token', 'expires_in', 'scope', 'token_type'],
      'RFC 6749 4.4.3: no refresh token'
    )
    t.match(body, { token_type: 'bearer', expires_in: 900, scope: 'items:read items:write' })
    t.match(headerOf(body.access_token), { typ: 'at+jwt' })
    const claims = claimsOf(body.access_token)
    t.strictSame(
      Object.keys(claims).sort(), ['aud', 'client_id', 'exp', 'iat', 'iss', 'jti', 'scope', 'sub'],
      'RFC 9068 2.2; no session'
    )
    t.match(claims, { sub: client.id, client_id: client.id })
    t.match(
      (await app.inject({ url: '/protected-route', headers: bearer(body.access_token) })).json(),
      { id: client.id, scopes: ['items:read', 'items:write'] }
    )
  }
  const narrowed = await postForm(app, '/token', { ...OWN, scope: 'items:read' }, client.basic)
  t.equal(narrowed.json().scope, 'items:read')
  for (const scope of ['admin', 'items:read admin', 'nonsense']) {
    assertOAuthError(
      t, await postForm(app, '/token', { ...OWN, scope }, client.basic), 400, 'invalid_scope', scope
    )
  }
})

t.test('RFC 6749 5.2: an unknown client, a wrong secret and half a client get one answer, with a challenge, and are told of', async t => {
  const file = databaseFile(t)
  const { app } = await build(t, { database: file, secret: SECRET })
  const [client, other, gone] = [await addClient(app), await addClient(app), await addClient(app)]
  await app.latchkey.clients.remove(gone.id)
  const pairs: Array<[id: string, secret: string]> = [
    ['nobody', 'x'], [client.id, 'x'], [client.id, `${client.secret}x`], [client.id, client.secret.slice(0, -1)], [
      client.id, client.secret.toUpperCase()
    ], [client.id, other.secret], [client.id.toUpperCase(), client.secret],
    [gone.id, gone.secret], [
      'latchkey', 'latchkey'
    ], ['lkc_', 'lks_'], ['__proto__', 'x'], ["' or 1=1 --", 'x'], ['%', client.secret], [
      ` ${client.id}`, client.secret
    ], [client.id, '\u0000']
  ]
  const before = (await app.latchkey.audit.list({ type: 'client_authentication_failed' })).length
  const answers = []
  for (const [id, secret] of pairs) {
    answers.push(
      await postForm(app, '/token', OWN, basic(id, secret)),
      await postForm(app, '/token', { ...OWN, client_id: id, client_secret: secret })
    )
  }
  const failures = await app.latchkey.audit.list({ type: 'client_authentication_failed' })
  t.equal(failures.length - before, 2 * pairs.length)
  t.strictSame(
    [...new Set(failures.map(({ subject }) => subject))].sort(), [client.id, null].sort(),
    'told by the id of the client where there is one, never by what was typed'
  )
  for (const response of [
    await postForm(app, '/token', { ...OWN, client_id: client.id }), await postForm(
      app, '/token', { ...OWN, client_secret: client.secret }
    ),
    await postForm(app, '/token', OWN, basic(client.id, '')), await postForm(
      app, '/token', OWN, { authorization: 'Basic !!!' }
    ), await postForm(app, '/token', OWN)
  ]) answers.push(response)
  for (const response of answers) {
    assertOAuthError(t, response, 401, 'invalid_client')
    t.equal(response.headers['www-authenticate'], 'Basic realm="latchkey"')
    t.strictSame(visible(response), visible(answers[0] as typeof response))
  }
  t.equal(query(file, 'select * from latchkey_rules').length, 1, 'of the client that was removed')
})

t.test('RFC 6749 2.3: one way to authenticate at a time; the id alone may stand in the body too', async t => {
  const { app } = await build(t)
  const [client, other] = [await addClient(app), await addClient(app)]
  assertOAuthError(
    t, await postForm(app, '/token', { ...OWN, ...client.form }, client.basic), 400, 'invalid_request', 'both'
  )
  assertOAuthError(
    t, await postForm(app, '/token', { ...OWN, ...other.form }, client.basic), 400, 'invalid_request', 'two'
  )
  assertOAuthError(
    t, await postForm(app, '/token', { ...OWN, client_id: other.id }, client.basic), 400, 'invalid_request',
    'another id'
  )
  t.equal((await postForm(app, '/token', { ...OWN, client_id: client.id }, client.basic)).statusCode, 200)
  t.equal((await postForm(app, '/token', { ...OWN, client_id: '', client_secret: '' }, client.basic)).statusCode, 200)
  t.equal((await postForm(app, '/token', { ...OWN, ...client.form }, { authorization: 'Basic Og==' })).statusCode, 200)
})

t.test('RFC 6749 2.3.1: a secret in the URL is refused, and never read', async t => {
  const { app } = await build(t)
  const client = await addClient(app)
  for (const path of ['/token', '/revoke', '/introspect']) {
    for (const query of [
      `client_id=${client.id}&client_secret=${client.secret}`, `password=${PASSWORD}`, 'token=x', 'refresh_token=x',
      'access_token=x'
    ]) {
      assertOAuthError(
        t, await postForm(app, `${path}?${query}`, { ...OWN, token: 'x' }, client.basic), 400, 'invalid_request',
        `${path}?${query}`
      )
    }
  }
  t.equal(
    (await postForm(app, '/token?tenant=1', OWN, client.basic)).statusCode, 200,
    'section 3.2: the endpoint may have a query'
  )
  assertOAuthError(t, await postForm(app, `/token?client_id=${client.id}`, OWN), 401, 'invalid_client')
  assertOAuthError(
    t, await postForm(app, '/token?grant_type=client_credentials', {}, client.basic), 400, 'invalid_request'
  )
})

t.test('RFC 6749 3.2: a repeated parameter is invalid_request, an unknown one is ignored', async t => {
  const { app } = await build(t)
  const client = await addClient(app)
  const form = new URLSearchParams({ ...OWN, scope: 'items:read', ...client.form })
  for (const name of ['grant_type', 'scope', 'client_id', 'client_secret']) {
    for (const value of [form.get(name) ?? '', '', 'other']) {
      const twice = new URLSearchParams(form)
      twice.append(name, value)
      const response = await app.inject({
        method: 'POST',
        url: '/token',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        payload: twice.toString()
      })
      assertOAuthError(t, response, 400, 'invalid_request', `${name} twice`)
    }
  }
  t.equal(
    (await postForm(app, '/token', { ...OWN, resource: 'x', client_assertion: 'y' }, client.basic)).statusCode, 200
  )
})

t.test('RFC 6749 5.2: a client uses the grants that it was given, and no others', async t => {
  const { app } = await build(t)
  const [machine, frontend] = [await addClient(app), await addClient(app, { grants: ['password'] })]
  assertOAuthError(t, await postForm(app, '/token', LOGIN, machine.basic), 400, 'unauthorized_client')
  assertOAuthError(
    t, await postForm(app, '/token', { username: 'alice', password: PASSWORD }, machine.basic), 400,
    'unauthorized_client', 'without a grant_type'
  )
  assertOAuthError(
    t, await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: 'x' }, machine.basic), 400,
    'unauthorized_client'
  )
  assertOAuthError(t, await postForm(app, '/token', OWN, frontend.basic), 400, 'unauthorized_client')
  for (const grantType of ['authorization_code', 'urn:ietf:params:oauth:grant-type:token-exchange']) {
    assertOAuthError(
      t, await postForm(app, '/token', { grant_type: grantType }, machine.basic), 400, 'unsupported_grant_type'
    )
  }
})

t.test('ASVS 10.4.11: a login through a client gives its user no more than the client may have', async t => {
  const { app, clock } = await build(t)
  const client = await addClient(app, { scopes: ['items:read', 'items:write'], grants: ['password'] })
  const tokens: TokenBody = (await postForm(app, '/token', LOGIN, client.basic)).json()
  t.equal(tokens.scope, 'items:read', 'alice has admin, the client has not; the client has items:write, alice has not')
  const claims = claimsOf(tokens.access_token)
  t.match(claims, { client_id: client.id, scope: 'items:read', sid: String })
  t.not(claims.sub, client.id)
  assertOAuthError(t, await postForm(app, '/token', { ...LOGIN, scope: 'admin' }, client.basic), 400, 'invalid_scope')
  assertOAuthError(
    t, await postForm(app, '/token', { ...LOGIN, password: 'wrong' }, client.basic), 400, 'invalid_grant'
  )
  clock.move(1_000)
  const next = await postForm(
    app, '/token', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token }, client.basic
  )
  t.match(next.json(), { scope: 'items:read', refresh_token: /^lkr_/ })
  assertOAuthError(
    t,
    await postForm(
      app, '/token', { grant_type: 'refresh_token', refresh_token: next.json().refresh_token, scope: 'admin' },
      client.basic
    ),
    400,
    'invalid_scope'
  )
  const own = await app.inject({ url: '/sessions', headers: bearer(next.json().access_token) })
  t.match(own.json().sessions, [{ client_id: client.id }], 'the token is a user of ours')
  t.match(
    await app.latchkey.audit.list({ type: 'login', limit: 1 }), [{ clientId: client.id, actor: { kind: 'user' } }]
  )
})

t.test('RFC 6749 6: a session is refreshed by its client and by nobody else, and does not end because another tries', async t => {
  const file = databaseFile(t)
  const { app, clock } = await build(t, { database: file, secret: SECRET })
  const [client, other] = [
    await addClient(app, { grants: ['password'] }), await addClient(app, { grants: ['password'] })
  ]
  const first: TokenBody = (await postForm(app, '/token', LOGIN, client.basic)).json()
  const refresh = (token: string, headers?: Record<string, string>) => postForm(
    app, '/token', { grant_type: 'refresh_token', refresh_token: token }, headers
  )
  const second: TokenBody = (await refresh(first.refresh_token, client.basic)).json()
  clock.move(60_000)
  for (const token of [second.refresh_token, first.refresh_token]) {
    assertOAuthError(t, await refresh(token, other.basic), 400, 'invalid_grant', 'another client')
    assertOAuthError(t, await refresh(token), 400, 'invalid_grant', 'none')
    assertProblem(
      t, await app.inject({ method: 'POST', url: '/refresh', payload: { refresh_token: token } }), 401,
      'invalid_refresh_token', 'POST /refresh'
    )
    assertProblem(
      t, await app.inject({ method: 'POST', url: '/refresh', headers: { cookie: `__Host-refresh_token=${token}` } }),
      401, 'invalid_refresh_token', 'a cookie'
    )
    t.equal(
      (await app.inject({
        method: 'POST', url: '/logout', headers: { cookie: `__Host-refresh_token=${token}` }
      })).statusCode,
      204
    )
    await app.inject({
      method: 'POST',
      url: '/login',
      payload: { username: 'bob', password: PASSWORD },
      headers: { cookie: `__Host-refresh_token=${token}` }
    })
  }
  t.equal(readSessions(file)[0]?.ended_at, null)
  t.equal((await refresh(second.refresh_token, client.basic)).statusCode, 200)
  const mine = await logIn(app)
  assertOAuthError(t, await refresh(mine.refresh_token, client.basic), 400, 'invalid_grant', 'a first-party token')
  t.equal((await refresh(mine.refresh_token)).statusCode, 200)
  assertOAuthError(t, await refresh(first.refresh_token, client.basic), 400, 'invalid_grant', 'reuse by its own client')
  t.ok(readSessions(file)[0]?.ended_at, 'that ends the session')
})

t.test('RFC 7009 2.1: a token is revoked by its own client; others are told that nothing was', async t => {
  const { app } = await build(t)
  const grants = ['client_credentials', 'password'] as const
  const [client, other] = [await addClient(app, { grants: [...grants] }), await addClient(app, { grants: [...grants] })]
  const session: TokenBody = (await postForm(app, '/token', LOGIN, client.basic)).json()
  const own: TokenBody = (await postForm(app, '/token', OWN, client.basic)).json()
  const mine = await logIn(app)
  for (const token of [session.access_token, session.refresh_token, own.access_token]) {
    assertOAuthError(t, await postForm(app, '/revoke', { token }, other.basic), 400, 'invalid_grant', 'another client')
    assertOAuthError(t, await postForm(app, '/revoke', { token }), 400, 'invalid_grant', 'none')
    assertOAuthError(
      t, await postForm(app, '/revoke', { token, client_id: client.id }), 401, 'invalid_client', 'half a client'
    )
  }
  for (const token of [mine.access_token, mine.refresh_token]) {
    assertOAuthError(
      t, await postForm(app, '/revoke', { token }, client.basic), 400, 'invalid_grant', 'a first-party token'
    )
  }
  for (const token of [
    session.access_token, own.access_token, mine.access_token
  ]) t.equal(await statusOf(app, token), 200)

  for (const hint of ['access_token', 'refresh_token', 'nonsense']) {
    const token = (await postForm(app, '/token', OWN, client.basic)).json().access_token
    const response = await postForm(app, '/revoke', { token, token_type_hint: hint }, client.basic)
    t.equal(response.statusCode, 200, hint)
    t.strictSame(response.json(), {})
    t.equal(await statusOf(app, token), 401)
  }
  t.equal(await statusOf(app, own.access_token), 200, 'its other tokens live')
  t.equal((await postForm(app, '/revoke', { token: 'unknown' }, client.basic)).statusCode, 200, 'RFC 7009 2.2')
  t.match(
    await app.latchkey.audit.list({ type: 'token_revoked', limit: 1 }),
    [{ actor: { kind: 'client', id: client.id }, subject: client.id, sessionId: null }]
  )
  t.equal((await postForm(app, '/revoke', { token: session.refresh_token }, client.basic)).statusCode, 200)
  t.equal(await statusOf(app, session.access_token), 401)
  t.equal(
    (await postForm(app, '/revoke', { token: session.refresh_token }, other.basic)).statusCode, 200,
    'what is dead is dead for everybody'
  )
})

t.test('a client that revokes its own tokens by the thousand ends all of them with one rule, and does not fill the store', async t => {
  const { app, store } = await buildHost(
    t, {}, app => { app.get('/protected-route', { onRequest: app.authenticate }, async request => request.user.id) }
  )
  const client = await addClient(app)
  const token = (await postForm(app, '/token', OWN, client.basic)).json().access_token
  const { jti, ...claims } = app.latchkey.tokens.decode(token) ?? t.bailout('no claims') as never
  for (let i = 0; i < 1_000; i++) await app.latchkey.sessions.endToken({ ...claims, jti: `${jti}-${i}` })
  t.equal(await statusOf(app, token), 200)
  await app.latchkey.sessions.endToken({ ...claims, jti: `${jti}-last` })
  t.equal(await statusOf(app, token), 401)
  t.match(
    await store.read(db => db.selectFrom('latchkey_rules').select('kind').execute()), [{ kind: 'client' }],
    'the only one that is left in the store'
  )
  t.equal(
    await statusOf(app, (await postForm(app, '/token', OWN, client.basic)).json().access_token), 200,
    'and it goes on with new ones'
  )
})

t.test('what is for users answers the token of a client with 403 user_required', async t => {
  const { app } = await build(t)
  const client = await addClient(app)
  const headers = bearer((await postForm(app, '/token', OWN, client.basic)).json().access_token)
  const requests = [
    ['GET', '/users/me', undefined], [
      'PUT', '/users/me/password', { current_password: 'x', new_password: 'y' }
    ], ['GET', '/sessions', undefined],
    [
      'DELETE', '/sessions/01890000-0000-7000-8000-000000000000', undefined
    ], ['POST', '/logout', { target: 'all' }], ['POST', '/logout', undefined]
  ] as const
  for (const [method, url, payload] of requests) {
    assertProblem(t, await app.inject({ method, url, payload, headers }), 403, 'user_required', `${method} ${url}`)
    if (url !== '/logout') {
      t.match(
        (await app.inject({ method, url, payload, headers })).headers['www-authenticate'],
        /^Bearer error="insufficient_scope"/
      )
    }
  }
})

t.test('RFC 9068 5, RFC 9700 4.15: no user has an id that a client could have', async t => {
  for (const id of ['lkc_0198c0ffee0070008000000000000001', 'lkc_', 'latchkey']) {
    const user = { id, username: 'mallory', scopes: [] }
    const { app } = await build(t, { users: { authenticate: async () => user, find: async () => user } })
    t.equal((await postForm(app, '/token', { username: 'mallory', password: 'x' })).statusCode, 500, id)
  }
  const { app } = await build(t)
  const { id } = await addClient(app)
  t.not(id, (await app.latchkey.users.findByName('alice'))?.id)
  t.equal(await app.latchkey.users.find(id), null)
})

t.test('without passwordGrant there is no login at POST /token, for anybody; refresh and POST /login stay', async t => {
  const { app } = await build(t, { ...TEST_OPTIONS, passwordGrant: false })
  const client = await addClient(app, { grants: ['password'] })
  for (const form of [LOGIN, { username: 'alice', password: PASSWORD }]) {
    assertOAuthError(t, await postForm(app, '/token', form), 400, 'unsupported_grant_type')
    assertOAuthError(t, await postForm(app, '/token', form, client.basic), 400, 'unsupported_grant_type')
  }
  const login = await app.inject({ method: 'POST', url: '/login', payload: { username: 'alice', password: PASSWORD } })
  t.equal(login.statusCode, 200)
  const refreshToken = login.cookies.find(({ name }) => name.endsWith('refresh_token'))?.value ?? ''
  t.equal((await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: refreshToken })).statusCode, 200)
})

t.test('guessing the secret is slowed down; authenticating rightly, as often as one likes, is not', async t => {
  const { app } = await build(t, { rateLimit: true })
  const client = await addClient(app)
  for (let turn = 0; turn < 150; turn++) t.equal((await postForm(app, '/token', OWN, client.basic)).statusCode, 200)
  const statuses = []
  for (let turn = 0; turn < 110; turn++) {
    statuses.push(
      (await postForm(
        app, turn % 2 === 0 ? '/revoke' : '/introspect', { token: 'x' }, basic(`lkc_${turn}`, 'x')
      )).statusCode
    )
  }
  t.equal(statuses[0], 401)
  t.equal(statuses.at(-1), 429)
  const told = await app.latchkey.audit.list({ type: 'client_authentication_failed', limit: 1_000 })
  t.ok(told.length <= 100, 'and what is refused so writes nothing')
})

t.test('RFC 6749 2.3.1: guesses at one client are stopped where they come from, and lock nobody out elsewhere', async t => {
  const { app, clock } = await build(t, { rateLimit: true })
  const client = await addClient(app)
  const ask = (headers: { authorization: string }, remoteAddress?: string) => app.inject({
    method: 'POST',
    url: '/token',
    headers: {
      'content-type': 'application/x-www-form-urlencoded', ...headers
    },
    payload: 'grant_type=client_credentials',
    remoteAddress
  })
  for (let turn = 0; turn < 5; turn++) t.equal((await ask(basic(client.id, 'x'))).statusCode, 401)
  t.equal((await ask(client.basic)).statusCode, 200, 'a right one forgives')
  for (const id of [client.id, 'lkc_unknown']) {
    const statuses = []
    for (let turn = 0; turn < 12; turn++) statuses.push((await ask(basic(id, 'x'))).statusCode)
    t.strictSame(statuses.slice(-1), [429], id)
  }
  const blocked = await ask(client.basic)
  assertOAuthError(t, blocked, 429, 'invalid_request', 'the right one too')
  t.ok(blocked.headers['retry-after'])
  t.equal((await ask(client.basic, '203.0.113.9')).statusCode, 200)
  clock.move(10_000)
  t.equal((await ask(client.basic)).statusCode, 200)
})

t.test('RFC 6750 2: the token of a request is in the header; one in the URL or in a form is none', async t => {
  const { app } = await build(t)
  const { access_token: token } = await logIn(app)
  assertProblem(t, await app.inject({ url: `/users/me?access_token=${token}` }), 401, 'unauthenticated', 'RFC 6750 2.3')
  const form = await app.inject({
    method: 'POST',
    url: '/logout',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    payload: `access_token=${token}`
  })
  assertProblem(t, form, 415, 'unsupported_media_type', 'RFC 6750 2.2')
  t.equal(await statusOf(app, token), 200)
  assertProblem(
    t, await app.inject({ url: '/users/me', headers: { ...bearer('x'), cookie: `__Host-access_token=${token}` } }), 401,
    'invalid_token', 'two methods: the header counts'
  )
  const bare = await app.inject({ url: '/users/me' })
  t.equal(bare.headers['www-authenticate'], 'Bearer', 'RFC 6750 3.1: no error where no credentials were sent')

  // Two Authorization headers are one too many: Node.js keeps the first.
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as { port: number }
  const status = await new Promise(resolve => httpRequest({
    port,
    host: '127.0.0.1',
    path: '/users/me',
    headers: ['host', '127.0.0.1', 'authorization', 'Bearer x', 'authorization', `Bearer ${token}`]
  }, response => {
    response.resume()
    resolve(response.statusCode)
  }).end())
  t.equal(status, 401)
})

t.test('invented clients fill neither the audit trail nor the counts of attempts', async t => {
  const file = databaseFile(t)
  const { app, clock } = await build(t, { database: file, secret: SECRET, rateLimit: true })
  const heard: unknown[] = []
  const rows = (): number[] => ['latchkey_events', 'latchkey_attempts'].map(table => query(file, `select 1 from ${table}`).length)
  const [before = 0] = rows()
  for (let turn = 0; turn < 50; turn++) {
    const remoteAddress = `10.0.0.${turn}`
    const authorization = basic(`client ${turn}`, 'x').authorization
    const request = { remoteAddress, headers: { authorization }, payload: { token: 'x' } }
    const response = await app.inject({ method: 'POST', url: '/introspect', ...request })
    heard.push(response.statusCode)
  }
  t.strictSame([...new Set(heard)], [401])
  t.strictSame(rows(), [before + 20, 50])
  clock.move(60_000)
  await app.close()
  const [last] = query(file, 'select * from latchkey_events order by seq desc limit 1')
  t.match(last, { type: 'client_authentication_failed', subject: null, address: null, details: '{"count":30}' })
})

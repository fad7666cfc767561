import t from 'tap'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { bearer, build, createTestClock, logIn, PASSWORD, TEST_OPTIONS } from '../helper.js'
import latchkey from '../../app.js'
import { assertDiscreet, buildHost, createHost, databaseFile, SECRET } from '../routes/support.js'

interface Caught { statusCode?: number, code?: string, message: string, challenge: unknown, retryAfter: unknown }

/** A host with an error handler of its own that keeps what reaches it. */
function catchErrors (app: FastifyInstance): Caught[] {
  const caught: Caught[] = []
  app.setErrorHandler((error: Error & { statusCode?: number, code?: string }, _request, reply) => {
    caught.push({
      statusCode: error.statusCode,
      code: error.code,
      message: error.message,
      challenge: reply.getHeader('www-authenticate'),
      retryAfter: reply.getHeader('retry-after')
    })
    reply.code(error.statusCode ?? 500).send({ mine: error.code })
  })
  return caught
}

t.test("RFC 6750 3, RFC 6750 3.1: 401 and 403 reach the host's own error handler with status, code and challenge", async t => {
  let caught: Caught[] = []
  const { app, clock } = await buildHost(t, {}, app => {
    caught = catchErrors(app)
    app.get('/me', { onRequest: app.authenticate }, async request => request.user)
    app.get('/write', { preHandler: app.requireScopes('items:write', 'admin') }, async () => 'written')
  })
  const tokens = await logIn(app)
  type Row = [url: string, headers: Record<string, string>, statusCode: number, code: string, challenge: string]
  const table: Row[] = [
    ['/me', {}, 401, 'unauthenticated', 'Bearer'],
    ['/write', {}, 401, 'unauthenticated', 'Bearer'],
    ['/me', { authorization: 'Basic Og==' }, 401, 'unauthenticated', 'Bearer'],
    [
      '/me', bearer('x'), 401, 'invalid_token',
      'Bearer error="invalid_token", error_description="The access token is invalid."'
    ],
    [
      '/write',
      bearer(tokens.access_token),
      403,
      'insufficient_scope',
      'Bearer error="insufficient_scope", error_description="The access token lacks a required scope.", scope="items:write admin"'
    ],
    [
      '/me',
      { ...bearer('x'), cookie: `__Host-access_token=${tokens.access_token}` },
      401,
      'invalid_token',
      'Bearer error="invalid_token", error_description="The access token is invalid."'
    ]
  ]
  for (const [url, headers, statusCode, code, challenge] of table) {
    const response = await app.inject({ url, headers })
    t.equal(response.statusCode, statusCode, `${url} ${code}`)
    t.equal(response.headers['www-authenticate'], challenge)
    t.strictSame(response.json(), { mine: code })
    t.match(caught.at(-1), { statusCode, code, challenge })
  }
  clock.move(900_000)
  await app.inject({ url: '/me', headers: bearer(tokens.access_token) })
  t.match(caught.at(-1), { statusCode: 401, code: 'token_expired', challenge: /expired/ })
})

t.test("without one, Fastify's own handler answers with the status and the challenge", async t => {
  const { app } = await build(t)
  const response = await app.inject({ url: '/admin/' })
  t.equal(response.statusCode, 401)
  t.equal(response.headers['www-authenticate'], 'Bearer')
  assertDiscreet(t, response)
})

t.test('RFC 6750 2: a token is taken from the header in any case of the scheme, and from nowhere else', async t => {
  const { app } = await build(t)
  const { access_token: token } = await logIn(app)
  const statusOf = async (request: object): Promise<number> => (await app.inject({
    url: '/protected-route', ...request
  })).statusCode
  for (const scheme of ['Bearer', 'bearer', 'BEARER', 'bEaReR']) {
    t.equal(
      await statusOf({ headers: { authorization: `${scheme} ${token}` } }), 200, scheme
    )
  }
  for (const authorization of [
    'Bearer', 'Bearer ', 'bearer', `Bearer\t${token}`, token, `Token ${token}`, `JWT ${token}`, `DPoP ${token}`,
    `Basic ${token}`, `Bearer: ${token}`, `Bearer=${token}`, `BearerX ${token}`, `Bearer ${token} x`,
    `Bearer ${token},${token}`, `Bearer "${token}"`, `Bearer ${token}, Basic Og==`, ` Bearer ${token}x`, 'null',
    '\u0000'
  ]) {
    t.equal(await statusOf({ headers: { authorization } }), 401, JSON.stringify(authorization.slice(0, 20)))
  }
  t.equal(await statusOf({ query: { access_token: token } }), 401, 'not from the query')
  t.equal(await statusOf({ headers: { 'x-access-token': token } }), 401, 'not from other headers')
  t.equal(await statusOf({ method: 'POST', payload: { access_token: token } }), 401, 'not from the body')
})

t.test('more than one space behind the scheme is still the same header (RFC 6750 section 2.1: 1*SP)', async t => {
  const { app } = await build(t)
  const { access_token: token } = await logIn(app)
  t.equal(
    (await app.inject({ url: '/protected-route', headers: { authorization: `Bearer  ${token}` } })).statusCode, 200
  )
})

t.test('a bad token in the header does not fall through to the cookie', async t => {
  const { app } = await build(t)
  const { access_token: token } = await logIn(app)
  const cookie = `__Host-access_token=${token}`
  t.equal((await app.inject({ url: '/protected-route', headers: { cookie } })).statusCode, 200)
  for (const authorization of ['Bearer', 'Bearer ', 'Bearer x', 'bearer x']) {
    const response = await app.inject({ url: '/protected-route', headers: { cookie, authorization } })
    t.equal(response.json().code, 'invalid_token', authorization)
  }
})

t.test('without a token a bad body is 401 and not 400: nothing is read or validated for strangers', async t => {
  const { app } = await buildHost(t, {}, app => {
    const schema = { body: { type: 'object', required: ['name'], properties: { name: { type: 'string' } } } }
    const handler = async (): Promise<string> => 'ok'
    app.post('/on-request', { schema, onRequest: app.authenticate }, handler)
    app.post('/pre-handler', { schema, preHandler: app.requireScopes('admin') }, handler)
    app.post('/pre-validation', { schema, preValidation: app.requireScopes('admin') }, handler)
    app.post(
      '/pre-parsing',
      { schema, preParsing: (request, reply, _payload, done) => app.requireScopes('admin')(request, reply, done) },
      handler
    )
    app.post('/array', { schema, preHandler: [async () => {}, app.requireScopes('admin')] }, handler)
  })
  const { access_token: token } = await logIn(app)
  for (const url of ['/on-request', '/pre-handler', '/pre-validation', '/array']) {
    for (const request of [
      { payload: {} }, { payload: '{"broken', headers: { 'content-type': 'application/json' } },
      { payload: 'x', headers: { 'content-type': 'text/x-none' } }, { payload: { name: 'x'.repeat(2 * 1024 * 1024) } }
    ]) {
      t.equal((await app.inject({ method: 'POST', url, ...request })).statusCode, 401, url)
      const status = (await app.inject({
        method: 'POST', url, ...request, headers: { ...(request as { headers?: object }).headers, ...bearer(token) }
      })).statusCode
      t.ok([400, 413, 415].includes(status), `${url} with a token is ${status}`)
    }
  }
  t.equal((await app.inject({ method: 'POST', url: '/pre-parsing', payload: { name: 'x' } })).statusCode, 401)
  t.equal(
    (await app.inject({
      method: 'POST', url: '/pre-parsing', payload: { name: 'x' }, headers: bearer(token)
    })).statusCode,
    200
  )
})

t.test('requireScopes guards in every position', async t => {
  const later: { app?: FastifyInstance } = {}
  const app = createHost(t)
  // Declared before Latchkey is there: its onRoute hook never sees this one.
  app.get(
    '/early', { preHandler: (request, reply, done) => later.app?.requireScopes('admin')(request, reply, done) },
    async () => 'ok'
  )
  app.get(
    '/early-authenticate', { onRequest: (request, reply, done) => later.app?.authenticate(request, reply, done) },
    async request => request.user.id
  )
  await app.register(latchkey, TEST_OPTIONS)
  later.app = app
  const admin = app.requireScopes('admin')
  app.get('/pre-handler', { preHandler: admin }, async () => 'ok')
  app.get('/on-request', { onRequest: admin }, async () => 'ok')
  app.get('/pre-validation', { preValidation: admin }, async () => 'ok')
  app.get('/array', { preHandler: [admin, app.requireScopes('items:read')] }, async () => 'ok')
  app.get('/two-positions', { onRequest: app.authenticate, preHandler: admin }, async () => 'ok')
  app.get(
    '/twice', { onRequest: [app.authenticate, app.authenticate, admin], preHandler: [admin, admin] }, async () => 'ok'
  )
  app.route({ method: ['GET', 'DELETE'], url: '/route', preHandler: admin, handler: async () => 'ok' })
  for (const hook of ['onRequest', 'preValidation', 'preHandler'] as const) {
    await app.register(async scope => {
      scope.addHook(hook, admin)
      scope.get(`/scope-${hook}`, async () => 'ok')
      await scope.register(async inner => { inner.get(`/inner-${hook}`, async () => 'ok') })
    })
  }
  await app.register(async scope => {
    scope.get('/nested', { preHandler: scope.requireScopes('admin') }, async () => 'ok')
  }, { prefix: '/sub' })
  await app.ready()
  await app.latchkey.users.add({ username: 'alice', password: PASSWORD, scopes: ['admin', 'items:read'] })
  await app.latchkey.users.add({ username: 'bob', password: PASSWORD, scopes: ['items:read'] })
  const [alice, bob] = [await logIn(app, 'alice'), await logIn(app, 'bob')]
  const urls = [
    '/early', '/pre-handler', '/on-request', '/pre-validation', '/array', '/two-positions', '/twice', '/route',
    '/sub/nested', ...['onRequest', 'preValidation', 'preHandler'].flatMap(hook => [`/scope-${hook}`, `/inner-${hook}`])
  ]
  for (const url of urls) {
    for (const method of ['GET', 'HEAD'] as const) {
      const anonymous = await app.inject({ method, url })
      t.equal(anonymous.statusCode, 401, `${method} ${url} without a token`)
      t.equal(anonymous.headers['www-authenticate'], 'Bearer')
      t.equal(
        (await app.inject({ method, url, headers: bearer('x') })).statusCode, 401, `${method} ${url} with a bad one`
      )
      const forbidden = await app.inject({ method, url, headers: bearer(bob.access_token) })
      t.equal(forbidden.statusCode, 403, `${method} ${url} without the scope`)
      t.match(forbidden.headers['www-authenticate'], /^Bearer error="insufficient_scope", .*scope="admin"$/)
      t.equal(
        (await app.inject({ method, url, headers: bearer(alice.access_token) })).statusCode, 200,
        `${method} ${url} with it`
      )
    }
  }
  t.equal((await app.inject({ method: 'DELETE', url: '/route' })).statusCode, 401)
  t.equal((await app.inject({ url: '/early-authenticate' })).statusCode, 401)
  t.equal((await app.inject({ url: '/early-authenticate', headers: bearer(bob.access_token) })).statusCode, 200)
})

t.test('ASVS 10.3.2: all scopes of one guard are needed, and a longer or shorter name is another scope', async t => {
  const { app } = await buildHost(t, { scopes: { item: '', items: '', 'items:read': '', admin: '' } }, app => {
    app.get('/both', { preHandler: app.requireScopes('admin', 'items:read') }, async () => 'ok')
    app.get('/items', { preHandler: app.requireScopes('items') }, async () => 'ok')
    app.get('/item', { preHandler: app.requireScopes('item') }, async () => 'ok')
  })
  const statusOf = async (url: string, scope: string): Promise<number> => (await app.inject({
    url, headers: bearer((await logIn(app, 'alice', { scope })).access_token)
  })).statusCode
  t.equal(await statusOf('/both', 'admin items:read'), 200)
  t.equal(await statusOf('/both', 'admin'), 403)
  t.equal(await statusOf('/both', 'items:read'), 403)
  t.equal(await statusOf('/items', 'items:read'), 403)
  t.equal(await statusOf('/item', 'items:read'), 403)
})

t.test('an unknown scope throws at boot and names those that are known', async t => {
  const app = createHost(t)
  await app.register(latchkey, TEST_OPTIONS)
  t.throws(() => app.requireScopes('itmes:read'), /Unknown scope 'itmes:read'.*items:read/)
  t.throws(() => app.requireScopes('admin', 'nonsense'), /Unknown scope 'nonsense'/)
  for (const name of [
    '', ' ', 'admin items:read', 'Admin', '__proto__', 'constructor', 'toString'
  ]) t.throws(() => app.requireScopes(name), /Unknown scope/, JSON.stringify(name))
  t.throws(() => app.requireScopes(), TypeError, 'no scope at all is a mistake')
  for (const scope of [
    'users:read', 'users:write', 'clients:write', 'tokens:introspect', 'revocations:read', 'audit:read', 'metrics:read'
  ]) t.type(app.requireScopes(scope), 'function', scope)
})

t.test('what a hook of the host puts at request.user does not get through', async t => {
  const forged = {
    id: 'mallory',
    scopes: ['admin', 'items:read', 'items:write'],
    sessionId: 'x',
    tokenId: 'x',
    clientId: 'x',
    claims: {}
  }
  const { app } = await buildHost(t, {}, app => {
    app.addHook('onRequest', async request => { request.user = forged as never })
    app.get('/authenticate', { onRequest: app.authenticate }, async request => request.user)
    app.get('/admin', { preHandler: app.requireScopes('items:write') }, async request => request.user)
    app.get(
      '/between',
      {
        onRequest: [app.authenticate, async request => { request.user = forged as never }],
        preHandler: app.requireScopes('items:write')
      },
      async request => request.user
    )
    app.get(
      '/between-known',
      {
        onRequest: [app.authenticate, async request => { request.user = forged as never }],
        preHandler: app.requireScopes('admin')
      },
      async request => request.user
    )
  })
  for (const url of ['/authenticate', '/admin', '/between']) t.equal((await app.inject({ url })).statusCode, 401, url)
  const { access_token: token } = await logIn(app)
  t.not((await app.inject({ url: '/authenticate', headers: bearer(token) })).json().id, 'mallory')
  t.equal((await app.inject({ url: '/admin', headers: bearer(token) })).statusCode, 403)
  t.equal((await app.inject({ url: '/between', headers: bearer(token) })).statusCode, 403)
  t.not(
    (await app.inject({ url: '/between-known', headers: bearer(token) })).json().id, 'mallory',
    'the guard puts the right one back'
  )
})

t.test('a guard of one Latchkey does not accept who another one has let in', async t => {
  const app = createHost(t)
  const guards: Array<FastifyInstance['requireScopes']> = []
  for (const prefix of ['/one', '/two']) {
    await app.register(async scope => {
      await scope.register(latchkey, { ...TEST_OPTIONS, prefix })
      scope.get(`${prefix}/me`, { onRequest: scope.authenticate }, async request => request.user.id)
      guards.push(scope.requireScopes)
      const other = guards[0]
      if (prefix === '/two' && other !== undefined) {
        scope.get(
          '/both', { onRequest: scope.authenticate, preHandler: other('admin') }, async () => 'both'
        )
      }
      scope.addHook(
        'onReady',
        async () => { await scope.latchkey.users.add({ username: 'alice', password: PASSWORD, scopes: ['admin'] }) }
      )
    })
  }
  await app.ready()
  const tokenOf = async (prefix: string): Promise<string> => (await app.inject({
    method: 'POST', url: `${prefix}/token`, payload: { username: 'alice', password: PASSWORD }
  })).json().access_token
  const [one, two] = [await tokenOf('/one'), await tokenOf('/two')]
  const statusOf = async (url: string, token: string): Promise<number> => (await app.inject({
    url, headers: bearer(token)
  })).statusCode
  t.equal(await statusOf('/one/me', one), 200)
  t.equal(await statusOf('/two/me', two), 200)
  t.equal(await statusOf('/one/me', two), 401)
  t.equal(await statusOf('/two/me', one), 401)
  t.equal(await statusOf('/both', two), 401, 'verified by the second is nothing to the first')
  t.equal(await statusOf('/both', one), 401)
})

t.test('request.user is typed, complete and frozen: a handler cannot change who the next request is', async t => {
  const attempts: Array<(user: FastifyRequest['user']) => void> = [
    user => { (user as { id: string }).id = 'mallory' },
    user => { (user.scopes as string[]).push('items:write') },
    user => { (user.scopes as string[])[0] = 'items:write' },
    user => { (user.scopes as string[]).length = 0 },
    user => { (user as unknown as { scopes: string[] }).scopes = ['items:write'] },
    user => { (user.claims as { sub: string }).sub = 'mallory' },
    user => { (user.claims as unknown as { tenant: { id: number } }).tenant.id = 8 },
    user => { (user.claims as unknown as { tenant: { roles: string[] } }).tenant.roles.push('owner') },
    user => { delete (user as { sessionId?: string }).sessionId },
    user => { Object.defineProperty(user, 'id', { value: 'mallory' }) },
    user => { Object.setPrototypeOf(user, { admin: true }) }
  ]
  const { app } = await buildHost(t, { claims: () => ({ tenant: { id: 7, roles: ['member'] } }) }, app => {
    app.get('/me', { onRequest: app.authenticate }, async request => request.user)
    app.get('/change/:index', { onRequest: app.authenticate }, async request => {
      const { index } = request.params as { index: string }
      try {
        attempts[Number(index)]?.(request.user)
        return { threw: false }
      } catch (error) {
        return { threw: error instanceof TypeError }
      }
    })
    app.get('/replace', { onRequest: app.authenticate }, async request => {
      request.user = { ...request.user, id: 'mallory' }
      return request.user.id
    })
  })
  const headers = bearer((await logIn(app)).access_token)
  const before = (await app.inject({ url: '/me', headers })).json()
  t.strictSame(Object.keys(before).sort(), [
    'claims', 'clientId', 'credential', 'id', 'scopes', 'sessionId', 'tokenId'
  ])
  for (const index of attempts.keys()) {
    t.strictSame(
      (await app.inject({ url: `/change/${index}`, headers })).json(), { threw: true }, String(attempts[index])
    )
  }
  t.equal((await app.inject({ url: '/replace', headers })).body, 'mallory')
  t.strictSame((await app.inject({ url: '/me', headers })).json(), before)
})

t.test('where the revocations cannot be told a guard says 503, never yes, and not why', async t => {
  let caught: Caught[] = []
  const { app, store } = await buildHost(t, { database: databaseFile(t), secret: SECRET }, app => {
    caught = catchErrors(app)
    app.get('/me', { onRequest: app.authenticate }, async () => 'ok')
    app.get('/admin', { preHandler: app.requireScopes('admin') }, async () => 'ok')
  })
  const tokens = await logIn(app)
  t.equal((await app.inject({ url: '/me', headers: bearer(tokens.access_token) })).statusCode, 200)
  const { changed } = store
  store.changed = () => { throw new Error('SQLITE_IOERR: disk I/O error at /var/lib/auth.db') }
  for (const url of ['/me', '/admin']) {
    const response = await app.inject({ url, headers: bearer(tokens.access_token) })
    t.equal(response.statusCode, 503)
    t.match(response.headers['retry-after'], /^\d+$/)
    t.notOk(response.headers['www-authenticate'], 'the token is not at fault')
    t.match(caught.at(-1), { statusCode: 503, code: 'revocation_unknown' })
    t.notMatch(caught.at(-1)?.message, /SQLITE|disk|auth\.db/)
  }
  for (const url of ['/users/me', '/sessions']) {
    const response = await app.inject({ url, headers: bearer(tokens.access_token) })
    t.equal(response.statusCode, 503)
    t.equal(response.json().code, 'revocation_unknown')
    assertDiscreet(t, response)
  }
  t.equal((await app.inject({ url: '/me' })).statusCode, 401, 'who has no token is told so')
  t.equal(
    (await app.inject({ method: 'POST', url: '/logout', headers: bearer(tokens.access_token) })).statusCode, 503,
    'a logout is not acknowledged'
  )
  store.changed = changed
  t.equal(
    (await app.inject({ url: '/me', headers: bearer(tokens.access_token) })).statusCode, 200, 'it goes on where it can'
  )
})

t.test('a revocation that is noticed and cannot be read keeps the guard shut until it can', async t => {
  const file = databaseFile(t)
  const clock = createTestClock()
  const { app, store } = await buildHost(t, { database: file, secret: SECRET, now: clock }, app => {
    app.get('/me', { onRequest: app.authenticate }, async () => 'ok')
  })
  const { app: second } = await build(t, { database: file, secret: SECRET, now: clock })
  const [dead, alive] = [await logIn(app), await logIn(app)]
  const statusOf = async (token: string): Promise<number> => (await app.inject({
    url: '/me', headers: bearer(token)
  })).statusCode
  for (const tokens of [dead, alive]) t.equal(await statusOf(tokens.access_token), 200)
  const { read } = store
  store.read = async () => { throw new Error('SQLITE_IOERR') }
  await second.inject({ method: 'POST', url: '/revoke', payload: { token: dead.access_token } })
  for (let attempt = 0; attempt < 3; attempt++) {
    const statuses = await Promise.all([dead, alive, dead].map(tokens => statusOf(tokens.access_token)))
    t.strictSame(statuses, [503, 503, 503])
  }
  store.read = read
  t.equal(await statusOf(dead.access_token), 401)
  t.equal(await statusOf(alive.access_token), 200)
})

t.test('with the database closed nobody is let in, and every route of ours says 503', async t => {
  const { app, store } = await buildHost(
    t, {}, app => { app.get('/me', { onRequest: app.authenticate }, async () => 'ok') }
  )
  const tokens = await logIn(app)
  t.equal((await app.inject({ url: '/me', headers: bearer(tokens.access_token) })).statusCode, 200)
  await store.close()
  const requests: Array<{ method: 'GET' | 'POST', url: string, payload?: object, headers?: Record<string, string> }> = [
    { method: 'GET', url: '/me', headers: bearer(tokens.access_token) },
    { method: 'GET', url: '/users/me', headers: bearer(tokens.access_token) },
    { method: 'GET', url: '/sessions', headers: bearer(tokens.access_token) },
    { method: 'POST', url: '/logout', headers: bearer(tokens.access_token) },
    { method: 'POST', url: '/login', payload: { username: 'alice', password: PASSWORD } },
    { method: 'POST', url: '/token', payload: { username: 'alice', password: PASSWORD } },
    { method: 'POST', url: '/token', payload: { grant_type: 'refresh_token', refresh_token: tokens.refresh_token } },
    { method: 'POST', url: '/refresh', payload: { refresh_token: tokens.refresh_token } },
    { method: 'POST', url: '/revoke', payload: { token: tokens.access_token } },
    { method: 'POST', url: '/revoke', payload: { token: tokens.refresh_token } }
  ]
  for (const request of requests) {
    const response = await app.inject(request)
    t.equal(response.statusCode, 503, `${request.method} ${request.url}`)
    t.match(response.headers['retry-after'], /^\d+$/)
    assertDiscreet(t, response)
  }
})

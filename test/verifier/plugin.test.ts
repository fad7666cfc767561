import { fastify } from 'fastify'
import type { FastifyInstance, FastifyRequest, InjectOptions, LightMyRequestResponse } from 'fastify'
import t from 'tap'
import type { Test } from 'tap'
import { requireRecentLogin as requireOwnRecentLogin } from '../../app.js'
import verifier, { authenticate, authenticateOptional, requireRecentLogin } from '../../verifier/plugin.js'
import type { VerifierPluginOptions } from '../../verifier/plugin.js'
import { bearer, logIn, logInWithCookies } from '../helper.js'
import { visible } from '../routes/support.js'
import { createFakeService, createIssuer, createMachineClocks, CREDENTIALS, generateKey, until } from './support.js'

t.setTimeout(60_000)

function addRoutes (app: FastifyInstance, recent = requireRecentLogin): void {
  app.get('/me', { onRequest: app.authenticate }, async request => request.user)
  app.post('/me', { onRequest: app.authenticate }, async request => request.user.id)
  app.get('/admin', { preHandler: app.requireScopes('admin') }, async request => request.user.id)
  app.post(
    '/both',
    { preHandler: app.requireScopes('admin', 'items:write'), schema: { body: { type: 'object', required: ['a'] } } },
    async () => 'both'
  )
  app.get('/recent', { preHandler: recent('1h') }, async request => request.user.id)
  app.get('/open', async () => 'open')
}

async function createHost (t: Test, options: VerifierPluginOptions): Promise<FastifyInstance> {
  const app = fastify({ logger: false }) as FastifyInstance
  t.teardown(() => app.close())
  await app.register(verifier, options)
  return app
}

t.test('to the routes of a host it is as the full plugin: the same answers to the same requests', async t => {
  const { app: service, issuer } = await createIssuer(t, {}, app => addRoutes(app, requireOwnRecentLogin))
  const host = await createHost(t, { issuer, revocations: 'none' })
  addRoutes(host)

  const alice = (await logIn(service)).access_token
  const bob = (await logIn(service, 'bob')).access_token
  const { cookie } = await logInWithCookies(service)
  const stranger = await generateKey()
  const [head, claims, signature] = alice.split('.')
  const requests: InjectOptions[] = [
    '', alice, bob, `${alice}x`, `${head}.${claims}.${signature?.split('').reverse().join('')}`, 'x'.repeat(10_000)
  ].flatMap(token => [
    { url: '/me' }, { url: '/admin' }, { url: '/recent' }, { method: 'POST' as const, url: '/both', payload: { a: 1 } },
    { method: 'POST' as const, url: '/both', payload: {} }
  ]
    .map(request => ({ ...request, headers: token === '' ? {} : bearer(token) })))
  requests.push(
    { url: '/open' }, {
      url: '/me', headers: { authorization: 'Basic YTpi' }
    }, { url: '/me', headers: { authorization: 'bearer' } },
    { url: '/me', headers: { cookie } }, {
      method: 'POST', url: '/me', headers: { cookie, 'sec-fetch-site': 'same-origin' }
    }, { method: 'POST', url: '/me', headers: { cookie, 'sec-fetch-site': 'cross-site' } },
    {
      method: 'POST', url: '/me', headers: { cookie, origin: 'https://evil.example' }
    }, { url: '/me', headers: { cookie, ...bearer(bob) } }, { url: '/me', headers: { cookie: 'access_token=x' } },
    {
      url: '/me',
      headers: bearer(
        `${Buffer.from(JSON.stringify({
 alg: 'ES256',
typ: 'at+jwt',
kid:
          stranger.kid
})).toString('base64url')}.${claims}.${signature}`
      )
    }
  )
  const statuses = new Set<number>()
  for (const request of requests) {
    const [theirs, ours] = [visible(await service.inject(request)), visible(await host.inject(request))]
    t.strictSame(
      ours, theirs,
      `${request.method ?? 'GET'} ${String(request.url)} ${JSON.stringify(request.headers ?? {}).slice(0, 80)}`
    )
    statuses.add(ours.status)
  }
  t.strictSame([...statuses].sort(), [200, 400, 401, 403])
})

t.test('it reads the access token from the cookie of the name that the service has', async t => {
  const cookies = { accessName: 'shop_access', refreshName: 'shop_refresh' }
  const { app: service, issuer } = await createIssuer(t, { cookies })
  const { cookie } = await logInWithCookies(service)
  for (const [options, statusCode] of [[{ cookies }, 200], [{}, 401]] as const) {
    const host = await createHost(t, { issuer, revocations: 'none', ...options })
    addRoutes(host)
    t.equal((await host.inject({ url: '/me', headers: { cookie } })).statusCode, statusCode)
  }
  await t.rejects(
    createHost(t, { issuer, revocations: 'none', cookies: { accessName: '__Host-a' } }),
    { message: /^Latchkey: the option cookies\.accessName .* is "__Host-a": it must be a cookie name without a prefix/ }
  )
  await t.rejects(
    createHost(t, { issuer, revocations: 'none', cookies: { accessName: 'refresh_token' } }),
    { message: /are both refresh_token: give each cookie a name of its own$/ }
  )
})

t.test('only the guards reach the host, which may have the same plugins itself', async t => {
  const service = await createFakeService(t)
  const host = await createHost(t, { issuer: service.issuer, revocations: 'none' })
  for (const name of ['jwt', 'latchkey', 'parseCookie', 'setCookie']) t.equal(host.hasDecorator(name), false, name)
  t.equal(host.hasReplyDecorator('setCookie'), false)
  const { default: fastifyCookie } = await import('@fastify/cookie')
  const { default: fastifyJwt } = await import('@fastify/jwt')
  await host.register(fastifyCookie)
  await host.register(fastifyJwt, { secret: 'of the host' })
  host.get('/own', { onRequest: async request => await request.jwtVerify() }, async request => request.user)
  host.get('/me', { onRequest: host.authenticate }, async request => request.user.id)
  t.equal((await host.inject({ url: '/own', headers: bearer(host.jwt.sign({ name: 'ada' })) })).json().name, 'ada')
  t.equal((await host.inject({ url: '/me', headers: bearer(host.jwt.sign({ name: 'ada' })) })).statusCode, 401)
  t.equal((await host.inject({ url: '/me', headers: bearer(service.token()) })).body, 'alice')
})

t.test('guards: tagged as those of the full plugin, so that they authenticate before a body is read, and protect nothing in silence', async t => {
  const service = await createFakeService(t)
  const host = await createHost(t, { issuer: service.issuer, revocations: 'none' })
  host.post('/late', { preHandler: host.requireScopes('admin'), bodyLimit: 10 }, async () => 'late')
  t.throws(
    () => host.get('/useless', { onSend: host.requireScopes('admin') as never }, async () => ''),
    /A guard protects nothing as the onSend hook/
  )
  t.throws(() => host.requireScopes(), /needs at least one scope/)
  t.throws(() => host.requireScopes('amdin'), /Unknown scope 'amdin': the catalogue has admin, items:read/)
  t.equal(
    (await host.inject({ method: 'POST', url: '/late', payload: { a: 'x'.repeat(100) } })).statusCode, 401,
    'and not 413'
  )

  const named = await createHost(
    t, { issuer: service.issuer, revocations: 'none', scopes: { reports: 'Read reports' } }
  )
  t.doesNotThrow(() => named.requireScopes('reports', 'users:read'), 'its own, and those that are built in')
  t.throws(() => named.requireScopes('admin'), /Unknown scope 'admin'/)
})

t.test('an app starts without the service, answers 503, and accepts by itself when it is there; a misspelt scope lets nobody in', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  let isThere = false
  const fetch: typeof globalThis.fetch = async (...request) => {
    if (!isThere) throw new TypeError('fetch failed')
    return await globalThis.fetch(...request)
  }
  const lines: string[] = []
  const app = fastify({
    logger: { level: 'info', stream: { write (line: string) { lines.push(line) } } }
  }) as unknown as FastifyInstance
  t.teardown(() => app.close())
  await app.register(
    verifier,
    {
      issuer: service.issuer,
      ...CREDENTIALS,
      fetch,
      ...clocks.options,
      trustedOrigins: ['https://app.example'],
      cookies: { secure: false }
    }
  )
  app.get('/admin', { preHandler: app.requireScopes('admin') }, async request => request.user.id)
  app.post('/admin', { preHandler: app.requireScopes('admin') }, async request => request.user.id)
  app.get('/typo', { preHandler: app.requireScopes('amdin') }, async () => 'typo')
  const headers = bearer(service.token())
  const refused = await app.inject({ url: '/admin', headers })
  t.equal(refused.statusCode, 503)
  t.equal(refused.headers['retry-after'], '1')
  t.equal(refused.json().code, 'revocation_unknown')
  t.equal(refused.headers['www-authenticate'], undefined, 'the token is not bad')
  t.ok(lines.some(line => line.includes('starting without the service') && line.includes('cannot be reached')))

  isThere = true
  await service.beat()
  await until(async () => (await app.inject({ url: '/admin', headers })).statusCode === 200)
  t.equal((await app.inject({ url: '/typo', headers })).statusCode, 403)
  await until(
    () => lines.some(line => line.includes('a guard requires a scope that no token can have') && line.includes('amdin'))
  )

  const cookie = `access_token=${service.token()}`
  t.equal(
    (await app.inject({
      method: 'POST', url: '/admin', headers: { cookie, origin: 'https://app.example' }
    })).statusCode,
    200,
    'a trusted origin, a cookie without Secure'
  )
  t.equal(
    (await app.inject({
      method: 'POST', url: '/admin', headers: { cookie, origin: 'https://other.example' }
    })).statusCode,
    403
  )
  clocks.pass(1_001)
  t.equal((await app.inject({ url: '/admin', headers })).statusCode, 503)
  const [stream] = service.streams
  await app.close()
  await until(() => stream?.closed === true)
})

t.test('RFC 9470 3: a recent login is measured by the clock of the service', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  const host = await createHost(t, { issuer: service.issuer, ...CREDENTIALS, ...clocks.options })
  host.get('/imported', { preHandler: requireRecentLogin('5m') }, async request => request.user.id)
  await service.beat()
  const now = Math.floor(clocks.now() / 1_000)
  const [recent, old] = [now - 300, now - 301]
  // The clock of this machine is set back by two minutes after the service has sent its time.
  clocks.setWall(-120_000)
  for (const url of ['/imported']) {
    const get = async (claims: Record<string, unknown>): Promise<LightMyRequestResponse> =>
      await host.inject({ url, headers: bearer(service.token({ iat: now, exp: now + 900, ...claims })) })
    await until(async () => (await get({ auth_time: recent })).statusCode !== 503)
    t.equal((await get({ auth_time: recent })).statusCode, 200)
    for (const claims of [{}, { auth_time: old }, { auth_time: now + 60 }, { auth_time: 0 }, { auth_time: -now }]) {
      const refused = await get(claims)
      t.match(refused.json(), { statusCode: 401, code: 'insufficient_user_authentication' }, JSON.stringify(claims))
      t.match(refused.headers['www-authenticate'], /max_age="300"$/)
    }
    for (const time of ['x', now + 0.5, null, [now]]) {
      t.match((await get({ auth_time: time })).json(), { code: 'invalid_token' }, 'a claim of another type')
    }
  }
})

t.test('options', async t => {
  const app = fastify()
  const wrong = async (options: object): Promise<void> => {
    await fastify().register(
      verifier, options as VerifierPluginOptions
    )
  }
  await t.rejects(wrong({}), /the option issuer is missing/)
  await t.rejects(wrong({ issuer: 'https://a.example' }), /clientId and clientSecret are missing/)
  await t.rejects(
    wrong({ issuer: 'https://a.example', revocations: 'none', cookies: { secure: 1 } }), /the option cookies.secure/
  )
  await t.rejects(
    wrong({ issuer: 'https://a.example', revocations: 'none', trustedOrigins: ['app'] }), /the option trustedOrigins/
  )
  await t.rejects(
    wrong({ issuer: 'https://a.example', revocations: 'none', database: 'x' }), /there is no option database/
  )
  await app.close()
})

t.test('a token of an unknown key, a minute after the keys were read, is refused in every form of the guard', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  const host = await createHost(t, { issuer: service.issuer, revocations: 'none', ...clocks.options })
  const handled: unknown[] = []
  const handle = async (request: FastifyRequest): Promise<string> => { handled.push(request.user); return 'handled' }
  host.get(
    '/awaited', async (request, reply) => { await host.authenticate(request, reply); return await handle(request) }
  )
  host.get(
    '/async-hook', { preHandler: async (request, reply) => { await host.requireScopes('admin')(request, reply) } },
    handle
  )
  host.get('/wrapped', { preHandler: (request, reply, done) => host.authenticate(request, reply, done) }, handle)
  host.get('/imported', async (request, reply) => { await authenticate(request, reply); return await handle(request) })
  host.get(
    '/optional', async (request, reply) => { await authenticateOptional(request, reply); return await handle(request) }
  )
  const forged = bearer(service.token({}, await generateKey()))
  for (const url of ['/awaited', '/async-hook', '/wrapped', '/imported', '/optional']) {
    clocks.pass(61_000)
    t.equal((await host.inject({ url, headers: forged })).statusCode, 401, url)
  }
  t.same(handled, [], 'no handler ran')
})

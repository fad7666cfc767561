import fastifyCookie from '@fastify/cookie'
import fastifyFormbody from '@fastify/formbody'
import fastifyJwt from '@fastify/jwt'
import fastifyRateLimit from '@fastify/rate-limit'
import { fastify } from 'fastify'
import type { FastifyInstance, FastifyServerOptions, InjectOptions, LightMyRequestResponse } from 'fastify'
import t from 'tap'
import type { Test } from 'tap'
import latchkey from '../../app.js'
import type { LatchkeyOptions } from '../../app.js'
import { bearer, cookieHeader, PASSWORD, TEST_OPTIONS } from '../helper.js'
import { kFollower } from '../../plugins/database.js'

/** A host that has something of its own. */
interface Host {
  name: string
  server?: FastifyServerOptions
  /** Registers it: before Latchkey and, in another app, after it. */
  own (app: FastifyInstance): Promise<void>
  /** Where it has tokens of its own: one of them. */
  token? (app: FastifyInstance): string
  options?: LatchkeyOptions
}

const SECRET = 'a secret that only the host knows'

const hosts: Host[] = [
  { name: 'nothing', async own () {} },
  { name: 'Latchkey at the root', async own () {}, options: { prefix: '' } },
  {
    name: '@fastify/cookie that signs all cookies and parses late',
    async own (app) {
      await app.register(
        fastifyCookie,
        { secret: SECRET, hook: 'preHandler', parseOptions: { signed: true, path: '/', httpOnly: false } }
      )
    }
  },
  {
    name: '@fastify/jwt',
    async own (app) {
      await app.register(fastifyJwt, { secret: SECRET })
    },
    token: app => app.jwt.sign({ name: 'host' })
  },
  {
    name: '@fastify/jwt in a namespace',
    async own (app) {
      await app.register(
        fastifyJwt, { secret: SECRET, namespace: 'latchkey', jwtVerify: 'authenticate', decoratorName: 'verified' }
      )
    }
  },
  {
    name: '@fastify/jwt that reads a cookie of our name',
    async own (app) {
      await app.register(fastifyCookie)
      await app.register(fastifyJwt, { secret: SECRET, cookie: { cookieName: '__Host-access_token', signed: false } })
    },
    token: app => app.jwt.sign({ name: 'host' })
  },
  {
    name: '@fastify/formbody',
    async own (app) {
      await app.register(fastifyFormbody)
    }
  },
  {
    name: '@fastify/rate-limit for all routes',
    async own (app) {
      await app.register(fastifyRateLimit, { global: true, max: 1_000 })
    }
  },
  {
    name: 'an error handler and a 404 of its own',
    async own (app) {
      app.setErrorHandler((
        error: Error & { statusCode?: number }, _request, reply
      ) => reply.code(error.statusCode ?? 599).send({ host: error.message }))
      app.setNotFoundHandler((request, reply) => reply.code(404).send({ host: `no ${request.url}` }))
    }
  },
  {
    name: 'content-type parsers of its own',
    async own (app) {
      app.removeAllContentTypeParsers()
      app.addContentTypeParser(
        'text/plain', { parseAs: 'string' }, (_request, body, done) => done(null, `text:${body.toString()}`)
      )
      app.addContentTypeParser(
        'application/json', { parseAs: 'string' }, (_request, body, done) => done(null, { parsedByHost: body })
      )
      app.addContentTypeParser(
        '*', { parseAs: 'string' }, (_request, body, done) => done(null, `any:${body.toString()}`)
      )
    }
  },
  {
    name: 'an ajv that coerces, fills in and removes',
    server: {
      ajv: { customOptions: { coerceTypes: 'array', removeAdditional: 'all', useDefaults: true, allErrors: true } }
    },
    async own () {}
  },
  {
    name: 'a validator and a serializer of its own',
    async own (app) {
      app.setValidatorCompiler(() => () => ({ value: { replacedByHost: true } }))
      app.setSerializerCompiler(() => () => '"serialized by the host"')
    }
  },
  {
    name: 'a serializer for all that has no schema',
    async own (app) {
      app.setReplySerializer(() => '"replied by the host"')
    }
  },
  {
    name: 'shared schemas',
    async own (app) {
      app.addSchema({ $id: 'Account', type: 'object' })
    }
  },
  {
    name: 'an error formatter and a router of its own',
    server: {
      schemaErrorFormatter: () => new Error('formatted by the host'),
      routerOptions: { ignoreTrailingSlash: true, caseSensitive: false }
    },
    async own () {}
  },
  {
    name: 'decorators of the names that Latchkey thinks in',
    async own (app) {
      for (const name of [
        'users', 'sessions', 'store', 'keys', 'user', 'tokens', 'cookies', 'swagger'
      ]) app.decorate(name, `the host's ${name}`)
      for (const name of ['user', 'session'] as string[]) app.decorateRequest(name, null)
      app.decorateReply('setCookie' as string, null)
    }
  },
  {
    name: 'hooks that set request.user',
    async own (app) {
      for (const hook of ['onRequest', 'preHandler'] as const) {
        app.addHook(hook, async request => { Object.assign(request, { user: { id: 'mallory', scopes: ['admin'] } }) })
      }
    }
  }
]

/** What a host can do, so that it can be compared with and without Latchkey. */
function addRoutes (app: FastifyInstance): void {
  app.get('/plain', async () => ({ hello: 'world' }))
  app.post('/echo', async request => ({ body: request.body, type: typeof request.body }))
  app.post('/typed', {
    schema: {
      body: { type: 'object', properties: { count: { type: 'number' } }, required: ['count'] },
      response: { 200: { type: 'object', properties: { count: {} } } }
    }
  }, async request => request.body)
  app.get('/fail', async () => { throw new Error('the host fails') })
  app.get('/see', async function see (request, reply) {
    const { cookies, user } = request as { cookies?: unknown, user?: unknown }
    return {
      cookies,
      user,
      app: ['jwt', 'users', 'swagger', 'setCookie'].map(name => typeof Reflect.get(app, name)),
      reply: typeof reply.setCookie,
      verify: typeof request.jwtVerify
    }
  })
  app.get('/own', async request => await request.jwtVerify())
}

const json = (payload: string): InjectOptions => ({
  method: 'POST', url: '/echo', headers: { 'content-type': 'application/json' }, payload
})

const probes: InjectOptions[] = [
  { url: '/plain' },
  { url: '/PLAIN/' },
  { method: 'POST', url: '/plain' },
  { url: '/nothing' },
  { url: '/fail' },
  { url: '/see', headers: { cookie: 'a=1; __Host-access_token=x; access_token=y' } },
  json('{"a":1}'),
  json('{"a"'),
  json(''),
  json('{"__proto__":{}}'),
  json(`{"long":"${'x'.repeat(20_000)}"}`),
  { ...json('text'), headers: { 'content-type': 'text/plain' } },
  { ...json('a=1'), headers: { 'content-type': 'application/x-www-form-urlencoded' } },
  { ...json('custom'), headers: { 'content-type': 'application/custom' } },
  { method: 'POST', url: '/typed', payload: { count: '1', more: true } },
  { method: 'POST', url: '/typed', payload: { count: 'many' } },
  { method: 'OPTIONS', url: '/plain' }
]

async function probe (app: FastifyInstance, token: string | undefined): Promise<unknown[]> {
  const own: InjectOptions[] = token === undefined
    ? []
    : [
        { url: '/own', headers: bearer(token) }, { url: '/own', cookies: { '__Host-access_token': token } }
      ]
  const answers = []
  for (const request of [...probes, ...own]) {
    const {
      statusCode, headers: { date: _date, 'x-ratelimit-reset': _reset, ...headers }, body
    } = await app.inject(request)
    answers.push({
      asked: `${request.method ?? 'GET'} ${String(request.url)}`,
      statusCode,
      headers,
      body: body.replace(/"iat":\d+/, '"iat":0')
    })
  }
  return answers
}

/** The guards on routes of the host, and Latchkey's own routes, from login to revocation. */
async function checkMainJob (t: Test, app: FastifyInstance, prefix: string): Promise<void> {
  const post = (url: string, payload?: object, headers: Record<string, string> = {}): Promise<LightMyRequestResponse> =>
    app.inject({ method: 'POST', url: prefix + url, headers, payload })
  const form = (url: string, fields: Record<string, string>): Promise<LightMyRequestResponse> =>
    app.inject({
      method: 'POST',
      url: prefix + url,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: new URLSearchParams(fields).toString()
    })
  const statusOf = async (
    url: string, headers: Record<string, string> = {}
  ): Promise<number> => (await app.inject({ url, headers })).statusCode

  t.equal(await statusOf('/host/me'), 401, 'no token')
  t.equal(await statusOf('/host/admin'), 401, 'no token, and a scope')
  t.equal(
    (await app.inject({ method: 'POST', url: '/host/typed', payload: { wrong: true } })).statusCode, 401,
    'no token, before the body is looked at'
  )

  const login = await form('/token', { grant_type: 'password', username: 'alice', password: PASSWORD })
  t.equal(login.statusCode, 200, 'logged in')
  const tokens = login.json()
  const headers = bearer(tokens.access_token)
  t.equal(await statusOf('/host/me', headers), 200)
  t.equal(await statusOf('/host/admin', headers), 200)
  t.equal(await statusOf(`${prefix}/users/me`, headers), 200)
  t.equal((await app.inject({ url: `${prefix}/users/me`, headers })).json().username, 'alice', 'our serializer')
  t.equal(
    await statusOf('/host/me', { cookie: `__Host-access_token=${tokens.access_token}` }), 200, 'the cookie is ours'
  )

  const bob = bearer((await post('/token', { username: 'bob', password: PASSWORD })).json().access_token)
  t.equal(await statusOf('/host/me', bob), 200)
  t.equal(await statusOf('/host/admin', bob), 403)

  t.equal(
    (await post('/login', { username: 'alice', password: 1 })).statusCode, 400, 'our validation: nothing is coerced'
  )
  t.equal(
    (await post('/login', { username: 'alice', password: PASSWORD, more: 1 })).statusCode, 400, 'and nothing is removed'
  )
  const text = await app.inject({
    method: 'POST', url: `${prefix}/login`, headers: { 'content-type': 'text/plain' }, payload: 'x'
  })
  t.equal(text.statusCode, 415, 'our parsers')
  t.equal(text.json().code, 'unsupported_media_type', 'our error handler')

  const cookies = { cookie: cookieHeader(await post('/login', { username: 'alice', password: PASSWORD })) }
  t.equal(await statusOf('/host/admin', cookies), 200)
  t.equal((await post('/logout', undefined, cookies)).statusCode, 204)
  t.equal(await statusOf('/host/admin', cookies), 401)

  const refreshed = await post('/refresh', { refresh_token: tokens.refresh_token })
  t.equal(refreshed.statusCode, 200)
  t.equal((await form('/revoke', { token: tokens.access_token })).statusCode, 200)
  t.equal(await statusOf('/host/me', headers), 401)
  t.equal(await statusOf('/host/me', bearer(refreshed.json().access_token)), 200)

  if (prefix !== '') {
    t.match((await app.inject(`${prefix}/nothing`)).json(), { code: 'not_found' }, 'our 404 under our prefix')
    t.equal((await app.inject(`${prefix}/token`)).statusCode, 405)
  }
}

async function build (t: Test, host: Host, when: 'before' | 'after' | 'without'): Promise<FastifyInstance> {
  const app = fastify(host.server)
  t.teardown(() => app.close())
  if (when === 'before') await host.own(app)
  if (when !== 'without') {
    await app.register(
      latchkey, { ...TEST_OPTIONS, rateLimit: true, prefix: '/auth', ...host.options }
    )
  }
  if (when !== 'before') await host.own(app)
  addRoutes(app)
  if (when !== 'without') {
    // Answers that no serializer of a host can change.
    const send = (value: string): Buffer => Buffer.from(value)
    app.get('/host/me', { onRequest: app.authenticate }, async request => send(request.user.id))
    app.get('/host/admin', { preHandler: app.requireScopes('admin') }, async request => send(request.user.id))
    app.post(
      '/host/typed',
      { preHandler: app.requireScopes('admin'), schema: { body: { type: 'object', required: ['count'] } } },
      async () => send('done')
    )
  }
  await app.ready()
  return app
}

for (const host of hosts) {
  t.test(`a host with ${host.name}`, async t => {
    const alone = await build(t, host, 'without')
    const before = await probe(alone, host.token?.(alone))
    for (const when of ['before', 'after'] as const) {
      await t.test(`of which ${when} Latchkey`, async t => {
        const app = await build(t, host, when)
        t.same(await probe(app, host.token?.(app)), before, 'answers as it did without Latchkey')
        await app.latchkey.users.add({ username: 'alice', password: PASSWORD, scopes: ['admin'] })
        await app.latchkey.users.add({ username: 'bob', password: PASSWORD })
        await checkMainJob(t, app, host.options?.prefix ?? '/auth')
        if (host.token !== undefined) {
          t.equal(
            (await app.inject({ url: '/host/me', headers: bearer(host.token(app)) })).statusCode, 401,
            'a token of the host is none of ours'
          )
        }
      })
    }
  })
}

t.test('a limit that the host sets for all routes answers 429 on ours too', async t => {
  const app = await build(t, {
    name: 'a low limit',
    async own (app) { await app.register(fastifyRateLimit, { global: true, max: 2 }) }
  }, 'before')
  await app.inject('/auth/health/live')
  await app.inject('/auth/health/live')
  const response = await app.inject('/auth/health/live')
  t.equal(response.statusCode, 429)
  t.match(response.json(), { status: 429, code: 'too_many_requests' })
  for (let i = 0; i < 2; i++) await app.inject({ method: 'POST', url: '/auth/token' })
  t.equal((await app.inject({ method: 'POST', url: '/auth/token' })).statusCode, 429, 'on the OAuth endpoints as well')
})

t.test('a limit of the host that comes after Latchkey leaves our routes alone', async t => {
  const app = await build(t, {
    name: 'a low limit',
    async own (app) { await app.register(fastifyRateLimit, { global: true, max: 2 }) }
  }, 'after')
  for (let i = 0; i < 4; i++) t.equal((await app.inject('/auth/health/live')).statusCode, 200)
  for (let i = 0; i < 2; i++) t.equal((await app.inject('/plain')).statusCode, 200)
  t.equal((await app.inject('/plain')).statusCode, 429)
})

t.test("the guards' errors reach the error handler of the host, with status, code and challenge set", async t => {
  const app = await build(t, {
    name: 'an error handler',
    async own (app) {
      app.setErrorHandler((error: Error & { statusCode?: number, code?: string }, _request, reply) => {
        const { statusCode, code, message } = error
        return reply.code(statusCode ?? 500).send({
          host: { statusCode, code, message, challenge: reply.getHeader('www-authenticate') }
        })
      })
    }
  }, 'after')
  await app.latchkey.users.add({ username: 'bob', password: PASSWORD })
  const { access_token: token } = (await app.inject({
    method: 'POST', url: '/auth/token', payload: { username: 'bob', password: PASSWORD }
  })).json()

  type Row = [url: string, headers: Record<string, string>, statusCode: number, code: string, challenge: RegExp]
  const table: Row[] = [
    ['/host/me', {}, 401, 'unauthenticated', /^Bearer$/],
    ['/host/me', bearer('wrong'), 401, 'invalid_token', /^Bearer error="invalid_token", error_description="[^"]+"$/],
    ['/host/me', { authorization: 'Basic YTpi' }, 401, 'unauthenticated', /^Bearer$/],
    [
      '/host/me', { ...bearer('wrong'), cookie: `__Host-access_token=${token}` }, 401, 'invalid_token',
      /^Bearer error="invalid_token"/
    ],
    ['/host/admin', {}, 401, 'unauthenticated', /^Bearer$/],
    [
      '/host/admin', bearer(token), 403, 'insufficient_scope',
      /^Bearer error="insufficient_scope", error_description="[^"]+", scope="admin"$/
    ]
  ]
  for (const [url, headers, statusCode, code, challenge] of table) {
    const response = await app.inject({ url, headers })
    t.match(response.json().host, { statusCode, code, challenge, message: /\.$/ }, `${url} ${code}`)
    t.equal(response.statusCode, statusCode)
    t.match(response.headers['www-authenticate'], challenge)
  }
  t.match(
    (await app.inject({ url: '/auth/users/me' })).json(), { code: 'unauthenticated', status: 401 },
    'on our own routes our handler answers'
  )
})

t.test('without an error handler of the host, Fastify answers with status, code and challenge', async t => {
  const app = await build(t, { name: 'nothing', async own () {} }, 'after')
  const response = await app.inject('/host/me')
  t.same(
    response.json(),
    { statusCode: 401, code: 'unauthenticated', error: 'Unauthorized', message: 'Authentication is required.' }
  )
  t.equal(response.headers['www-authenticate'], 'Bearer')
})

t.test('an error in the revocation check is a 503 in the host too, and says when to come again', async t => {
  const scopes: FastifyInstance[] = []
  async function own (app: FastifyInstance): Promise<void> {
    app.addHook('onRegister', scope => { scopes.push(scope) })
  }
  const app = await build(t, { name: 'nothing', own }, 'before')
  await app.latchkey.users.add({ username: 'bob', password: PASSWORD })
  const { access_token: token } = (await app.inject({
    method: 'POST', url: '/auth/token', payload: { username: 'bob', password: PASSWORD }
  })).json()
  const scope = scopes.find(scope => scope.hasDecorator(kFollower)) as FastifyInstance
  Object.assign(scope[kFollower], { refresh () { throw new Error('SQLITE_IOERR /secret/path') } })
  const response = await app.inject({ url: '/host/me', headers: bearer(token) })
  t.equal(response.statusCode, 503)
  t.equal(response.headers['retry-after'], '1')
  t.notMatch(response.body, /SQLITE|secret/)
})

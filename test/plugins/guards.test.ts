import fastifyAuth from '@fastify/auth'
import t from 'tap'
import type { Test } from 'tap'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { fastify } from 'fastify'
import latchkey, { authenticate, authenticateOptional, requireScopes } from '../../app.js'
import { bearer, logIn, logInWithCookies, ON_POSTGRES, PASSWORD, TEST_OPTIONS } from '../helper.js'
import { buildHost, databaseFile, SECRET } from '../routes/support.js'

// Every way in which an app calls a guard. `kinds`: as a decorator, and imported.

type AppGuards = Pick<FastifyInstance, 'authenticate' | 'authenticateOptional' | 'requireScopes'>

const kinds: Record<string, (app: FastifyInstance) => AppGuards> = {
  decorators: app => app,
  imports: () => ({ authenticate, authenticateOptional, requireScopes })
}

const pass = (_request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void): void => done()
const fail = (
  _request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void
): void => done(Object.assign(new Error('no'), { statusCode: 418 }))

/** Routes that each call a guard in a different way. Without a valid token each must answer 401. */
function addForms (app: FastifyInstance, { authenticate, requireScopes }: AppGuards): void {
  const admin = requireScopes('admin')
  app.get('/hook', { onRequest: authenticate }, async request => request.user.id)
  app.get('/hook-scopes', { preHandler: admin }, async request => request.user.id)
  app.get('/awaited', async (request, reply) => (await authenticate(request, reply)).id)
  app.get('/awaited-scopes', async (request, reply) => (await admin(request, reply)).id)
  app.get(
    '/async-hook', { preHandler: async (request, reply) => { await authenticate(request, reply) } },
    async request => request.user.id
  )
  app.get(
    '/returned', { preHandler: (request, reply) => authenticate(request, reply) }, async request => request.user.id
  )
  app.get(
    '/wrapped', { preHandler: (request, reply, done) => authenticate(request, reply, done) },
    async request => request.user.id
  )
  app.get('/bound', { preHandler: authenticate.bind(app) }, async request => request.user.id)
  app.get('/and', { preHandler: app.auth([authenticate, pass], { relation: 'and' }) }, async request => request.user.id)
  app.get('/and-scopes', { preHandler: app.auth([pass, admin], { relation: 'and' }) }, async request => request.user.id)
  app.get('/or', { preHandler: app.auth([fail, authenticate]) }, async request => request.user.id)
  app.get(
    '/all', { preHandler: app.auth([fail, [authenticate, admin]], { run: 'all' }) }, async request => request.user.id
  )
  app.register(async scope => {
    scope.addHook('preHandler', async (request, reply) => { await authenticate(request, reply) })
    scope.get('/scope', async request => request.user.id)
  })
}

/** The user whose token has no scope. */
function addBob (app: FastifyInstance): void {
  app.addHook('onReady', async () => { await app.latchkey.users.add({ username: 'bob', password: PASSWORD }) })
}

const FORMS = [
  '/hook', '/hook-scopes', '/awaited', '/awaited-scopes', '/async-hook', '/returned', '/wrapped', '/bound', '/and',
  '/and-scopes', '/or', '/all', '/scope'
]

async function buildForms (t: Test, guardsOf: (app: FastifyInstance) => AppGuards): ReturnType<typeof buildHost> {
  return await buildHost(t, { database: databaseFile(t), secret: SECRET }, async app => {
    await app.register(fastifyAuth)
    addForms(app, guardsOf(app))
    addBob(app)
  })
}

for (const [kind, guardsOf] of Object.entries(kinds)) {
  t.test(`${kind}: a guard protects a route in every form in which it is called`, async t => {
    const { app } = await buildForms(t, guardsOf)
    const { access_token: token } = await logIn(app)
    const { access_token: weak } = await logIn(app, 'bob')
    for (const url of FORMS) {
      t.equal((await app.inject({ url, headers: bearer(token) })).statusCode, 200, url)
      for (const headers of [{}, bearer('x'), bearer(`${token}x`)]) {
        const refused = await app.inject({ url, headers })
        t.equal(refused.statusCode, 401, url)
        t.match(refused.headers['www-authenticate'], /^Bearer/, `${url} has a challenge`)
      }
      const status = (await app.inject({ url, headers: bearer(weak) })).statusCode
      t.equal(status, url.includes('scopes') || url === '/all' ? 403 : 200, `${url} as a user without the scope`)
    }
  })

  t.test(`${kind}: a verdict that must be waited for refuses in every form`, async t => {
    const { app, store } = await buildForms(t, guardsOf)
    const { access_token: token } = await logIn(app)
    await app.inject({ method: 'POST', url: '/revoke', payload: { token } })
    const { access_token: live } = await logIn(app)
    const { changed, read } = store
    store.changed = () => true
    store.read = async work => {
      await new Promise(setImmediate)
      return await read(work)
    }
    for (const url of FORMS) {
      t.equal((await app.inject({ url, headers: bearer(token) })).statusCode, 401, url)
      t.equal((await app.inject({ url, headers: bearer(live) })).statusCode, 200, url)
    }
    store.read = async () => { throw new Error('SQLITE_IOERR') }
    for (const url of FORMS) t.equal((await app.inject({ url, headers: bearer(live) })).statusCode, 503, url)
    Object.assign(store, { changed, read })
  })

  t.test(`${kind}: a guard that refused leaves no trace on a reply that goes on`, async t => {
    const { app } = await buildHost(t, {}, async app => {
      const { authenticate, requireScopes } = guardsOf(app)
      await app.register(fastifyAuth)
      addBob(app)
      app.get('/either', { preHandler: app.auth([authenticate, pass]) }, async () => 'either')
      app.get(
        '/either-scopes', { preHandler: app.auth([requireScopes('admin'), pass], { run: 'all' }) }, async () => 'either'
      )
      app.get(
        '/swallowed', { preHandler: (request, reply, done) => authenticate(request, reply, () => done()) },
        async () => 'swallowed'
      )
      app.get(
        '/caught', { preHandler: async (request, reply) => { await authenticate(request, reply).catch(() => {}) } },
        async () => 'caught'
      )
    })
    const { access_token: weak } = await logIn(app, 'bob')
    const { cookie } = await logInWithCookies(app, 'bob')
    for (const url of ['/either', '/either-scopes', '/swallowed', '/caught']) {
      for (const headers of [{}, bearer('x'), bearer(weak), { cookie: '__Host-access_token=x' }, { cookie }]) {
        // That user passes where no scope is asked for.
        if (url !== '/either-scopes' && 'cookie' in headers && headers.cookie === cookie) continue
        const { statusCode, headers: sent } = await app.inject({ url, headers })
        t.equal(statusCode, 200, url)
        for (const name of [
          'www-authenticate', 'retry-after', 'cache-control', 'vary'
        ]) t.equal(sent[name], undefined, `${url} ${name}`)
      }
    }
  })

  t.test(`${kind}: the optional guard lets a request without a token through, but not a bad token`, async t => {
    const { app } = await buildHost(t, {}, app => {
      const { authenticateOptional, requireScopes } = guardsOf(app)
      app.get('/awaited', async (request, reply) => {
        const user: FastifyRequest['user'] | undefined = await authenticateOptional(request, reply)
        return { id: user?.id ?? null }
      })
      app.get(
        '/hook', { onRequest: authenticateOptional },
        async request => ({ id: (request.user as { id: string } | undefined)?.id ?? null })
      )
      app.get('/both', { onRequest: authenticateOptional, preHandler: requireScopes('admin') }, async () => 'both')
      app.post(
        '/posted', { onRequest: authenticateOptional },
        async request => ({ id: (request.user as { id: string } | undefined)?.id ?? null })
      )
    })
    const { access_token: token } = await logIn(app)
    const { cookie } = await logInWithCookies(app)
    for (const url of ['/awaited', '/hook']) {
      const anonymous = await app.inject({ url })
      t.same(anonymous.json(), { id: null })
      t.equal(
        anonymous.headers.vary, 'Authorization, Cookie', 'a shared cache keeps it apart from the response to a user'
      )
      t.same(
        (await app.inject({ url, headers: { authorization: 'Basic YTpi' } })).json(), { id: null },
        'another scheme counts as no token'
      )
      t.type((await app.inject({ url, headers: bearer(token) })).json().id, 'string')
      t.type((await app.inject({ url, headers: { cookie } })).json().id, 'string')
      for (const headers of [bearer(''), bearer('x'), bearer(`${token}x`), { cookie: '__Host-access_token=x' }]) {
        const refused = await app.inject({ url, headers })
        t.equal(refused.statusCode, 401, `${url} ${JSON.stringify(headers).slice(0, 40)}`)
        t.match(refused.headers['www-authenticate'], /error="invalid_token"/)
      }
    }
    t.equal((await app.inject({ url: '/both' })).statusCode, 401)
    t.equal((await app.inject({ url: '/both', headers: bearer(token) })).statusCode, 200)
    t.same((await app.inject({ method: 'POST', url: '/posted', payload: { a: 1 } })).json(), { id: null })
    t.equal(
      (await app.inject({
        method: 'POST', url: '/posted', payload: { a: 1 }, headers: { cookie, 'sec-fetch-site': 'cross-site' }
      })).statusCode,
      403
    )
  })
}

t.test('a response to a cookie is kept out of shared caches, unless the host decides otherwise', async t => {
  const { app } = await buildHost(t, {}, app => {
    app.get('/none', { onRequest: authenticate }, async () => 'none')
    app.get(
      '/handler', { onRequest: authenticate },
      async (_request, reply) => reply.header('cache-control', 'public, max-age=60').send('handler')
    )
    app.get(
      '/earlier',
      {
        onRequest: [
          (_request, reply, done) => { reply.headers({ 'cache-control': 'no-cache', vary: 'Accept' }); done() },
          authenticate
        ]
      },
      async () => 'earlier'
    )
    app.get('/inner', async (request, reply) => { await authenticate(request, reply); return 'inner' })
    app.get('/open', async () => 'open')
  })
  const { access_token: token } = await logIn(app)
  const { cookie } = await logInWithCookies(app)
  const table: Array<[url: string, cacheControl: string | undefined, vary: string | undefined]> = [
    ['/none', 'private', 'Cookie'], [
      '/handler', 'public, max-age=60', 'Cookie'
    ], ['/earlier', 'no-cache', 'Accept, Cookie'], ['/inner', 'private', 'Cookie'], ['/open', undefined, undefined]
  ]
  for (const [url, cacheControl, vary] of table) {
    const { headers } = await app.inject({ url, headers: { cookie } })
    t.equal(headers['cache-control'], cacheControl, url)
    t.equal(headers.vary, vary, url)
  }
  const { headers } = await app.inject({ url: '/none', headers: bearer(token) })
  t.equal(
    headers['cache-control'], undefined,
    'a shared cache does not store a response to an Authorization header: RFC 9111 section 3.5'
  )
})

// With PostgreSQL, a guard may have to ask the database first, and then comes too late.
t.test('a guard that is not awaited does not end the process, and ends the request when it can', {
  skip: ON_POSTGRES
}, async t => {
  const lines: string[] = []
  const handled: string[] = []
  const app = fastify({
    logger: { level: 'error', stream: { write (line: string) { lines.push(line) } } }
  }) as unknown as FastifyInstance
  t.teardown(() => app.close())
  app.register(latchkey, TEST_OPTIONS)
  app.addHook('onRequest', async (request, reply) => {
    if (request.url === '/forgotten') authenticate(request, reply)
  })
  const handle = async (request: FastifyRequest): Promise<string> => {
    await new Promise(setImmediate)
    handled.push(request.url)
    return 'handled'
  }
  app.get('/forgotten', handle)
  app.get('/forgotten-in-handler', async (request, reply) => {
    requireScopes('admin')(request, reply)
    return await handle(request)
  })
  app.get(
    '/all',
    async (request, reply) => (await Promise.allSettled([authenticate(request, reply)])).map(({ status }) => status)
  )
  app.get('/later', async (request, reply) => {
    const verdict = authenticate(request, reply)
    await verdict
    return 'later'
  })
  await app.ready()
  for (const url of ['/forgotten', '/forgotten-in-handler', '/later']) {
    for (const headers of [{}, bearer('x')]) t.equal((await app.inject({ url, headers })).statusCode, 401, url)
  }
  t.same((await app.inject('/all')).json(), ['rejected'])
  t.equal(lines.filter(line => line.includes('nothing awaited it')).length, 4)
})

t.test('requireScopes takes names: a list, and a guard that was not made, are mistakes', async t => {
  for (const wrong of [['admin'], [['admin', 'items:read']], undefined, 1, {}]) {
    t.throws(
      () => requireScopes(wrong as unknown as string),
      /requireScopes\(\) takes the names of scopes, for example requireScopes\('items:read'\)/
    )
  }
  const { app } = await buildHost(t, {}, app => {
    for (const [kind, guardsOf] of Object.entries(kinds)) {
      app.get(
      `/${kind}`, { onRequest: guardsOf(app).requireScopes as never }, async () => 'open'
      )
    }
    app.get('/misspelt', async (request, reply) => { await requireScopes('amdin')(request, reply); return 'open' })
  })
  const { access_token: token } = await logIn(app)
  for (const url of ['/decorators', '/imports', '/misspelt']) {
    t.equal(
      (await app.inject({ url, headers: bearer(token) })).statusCode, 500, url
    )
  }
})

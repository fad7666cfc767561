import type { FastifyInstance } from 'fastify'
import t from 'tap'
import latchkey, { authenticate, authenticateOptional, requireScopes } from '../../app.js'
import verifier, { authenticate as authenticateRemote } from '../../verifier/plugin.js'
import { bearer, logIn, PASSWORD, TEST_OPTIONS } from '../helper.js'
import { createHost } from '../routes/support.js'
import { createFakeService } from '../verifier/support.js'

// A host with a guard around the whole app, which is the first thing that many people write.

const around: Record<string, (app: FastifyInstance) => void> = {
  'a decorator': app => { app.after(() => { app.addHook('onRequest', app.authenticate) }) },
  'an imported guard': app => { app.addHook('onRequest', authenticate) },
  'an imported guard at preHandler': app => { app.addHook('preHandler', authenticate) },
  'a guard for a scope': app => { app.addHook('onRequest', requireScopes('admin')) },
  'a wrapped guard': app => { app.addHook('onRequest', (request, reply, done) => authenticate(request, reply, done)) },
  'an awaited guard': app => {
    app.addHook(
      'onRequest', async (request, reply) => { await authenticate(request, reply) }
    )
  },
  'a bound guard': app => { app.addHook('onRequest', authenticate.bind(app)) }
}

for (const prefix of ['', '/auth']) {
  for (const [name, addGuard] of Object.entries(around)) {
    t.test(`${name} around the app leaves our public routes public, with the prefix '${prefix}'`, async t => {
      const app = createHost(t)
      app.register(
        latchkey,
        {
          ...TEST_OPTIONS,
          prefix,
          docs: true,
          metrics: true,
          registration: true,
          corsOrigins: ['https://app.example'],
          statusList: true
        }
      )
      addGuard(app)
      app.get('/mine', async request => request.user.id)
      app.get('/health', { config: { latchkey: 'public' } }, async () => 'well')
      await app.ready()
      await app.latchkey.users.add({ username: 'alice', password: PASSWORD, scopes: ['admin'] })

      const open: Array<[method: 'GET' | 'POST' | 'OPTIONS', url: string, status: number, payload?: object]> = [
        ['POST', `${prefix}/token`, 200, { username: 'alice', password: PASSWORD }],
        ['POST', `${prefix}/login`, 200, { username: 'alice', password: PASSWORD }],
        ['POST', `${prefix}/register`, 400, {}],
        ['POST', `${prefix}/refresh`, 401],
        ['POST', `${prefix}/revoke`, 200, { token: 'x' }],
        ['POST', `${prefix}/logout`, 204],
        ['POST', `${prefix}/introspect`, 401, { token: 'x' }],
        ['GET', `${prefix}/health/live`, 200], ['GET', `${prefix}/health/ready`, 200],
        ['GET', `${prefix}/openapi.json`, 200], ['GET', `${prefix}/docs`, 200],
        ['GET', `${prefix}/.well-known/jwks.json`, 200], [
          'GET', `${prefix}/.well-known/oauth-authorization-server`, 200
        ],
        ['GET', '/.well-known/oauth-authorization-server', 200],
        ['OPTIONS', `${prefix}/token`, 204]
      ]
      for (const [method, url, status, payload] of open) {
        for (const headers of [{}, bearer('x')]) {
          if (url.endsWith('/introspect') || url.endsWith('/logout')) continue
          t.equal((await app.inject({ method, url, payload, headers })).statusCode, status, `${method} ${url}`)
        }
      }
      t.equal((await app.inject({ method: 'POST', url: `${prefix}/logout` })).statusCode, 204)
      for (const url of [
        '/mine', `${prefix}/users/me`, `${prefix}/sessions`, `${prefix}/users`, `${prefix}/clients`, `${prefix}/audit`,
        `${prefix}/metrics`, `${prefix}/revocations`
      ]) {
        t.equal((await app.inject(url)).statusCode, 401, url)
        t.equal((await app.inject({ url, headers: bearer('x') })).statusCode, 401, url)
      }
      t.equal(
        (await app.inject({
          method: 'POST', url: `${prefix}/introspect`, payload: { token: 'x' }, headers: bearer('x')
        })).statusCode,
        401,
        'the caller must authenticate'
      )
      const { access_token: token } = (await app.inject({
        method: 'POST', url: `${prefix}/token`, payload: { username: 'alice', password: PASSWORD }
      })).json()
      t.equal((await app.inject({ url: '/mine', headers: bearer(token) })).statusCode, 200)
    })
  }
}

t.test('a host exempts its own route by its config, if the guard itself is the hook', async t => {
  const app = createHost(t)
  app.register(latchkey, TEST_OPTIONS)
  app.addHook('onRequest', authenticate)
  app.addHook('preHandler', requireScopes('admin'))
  app.get(
    '/public', { config: { latchkey: 'public' } },
    async request => (request.user as { id: string } | undefined)?.id ?? 'anyone'
  )
  app.register(async scope => {
    scope.addHook('preValidation', app.authenticate ?? authenticate)
    scope.get('/inner', { config: { latchkey: 'public' } }, async () => 'inner')
    scope.get('/closed', async () => 'closed')
  })
  for (const latchkey of ['Public', 'no', true, 1, {}]) {
    app.get(
    `/misspelt-${String(latchkey)}`, { config: { latchkey: latchkey as 'public' } }, async () => 'open'
    )
  }
  app.get('/someone-elses', { config: { public: true } as object }, async () => 'open')
  await app.ready()
  for (const headers of [{}, bearer('x'), bearer('')]) {
    t.equal((await app.inject({ url: '/public', headers })).body, 'anyone')
    t.equal((await app.inject({ url: '/inner', headers })).statusCode, 200)
    for (const url of [
      '/closed', '/misspelt-Public', '/misspelt-no', '/misspelt-true', '/misspelt-1', '/misspelt-[object Object]',
      '/someone-elses', '/nowhere'
    ]) {
      t.equal((await app.inject({ url, headers })).statusCode, 401, url)
    }
  }
})

t.test('a route that is public and has a guard of its own is a contradiction, which stops the boot', async t => {
  const admin = requireScopes('admin')
  const contradictions: Array<(app: FastifyInstance) => void> = [
    app => { app.get('/', { config: { latchkey: 'public' }, onRequest: authenticate }, async () => '') },
    app => { app.get('/', { config: { latchkey: 'public' }, preHandler: [admin] }, async () => '') },
    app => {
      app.addHook('onRequest', admin); app.get(
        '/', { config: { latchkey: 'public' }, preHandler: admin }, async () => ''
      )
    },
    app => {
      app.addHook('onRoute', route => { route.preHandler = admin }); app.get(
        '/', { config: { latchkey: 'public' } }, async () => ''
      )
    }
  ]
  for (const isAwaited of [true, false]) {
    for (const addRoutes of contradictions) {
      const app = createHost(t)
      const registration = app.register(latchkey, TEST_OPTIONS)
      if (isAwaited) await registration
      await t.rejects(async () => {
        addRoutes(app)
        await app.ready()
      }, /GET \/ is public \(config.latchkey\) and has a guard/)
    }
  }
  const app = createHost(t)
  app.register(latchkey, TEST_OPTIONS)
  app.get('/awaited', { config: { latchkey: 'public' } }, async (request, reply) => await authenticate(request, reply))
  await app.ready()
  t.equal((await app.inject('/awaited')).statusCode, 401, 'a guard that the handler awaits refuses')
})

t.test('a guard that a hook of the host adds to every route leaves our public routes public', async t => {
  const app = createHost(t)
  app.addHook('onRoute', route => { route.onRequest = [authenticate, ...[route.onRequest ?? []].flat()] })
  app.register(latchkey, TEST_OPTIONS)
  app.get('/mine', async () => 'mine')
  await app.ready()
  await app.latchkey.users.add({ username: 'alice', password: PASSWORD })
  t.equal((await app.inject('/.well-known/jwks.json')).statusCode, 200)
  t.equal((await app.inject('/mine')).statusCode, 401)
  t.equal((await app.inject('/users/me')).statusCode, 401)
  const { access_token: token } = await logIn(app)
  t.equal((await app.inject({ url: '/mine', headers: bearer(token) })).statusCode, 200)
})

t.test('a guard of the verifier around an app leaves the public routes of a Latchkey in that app public', async t => {
  const service = await createFakeService(t)
  const app = createHost(t)
  app.register(verifier, { issuer: service.issuer, revocations: 'none' })
  app.addHook('onRequest', authenticateRemote)
  app.get('/public', { config: { latchkey: 'public' } }, async () => 'open')
  app.get('/closed', async () => 'closed')
  await app.ready()
  t.equal((await app.inject('/public')).statusCode, 200)
  t.equal((await app.inject('/closed')).statusCode, 401)
  t.equal((await app.inject({ url: '/closed', headers: bearer(service.token()) })).statusCode, 200)
})

t.test('the optional guard around the app', async t => {
  const app = createHost(t)
  app.register(latchkey, TEST_OPTIONS)
  app.addHook('onRequest', authenticateOptional)
  app.get('/', async request => (request.user as { id: string } | undefined)?.id ?? 'anyone')
  await app.ready()
  await app.latchkey.users.add({ username: 'alice', password: PASSWORD })
  t.equal((await app.inject('/')).body, 'anyone')
  t.equal((await app.inject({ url: '/', headers: bearer('x') })).statusCode, 401)
  const { access_token: token } = await logIn(app)
  t.not((await app.inject({ url: '/', headers: bearer(token) })).body, 'anyone')
})

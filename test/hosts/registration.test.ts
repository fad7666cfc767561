import fastifyAuth from '@fastify/auth'
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import latchkey, { authenticate, requireScopes } from '../../app.js'
import verifier, {
  authenticate as authenticateRemote, requireScopes as requireRemoteScopes
} from '../../verifier/plugin.js'
import { bearer, logIn, PASSWORD, TEST_OPTIONS } from '../helper.js'
import { createHost } from '../routes/support.js'
import { createFakeService } from '../verifier/support.js'

// Imported guards find their registration by themselves, whenever it is made. A guard that can never protect a route
// stops the boot.

t.test('if a registration is not awaited, routes declared before it are guarded', async t => {
  const app = createHost(t)
  app.register(latchkey, TEST_OPTIONS)
  app.get('/me', { onRequest: authenticate }, async request => request.user.id)
  app.get('/admin', { preHandler: requireScopes('admin') }, async request => request.user.id)
  app.post('/awaited', async (request, reply) => (await authenticate(request, reply)).id)
  app.register(async scope => { scope.get('/inner', { preHandler: requireScopes('admin') }, async () => 'inner') })
  app.register(async scope => {
    scope.addHook('onRequest', authenticate)
    scope.get('/around', async () => 'around')
  })
  await app.ready()
  await app.latchkey.users.add({ username: 'alice', password: PASSWORD, scopes: ['admin'] })
  await app.latchkey.users.add({ username: 'bob', password: PASSWORD })
  const [alice, bob] = [await logIn(app), await logIn(app, 'bob')]
  for (const url of ['/me', '/admin', '/awaited', '/inner', '/around']) {
    const method = url === '/awaited' ? 'POST' : 'GET'
    const anonymous = await app.inject({ method, url })
    t.equal(anonymous.statusCode, 401, url)
    t.equal(anonymous.headers['www-authenticate'], 'Bearer')
    t.equal((await app.inject({ method, url, headers: bearer(alice.access_token) })).statusCode, 200, url)
    t.equal(
      (await app.inject({ method, url, headers: bearer(bob.access_token) })).statusCode,
      ['/admin', '/inner'].includes(url) ? 403 : 200, url
    )
  }
})

/** Hosts that must not boot, with and without an awaited registration. */
const mistakes: Record<string, [addRoutes: (app: FastifyInstance) => void, message: RegExp]> = {
  'an unknown scope': [
    app => { app.get('/', { preHandler: requireScopes('amdin') }, async () => '') }, /Unknown scope 'amdin'.*admin/
  ],
  'an unknown scope as a hook of the app': [
    app => { app.addHook('onRequest', requireScopes('amdin')); app.get('/', async () => '') }, /Unknown scope 'amdin'/
  ],
  'an unknown scope in another plugin': [
    app => { app.register(async scope => { scope.get('/', { onRequest: requireScopes('amdin') }, async () => '') }) },
    /Unknown scope 'amdin'/
  ]
}
for (const hook of [
  'onResponse', 'onError', 'onTimeout', 'onSend', 'preSerialization', 'preParsing', 'onRequestAbort'
] as const) {
  const add = (
    app: FastifyInstance, guard: unknown
  ): void => { (app.addHook as (name: string, hook: unknown) => unknown)(hook, guard) }
  mistakes[`a guard as ${hook} of the app`] = [
    app => { add(app, authenticate); app.get('/', async () => '') },
    new RegExp(`A guard protects nothing as app.addHook\\('${hook}'`)
  ]
  const inRoute = new RegExp(`A guard protects nothing as the ${hook} hook of GET /`)
  mistakes[`a guard as ${hook} of a route`] = [
    app => { app.get('/', { [hook]: authenticate }, async () => '') }, inRoute
  ]
  mistakes[`a guard among others as ${hook} of a route`] = [
    app => { app.get('/', { [hook]: [async () => {}, requireScopes('admin')] }, async () => '') }, inRoute
  ]
  mistakes[`a guard that a hook of the app adds as ${hook} of a route`] = [app => {
    app.addHook('onRoute', route => { Object.assign(route, { [hook]: authenticate }) })
    app.get('/', async () => '')
  }, inRoute]
  mistakes[`a guard as ${hook} of a plugin`] = [
    app => { app.register(async scope => { add(scope, requireScopes('admin')); scope.get('/', async () => '') }) },
    new RegExp(`A guard protects nothing as app.addHook\\('${hook}'`)
  ]
}

for (const [mistake, [addRoutes, message]] of Object.entries(mistakes)) {
  for (const isAwaited of [true, false]) {
    t.test(`${mistake} stops the boot, ${isAwaited ? 'awaited' : 'not awaited'}`, async t => {
      const app = createHost(t)
      const registration = app.register(latchkey, TEST_OPTIONS)
      if (isAwaited) await registration
      await t.rejects(async () => {
        addRoutes(app)
        await app.ready()
      }, { message })
    })
  }
}

t.test('a decorator as a hook that protects nothing stops the boot', async t => {
  for (const hook of ['onResponse', 'onError', 'onTimeout', 'onSend', 'preSerialization', 'onRequestAbort']) {
    for (const guardOf of [
      (app: FastifyInstance) => app.authenticate, (app: FastifyInstance) => app.requireScopes('admin'),
      (app: FastifyInstance) => app.authenticateOptional, (app: FastifyInstance) => app.authenticate.bind(app)
    ]) {
      const app = createHost(t)
      await app.register(latchkey, TEST_OPTIONS);
      (app.addHook as (name: string, hook: unknown) => unknown)(hook, guardOf(app))
      app.get('/', async () => '')
      await t.rejects(async () => await app.ready(), /A guard protects nothing/, hook)
    }
  }
})

t.test('without a registration an app does not boot', async t => {
  for (const guard of [authenticate, requireScopes('admin'), authenticateRemote, requireRemoteScopes('admin')]) {
    const app = createHost(t)
    app.get('/', { preHandler: guard }, async () => '')
    await t.rejects(async () => await app.ready(), /\(\) found no registration of fastify-latchkey/)
  }
  const around = createHost(t)
  around.addHook('onRequest', authenticate)
  around.get('/', async () => '')
  await t.rejects(async () => await around.ready(), /found no registration/)

  const elsewhere = createHost(t)
  elsewhere.register(async scope => { await scope.register(latchkey, TEST_OPTIONS) })
  elsewhere.get('/', { onRequest: authenticate }, async () => '')
  await t.rejects(
    async () => await elsewhere.ready(), /found no registration/, 'a registration in another plugin does not count'
  )
})

t.test('a guard that Fastify never sees as a hook fails the request', async t => {
  const app = createHost(t)
  app.get('/', async (request, reply) => await authenticate(request, reply))
  await app.ready()
  const { statusCode, body } = await app.inject({ url: '/', headers: bearer('x') })
  t.equal(statusCode, 500)
  t.match(body, /found no registration of fastify-latchkey around this route/)
})

t.test('an unknown scope and a missing registration stop the boot in @fastify/auth too', async t => {
  for (const [isRegistered, message] of [[true, /Unknown scope 'amdin'/], [false, /found no registration/]] as const) {
    const app = createHost(t)
    if (isRegistered) app.register(latchkey, TEST_OPTIONS)
    await app.register(fastifyAuth)
    if (isRegistered) t.throws(() => app.auth([requireScopes('amdin')]), message)
    else {
      app.get('/', { preHandler: app.auth([authenticate]) }, async () => '')
      await t.rejects(async () => await app.ready(), message)
    }
  }
})

t.test('each of our plugins has its own guards, even beside the other plugin', async t => {
  const service = await createFakeService(t)
  const app = fastify()
  t.teardown(() => app.close())
  app.register(async scope => {
    scope.register(latchkey, TEST_OPTIONS)
    scope.get('/local', { onRequest: authenticate }, async request => request.user.id)
    scope.addHook('onReady', async () => { await scope.latchkey.users.add({ username: 'alice', password: PASSWORD }) })
  })
  app.register(async scope => {
    scope.register(verifier, { issuer: service.issuer, revocations: 'none' })
    scope.get('/remote', { onRequest: authenticateRemote }, async request => request.user.id)
    scope.get('/remote-admin', { preHandler: requireRemoteScopes('admin') }, async request => request.user.id)
  })
  await app.ready()
  const local = bearer((await logIn(app as unknown as FastifyInstance)).access_token)
  const remote = bearer(service.token())
  const statusOf = async (
    url: string, headers: Record<string, string>
  ): Promise<number> => (await app.inject({ url, headers })).statusCode
  t.equal(await statusOf('/local', local), 200)
  t.equal(await statusOf('/local', remote), 401)
  t.equal(await statusOf('/remote', remote), 200)
  t.equal(await statusOf('/remote-admin', remote), 200)
  t.equal(await statusOf('/remote', local), 401)
})

t.test('the verifier: an imported guard with a registration that is not awaited, and mistakes with it', async t => {
  const service = await createFakeService(t)
  const app = createHost(t)
  app.register(verifier, { issuer: service.issuer, revocations: 'none' })
  app.get('/admin', { preHandler: requireRemoteScopes('admin') }, async request => request.user.id)
  await app.ready()
  t.equal((await app.inject('/admin')).statusCode, 401)
  t.equal((await app.inject({ url: '/admin', headers: bearer(service.token()) })).statusCode, 200)

  for (const addRoutes of [
    (app: FastifyInstance) => { app.get('/', { preHandler: requireRemoteScopes('amdin') }, async () => '') },
    (app: FastifyInstance) => { app.addHook('onResponse', authenticateRemote); app.get('/', async () => '') },
    (app: FastifyInstance) => { app.get('/', { preHandler: authenticate }, async () => '') }
  ]) {
    const wrong = createHost(t)
    wrong.register(verifier, { issuer: service.issuer, revocations: 'none' })
    await t.rejects(async () => {
      addRoutes(wrong)
      await wrong.ready()
    }, /Unknown scope 'amdin'|protects nothing|found no registration of fastify-latchkey around/)
  }
})

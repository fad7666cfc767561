import { readdir } from 'node:fs/promises'
import fastifyJwt from '@fastify/jwt'
import { fastify } from 'fastify'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import t from 'tap'
import type { Test } from 'tap'
import latchkey, { authenticate, requireScopes } from '../../app.js'
import type { LatchkeyOptions } from '../../app.js'
import verifier, { authenticate as authenticateRemote } from '../../verifier/plugin.js'
import { addUsers, bearer, logIn, TEST_OPTIONS } from '../helper.js'
import { createHost } from '../routes/support.js'
import { createFakeService } from '../verifier/support.js'

type OwnGuard = (request: FastifyRequest, reply: FastifyReply) => Promise<void>

/** An app with the decorator that the README of @fastify/jwt recommends. */
async function addOwn (app: FastifyInstance): Promise<void> {
  await app.register(fastifyJwt, { secret: 'a secret that only the host knows' })
  app.decorate('authenticate' as string, async function (request: FastifyRequest, reply: FastifyReply) {
    try {
      await request.jwtVerify()
    } catch (error) {
      // A token of another algorithm is an error without a status in @fastify/jwt.
      reply.code(401).send(error)
    }
  } satisfies OwnGuard)
}

/** Returns the statuses of a route with a token of the host, and with one of Latchkey. */
async function statusesOf (app: FastifyInstance, url: string): Promise<number[]> {
  const tokens = [app.jwt.sign({ name: 'ada' }), (await logIn(app)).access_token]
  return await Promise.all(tokens.map(async token => (await app.inject({ url, headers: bearer(token) })).statusCode))
}

for (const order of ['before', 'after'] as const) {
  t.test(`an app that decorates authenticate itself, ${order} Latchkey, keeps it`, async t => {
    const app = createHost(t)
    if (order === 'before') await addOwn(app)
    await app.register(latchkey, { ...TEST_OPTIONS, decorators: { authenticate: 'authenticateToken' } })
    if (order === 'after') await addOwn(app)
    const renamed = Reflect.get(app, 'authenticateToken') as typeof authenticate
    const own = app.authenticate as unknown as OwnGuard
    app.get('/own', { onRequest: own }, async () => 'own')
    app.get('/renamed', { onRequest: renamed }, async request => request.user.id)
    app.get('/imported', { onRequest: authenticate }, async request => request.user.id)
    app.get('/scope', { preHandler: app.requireScopes('admin') }, async request => request.user.id)
    await app.ready()
    await addUsers(app)

    t.same(await statusesOf(app, '/own'), [200, 401])
    for (const url of ['/renamed', '/imported', '/scope']) t.same(await statusesOf(app, url), [401, 200], url)
  })
}

t.test('decorators: false adds none, and the imported guards work', async t => {
  const app = createHost(t)
  await app.register(latchkey, { ...TEST_OPTIONS, decorators: false })
  for (const name of ['authenticate', 'authenticateOptional', 'requireScopes']) t.notOk(app.hasDecorator(name), name)
  app.get('/me', { onRequest: authenticate }, async request => request.user.id)
  app.get('/admin', { preHandler: requireScopes('admin') }, async request => request.user.id)
  await app.ready()
  await addUsers(app)
  for (const url of ['/me', '/admin']) {
    t.equal((await app.inject(url)).statusCode, 401, url)
    t.equal((await app.inject({ url, headers: bearer((await logIn(app)).access_token) })).statusCode, 200, url)
  }
})

for (const first of ['latchkey', 'verifier'] as const) {
  t.test(`both plugins in one app, ${first} first: each guard accepts the tokens of its own plugin`, async t => {
    const service = await createFakeService(t)
    const app = createHost(t)
    const decorators = {
      authenticate: 'authenticateRemote', authenticateOptional: 'remoteOptional', requireScopes: 'requireRemoteScopes'
    }
    const options = { issuer: service.issuer, revocations: 'none', decorators } as const
    if (first === 'verifier') await app.register(verifier, options)
    await app.register(latchkey, TEST_OPTIONS)
    if (first === 'latchkey') await app.register(verifier, options)
    const requireRemote = Reflect.get(app, 'requireRemoteScopes') as typeof requireScopes
    app.get('/own', { onRequest: app.authenticate }, async request => request.user.id)
    app.get('/own-imported', { onRequest: authenticate }, async request => request.user.id)
    app.get('/remote', { onRequest: authenticateRemote }, async request => request.user.id)
    app.get('/remote-admin', { preHandler: requireRemote('admin') }, async request => request.user.id)
    await app.ready()
    await addUsers(app)
    const own = (await logIn(app)).access_token
    const remote = service.token()
    for (const [url, statuses] of Object.entries({
      '/own': [200, 401], '/own-imported': [200, 401], '/remote': [401, 200], '/remote-admin': [401, 200]
    })) {
      t.same(await Promise.all([own, remote].map(
        async token => (await app.inject({ url, headers: bearer(token) })).statusCode
      )), statuses, url)
    }
  })
}

/** Returns the message that stops the boot of an app. */
async function refusalOf (t: Test, register: (app: FastifyInstance) => Promise<unknown>): Promise<string> {
  const app = fastify() as FastifyInstance
  t.teardown(() => app.close())
  try {
    await register(app)
    await app.ready()
    return 'none'
  } catch (error) {
    return (error as Error).message
  }
}

t.test('a name that is taken stops the boot before anything is opened, with the option and what to do', async t => {
  const folder = t.testdir({})
  const options: LatchkeyOptions = { database: `${folder}/auth.db` }
  const remote = { issuer: 'http://127.0.0.1:9', revocations: 'none' } as const
  const names = { authenticate: 'a', authenticateOptional: 'b', requireScopes: 'c' }
  const table: Array<[what: string, register: (app: FastifyInstance) => Promise<unknown>, message: RegExp]> = [
    [
      'the decorator of the host', async app => { await addOwn(app); await app.register(latchkey, options) },
      /^Latchkey: app\.authenticate is already taken\. .*option decorators, for example \{ authenticate: 'authenticateToken' \}\. Or set decorators to false, and import the guards from fastify-latchkey\.$/
    ],
    [
      'before the verifier', async app => { await addOwn(app); await app.register(verifier, remote) },
      /^Latchkey: app\.authenticate is already taken\. .* import the guards from fastify-latchkey\/verifier\/plugin\.$/
    ],
    [
      'another guard', async app => {
        app.decorate('requireScopes' as string, () => {})
        await app.register(latchkey, options)
      }, /app\.requireScopes is already taken\. .*\{ requireScopes: 'requireScopesToken' \}/
    ],
    ...['register', 'toString', '__proto__', 'own', 'latchkey'].map((name): typeof table[number] => [
      `the chosen name ${name}`, async app => {
        app.decorate('own', 1)
        await app.register(async scope => {
          await scope.register(latchkey, { ...options, decorators: { authenticate: name } })
        })
      }, new RegExp(`app\\.${name} is already taken\\. .*option decorators`)
    ]),
    [
      'app.latchkey', async app => {
        app.decorate('latchkey' as string, 1)
        await app.register(latchkey, options)
      }, /^Latchkey: app\.latchkey is already taken\. Decorate your app with another name\.$/
    ],
    [
      'the plugin twice', async app => {
        await app.register(latchkey, TEST_OPTIONS)
        await app.register(latchkey, { ...options, prefix: '/second', decorators: names })
      }, /^Latchkey: fastify-latchkey is registered twice in the same app or plugin\. Remove one of the two, or /
    ],
    [
      'the verifier twice', async app => {
        const { issuer } = await createFakeService(t)
        await app.register(verifier, { ...remote, issuer, decorators: false })
        await app.register(verifier, { ...remote, issuer, decorators: false })
      }, /^Latchkey: fastify-latchkey\/verifier\/plugin is registered twice/
    ]
  ]
  for (const [what, register, message] of table) t.match(await refusalOf(t, register), message, what)
  t.same(await readdir(folder), [], 'no database was opened')
})

t.test('a plugin may have a registration of its own inside an app that has one', async t => {
  const app = createHost(t)
  await app.register(latchkey, TEST_OPTIONS)
  await app.register(async scope => {
    await scope.register(latchkey, { ...TEST_OPTIONS, prefix: '/inner' })
    t.not(scope.authenticate, app.authenticate)
  })
  await t.resolves(async () => await app.ready())
})

import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { Test } from 'tap'
import latchkey from '../../app.js'
import type { LatchkeyOptions } from '../../app.js'
import { bearer, PASSWORD, TEST_OPTIONS } from '../helper.js'

/** The names of all that an instance has, symbols by their description; what it inherits from a parent too. */
function keysOf (value: object): string[] {
  const keys: string[] = []
  for (let layer: object = value; layer !== Object.prototype && layer !== null; layer = Object.getPrototypeOf(layer)) {
    keys.push(...Reflect.ownKeys(layer).map(key => typeof key === 'symbol' ? `@@${key.description}` : key))
  }
  return [...new Set(keys)].sort()
}

/** The value behind one of Fastify's own symbols. */
function internal<T> (app: FastifyInstance, description: string): T {
  const symbol = Object.getOwnPropertySymbols(app).find(key => key.description === description)
  if (symbol === undefined) throw new Error(`Fastify has no ${description} any more`)
  return Reflect.get(app, symbol) as T
}

function hooksOf (app: FastifyInstance): Record<string, string[]> {
  const hooks = internal<Record<string, Array<{ name: string }>>>(app, 'fastify.hooks')
  return Object.fromEntries(
    Object.entries(hooks).filter(([, value]) => Array.isArray(value)).map(
      ([name, list]) => [name, list.map(hook => hook.name)]
    )
  )
}

async function build (t: Test, options: LatchkeyOptions = {}): Promise<FastifyInstance> {
  const app = fastify()
  t.teardown(() => app.close())
  await app.register(latchkey, { ...TEST_OPTIONS, docs: true, ...options })
  return app
}

for (const prefix of ['', '/auth']) {
  t.test(`nothing but the guards and latchkey reaches the host, with the prefix '${prefix}'`, async t => {
    const bare = fastify()
    t.teardown(() => bare.close())
    await bare.register(async () => {})
    const app = await build(t, { prefix })

    // By the symbol the imported guards find this registration. The hooks find the guards on routes, and send their
    // challenges. `bare` has the hooks that check routes too: each app that is created after the import has them.
    t.same(
      keysOf(app).filter(key => !keysOf(bare).includes(key)),
      ['@@fastify-latchkey.registration', 'authenticate', 'authenticateOptional', 'latchkey', 'requireScopes']
    )
    t.same(keysOf(bare).filter(key => !keysOf(app).includes(key)), [], 'nothing of Fastify is gone')
    t.same(hooksOf(app), { ...hooksOf(bare), onRoute: ['secureRoute', 'documentRoute'], onSend: ['dropStrayChallenge'], onError: ['setErrorHeaders'] })
    t.same(app.getSchemas(), bare.getSchemas())
    for (const type of ['application/json', 'text/plain']) t.ok(app.hasContentTypeParser(type), type)
    t.notOk(app.hasContentTypeParser('application/x-www-form-urlencoded'), 'our form parser is ours alone')
    t.equal(app.validatorCompiler, bare.validatorCompiler)
    t.equal(app.serializerCompiler, bare.serializerCompiler)
    for (const name of [
      'fastify.RequestPrototype', 'fastify.request', 'fastify.reply', 'fastify.Request', 'fastify.Reply'
    ]) {
      const symbol = Object.getOwnPropertySymbols(app).find(key => key.description === name)
      if (symbol === undefined) continue
      t.same(
        keysOf((Reflect.get(app, symbol) as { prototype: object }).prototype),
        keysOf((Reflect.get(bare, symbol) as { prototype: object }).prototype), name
      )
    }
  })
}

t.test('requests and replies of the host carry nothing of ours, but request.user where a guard has run', async t => {
  const bare = fastify()
  t.teardown(() => bare.close())
  const app = await build(t)
  await app.latchkey.users.add({ username: 'bob', password: PASSWORD })
  const seen: string[][] = []
  for (const host of [bare, app]) {
    host.get(
      '/plain', async (request, reply) => { seen.push([...keysOf(request), '|', ...keysOf(reply)]) }
    )
  }
  app.get(
    '/guarded', { onRequest: app.authenticate },
    async (request, reply) => { seen.push([...keysOf(request), '|', ...keysOf(reply)]) }
  )

  await bare.inject('/plain')
  await app.inject('/plain')
  const { access_token: token } = (await app.inject({
    method: 'POST', url: '/token', payload: { username: 'bob', password: PASSWORD }
  })).json()
  t.equal((await app.inject({ url: '/guarded', headers: bearer(token) })).statusCode, 200)
  const [without, plain, guarded] = seen
  t.same(plain, without)
  t.same(guarded?.filter(key => !plain?.includes(key)), ['@@latchkey.verified', 'user'])
})

t.test('the routes of Latchkey are under its prefix, but for the metadata, which RFC 8414 wants at the root', async t => {
  const app = await build(t, { prefix: '/auth', docs: false })
  const routes: string[] = []
  const other = fastify()
  t.teardown(() => other.close())
  other.addHook('onRoute', ({ url }) => { routes.push(url) })
  await other.register(latchkey, { ...TEST_OPTIONS, prefix: '/auth' })
  t.ok(routes.length > 10)
  t.same([...new Set(routes.filter(url => !url.startsWith('/auth/')))], ['/.well-known/oauth-authorization-server'])
  t.equal((await app.inject('/health/live')).statusCode, 404)
  t.equal((await app.inject('/auth/health/live')).statusCode, 200)
})

t.test('a plugin that the host registers later can use the guards', async t => {
  const app = await build(t)
  await app.register(async scope => {
    scope.get('/inner', { preHandler: scope.requireScopes('admin') }, async () => 'inner')
  })
  t.equal((await app.inject('/inner')).statusCode, 401)
})

t.test('a route that was declared before Latchkey, or in a scope that does not see it, cannot be guarded by mistake', async t => {
  const app = fastify()
  t.teardown(() => app.close())
  await app.register(async scope => { await scope.register(latchkey, TEST_OPTIONS) })
  t.equal(app.authenticate, undefined, 'no guard where there is none: Fastify refuses to use undefined as a preHandler')
  t.throws(() => app.get('/', { preHandler: app.requireScopes('admin') }, async () => ''), TypeError)
})

t.test('a scope that is not in the catalogue, and none at all, stop the boot', async t => {
  const app = await build(t)
  t.throws(
    () => app.requireScopes('admim'),
    { name: 'RangeError', message: /^Unknown scope 'admim': the catalogue has users:read, .*admin.*LATCHKEY_SCOPES/ }
  )
  t.throws(() => app.requireScopes(), TypeError)
  t.throws(() => app.requireScopes('toString'), RangeError, 'and no name that every object has')
})

t.test('registering Latchkey twice in one scope stops the boot', async t => {
  const app = await build(t)
  await t.rejects(
    async () => await app.register(latchkey, { ...TEST_OPTIONS, prefix: '/second' }),
    { message: /^Latchkey: fastify-latchkey is registered twice in the same app or plugin/ }
  )
})

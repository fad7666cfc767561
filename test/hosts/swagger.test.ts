import fastifySwagger from '@fastify/swagger'
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import fastifySwaggerUi from '@fastify/swagger-ui'
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { Test } from 'tap'
import latchkey, { requireScopes } from '../../app.js'
import type { LatchkeyOptions } from '../../app.js'
import { TEST_OPTIONS } from '../helper.js'

interface Document {
  openapi: string
  info: { title: string }
  paths: Record<string, Record<string, { security?: unknown, operationId?: string }>>
  components: { securitySchemes: Record<string, unknown> }
}

const info = { title: 'The host', version: '1.0.0' }

/**
 * Documents of hosts: one that knows the schemes of Latchkey, and those that every host has before it knows Latchkey.
 */
const DECLARED: FastifyDynamicSwaggerOptions = {
  openapi: {
    openapi: '3.1.0',
    info,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        cookie: { type: 'apiKey', in: 'cookie', name: '__Host-access_token' }
      }
    }
  }
}
const UNAWARE: Record<string, FastifyDynamicSwaggerOptions> = {
  'without components': { openapi: { openapi: '3.1.0', info } },
  'with a scheme of its own': {
    openapi: { openapi: '3.1.0', info, components: { securitySchemes: { own: { type: 'http', scheme: 'bearer' } } } }
  },
  'of Swagger 2.0': { swagger: { info } }
}

/** A host that documents itself, its page at /documentation. Latchkey is under /auth. */
async function build (
  t: Test, options: LatchkeyOptions, order: 'swagger first' | 'latchkey first' | 'no swagger', document = DECLARED
): Promise<FastifyInstance> {
  const app = fastify()
  t.teardown(() => app.close())
  const registerSwagger = async (): Promise<void> => {
    await app.register(fastifySwagger, document)
    await app.register(fastifySwaggerUi, { routePrefix: '/documentation' })
  }
  if (order === 'swagger first') await registerSwagger()
  await app.register(latchkey, { ...TEST_OPTIONS, prefix: '/auth', ...options })
  if (order === 'latchkey first') await registerSwagger()
  app.get('/host', { schema: { summary: 'open' } }, async () => '')
  app.get('/host/me', { onRequest: app.authenticate }, async () => '')
  app.get('/host/admin', { preHandler: app.requireScopes('admin', 'items:read') }, async () => '')
  // A scheme that the host's own document lacks would be the host's own mistake.
  if (document === DECLARED) {
    app.get(
      '/host/own', { schema: { security: [{ cookie: [] }] }, preHandler: app.requireScopes('admin') }, async () => ''
    )
  }
  await app.ready()
  return app
}

function checkHost (t: Test, document: Document): void {
  t.equal(document.info.title, 'The host')
  t.equal(document.paths['/host']?.get?.security, undefined, 'an open route has no security')
  t.same(document.paths['/host/me']?.get?.security, [{ oauth2: [] }, { bearer: [] }, { cookie: [] }])
  t.same(
    document.paths['/host/admin']?.get?.security, [{ oauth2: ['admin', 'items:read'] }, { bearer: [] }, { cookie: [] }]
  )
  t.same(document.paths['/host/own']?.get?.security, [{ cookie: [] }], 'what the route says itself stays')
}

for (const docs of [false, true]) {
  t.test(`a host with @fastify/swagger documents the routes of Latchkey with its own, with docs: ${docs}`, async t => {
    const app = await build(t, { docs }, 'swagger first')
    const document = app.swagger() as unknown as Document
    checkHost(t, document)
    for (const [path, method] of [
      ['/auth/token', 'post'], ['/auth/users/me', 'get'], ['/auth/revoke', 'post']
    ] as const) {
      t.ok(document.paths[path]?.[method], path)
    }
    t.same(document.paths['/auth/users/me']?.get?.security, [{ oauth2: [] }, { bearer: [] }, { cookie: [] }, { key: [] }])
    t.equal((await app.inject('/documentation/json')).json().info.title, 'The host')
    t.equal((await app.inject('/auth/openapi.json')).statusCode, docs ? 200 : 404)
    if (!docs) return
    const own: Document = (await app.inject('/auth/openapi.json')).json()
    t.equal(own.info.title, 'Latchkey', 'and Latchkey has a document of its own')
    t.notOk(own.paths['/host'], 'without the routes of the host')
    t.equal((await app.inject('/auth/docs')).statusCode, 200)
  })

  t.test(`@fastify/swagger after Latchkey documents the host alone, without our security, with docs: ${docs}`, async t => {
    const app = await build(t, { docs }, 'latchkey first')
    const document = app.swagger() as unknown as Document
    t.equal(document.info.title, 'The host')
    t.equal(document.paths['/host/me']?.get?.security, undefined, 'its document knows no scheme of ours')
    t.same(document.paths['/host/own']?.get?.security, [{ cookie: [] }], 'what the route says itself stays')
    t.notOk(document.paths['/auth/token'], 'it sees what is registered after it')
    t.equal((await app.inject('/auth/openapi.json')).statusCode, docs ? 200 : 404)
  })
}

t.test('with docs: true the document has the routes of Latchkey only, and the host no decorator of it', async t => {
  const app = await build(t, { docs: true }, 'no swagger')
  t.notOk(app.hasDecorator('swagger'))
  const document: Document = (await app.inject('/auth/openapi.json')).json()
  t.equal(document.openapi, '3.1.0')
  t.same(Object.keys(document.paths).filter(path => !path.startsWith('/auth/')), [])
})

for (const [name, document] of Object.entries(UNAWARE)) {
  for (const order of ['swagger first', 'latchkey first'] as const) {
    t.test(`a document of the host ${name}, that knows nothing of Latchkey, is still made: ${order}`, async t => {
      const app = await build(t, {}, order, document)
      const response = await app.inject('/documentation/json')
      t.equal(response.statusCode, 200)
      t.match(response.json(), { info: { title: 'The host' }, paths: { '/host': {}, '/host/me': {} } })
    })
  }
}

const { openapi: noSchemes } = UNAWARE['without components'] ?? {}

for (const [way, register] of Object.entries({
  'and awaited': async (app: FastifyInstance) => {
    await app.register(fastifySwagger, { openapi: noSchemes })
    await app.register(latchkey, { ...TEST_OPTIONS, prefix: '/auth' })
  },
  'and not awaited': async (app: FastifyInstance) => {
    app.register(fastifySwagger, { openapi: noSchemes })
    app.register(latchkey, { ...TEST_OPTIONS, prefix: '/auth' })
  }
})) {
  t.test(`@fastify/swagger first, ${way}: its document has all routes, their security and the schemes`, async t => {
    const { app, warnings } = createLoggedApp(t)
    await register(app)
    app.register(async scope => {
      scope.get('/host/items', { onRequest: requireScopes('items:read') }, async () => '')
    })
    await app.ready()
    const { paths, components } = app.swagger() as unknown as Document
    const security = [{ oauth2: ['items:read'] }, { bearer: [] }, { cookie: [] }]
    t.same(paths['/host/items']?.get?.security, security)
    t.ok(paths['/auth/token']?.post)
    t.same(Object.keys(components.securitySchemes).sort(), ['bearer', 'client', 'cookie', 'key', 'oauth2'])
    t.same(warnings, [])
  })
}

for (const isAwaited of [true, false]) {
  t.test(`@fastify/swagger after Latchkey, awaited: ${isAwaited}: the log names the order to choose`, async t => {
    const { app, warnings } = createLoggedApp(t)
    const registered = app.register(latchkey, TEST_OPTIONS)
    if (isAwaited) await registered
    app.register(fastifySwagger, { openapi: noSchemes })
    await app.ready()
    t.equal(warnings.length, 1)
    t.match(warnings[0], /^Register @fastify\/swagger before fastify-latchkey\. /)
  })
}

t.test('a document that does not cover Latchkey causes no warning', async t => {
  const { app, warnings } = createLoggedApp(t)
  await app.register(latchkey, TEST_OPTIONS)
  await app.register(async inner => { await inner.register(fastifySwagger, { openapi: noSchemes }) })
  await app.ready()
  t.notOk(app.hasDecorator('swagger'))
  t.same(warnings, [])
})

function createLoggedApp (t: Test): { app: FastifyInstance, warnings: string[] } {
  const warnings: string[] = []
  const stream = { write: (line: string) => { warnings.push(JSON.parse(line).msg) } }
  const app = fastify({ logger: { level: 'warn', stream } })
  t.teardown(() => app.close())
  return { app, warnings }
}

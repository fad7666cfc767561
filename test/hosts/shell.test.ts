import fastifyCors from '@fastify/cors'
import fastifyHelmet from '@fastify/helmet'
import fastifyUnderPressure from '@fastify/under-pressure'
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import { register } from 'prom-client'
import t from 'tap'
import type { Test } from 'tap'
import latchkey from '../../app.js'
import type { LatchkeyOptions } from '../../app.js'
import { TEST_OPTIONS } from '../helper.js'

// What only a service wants, in a host that has the same packages for its own.

const ORIGIN = 'https://app.example.com'
const ALL: LatchkeyOptions = { securityHeaders: true, corsOrigins: [ORIGIN], shedLoad: true, metrics: true, docs: true }

async function registerOwn (app: FastifyInstance): Promise<void> {
  await app.register(
    fastifyHelmet, { contentSecurityPolicy: { useDefaults: false, directives: { 'default-src': ["'self'"] } } }
  )
  await app.register(fastifyCors, { origin: 'https://host.example.com' })
  await app.register(fastifyUnderPressure, { maxEventLoopDelay: 100_000 })
}

async function build (
  t: Test, own: 'before' | 'after' | 'none', options: LatchkeyOptions | undefined
): Promise<FastifyInstance> {
  const app = fastify()
  t.teardown(() => app.close())
  if (own === 'before') await registerOwn(app)
  if (options !== undefined) await app.register(latchkey, { ...TEST_OPTIONS, ...options })
  if (own === 'after') await registerOwn(app)
  app.get('/plain', async () => ({ hello: 'world' }))
  await app.ready()
  return app
}

async function probe (app: FastifyInstance): Promise<unknown[]> {
  const answers = []
  for (const request of [{ url: '/plain' }, { url: '/plain', headers: { origin: ORIGIN } }, { url: '/none' },
    {
      method: 'OPTIONS' as const, url: '/plain', headers: { origin: ORIGIN, 'access-control-request-method': 'GET' }
    }]) {
    const { statusCode, headers: { date: _date, ...headers }, body } = await app.inject(request)
    answers.push({ statusCode, headers, body })
  }
  return answers
}

for (const prefix of ['/auth', '']) {
  for (const own of ['none', 'before', 'after'] as const) {
    t.test(`with everything on under the prefix '${prefix}', and the same packages of the host: ${own}`, async t => {
      const app = await build(t, own, { ...ALL, prefix })
      t.same(
        await probe(app), await probe(await build(t, own, undefined)),
        'the routes of the host answer as without Latchkey'
      )

      const { headers } = await app.inject({ url: `${prefix}/health/live`, headers: { origin: ORIGIN } })
      t.match(headers['content-security-policy'], /^default-src 'none'/)
      // Hooks that a host adds for all routes run on ours too, and what it adds last has the last word.
      t.equal(headers['access-control-allow-origin'], own === 'after' ? 'https://host.example.com' : ORIGIN)
      t.equal((await app.inject(`${prefix}/metrics`)).statusCode, 401)
      t.same(await register.getMetricsAsJSON(), [], 'the global registry is the host\'s')
    })
  }
}

t.test('off by default: no header, no route, no hook', async t => {
  const app = await build(t, 'none', { prefix: '/auth' })
  const { headers } = await app.inject({ url: '/auth/health/live', headers: { origin: ORIGIN } })
  t.same(Object.keys(headers).sort(), ['cache-control', 'connection', 'content-length', 'content-type', 'date'])
  t.notOk('cache-control' in (await app.inject('/plain')).headers, 'the routes of the host are left alone')
  for (const path of ['/auth/metrics', '/metrics']) t.equal((await app.inject(path)).statusCode, 404)
})

import { fastify } from 'fastify'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import fastifyCors from '@fastify/cors'
import t from 'tap'
import latchkey from '../../app.js'
import { bearer, logIn, PASSWORD, TEST_OPTIONS } from '../helper.js'
import { buildService } from './support.js'

const APP = 'https://app.example.com'
const TRUSTED = 'https://trusted.example.com'
const EVIL = 'https://evil.example.com'

async function preflight (
  app: FastifyInstance, url: string, { origin = APP, method = 'POST', names }: {
    origin?: string, method?: string, names?: string
  }
): Promise<LightMyRequestResponse> {
  return await app.inject({
    method: 'OPTIONS',
    url,
    headers: {
      origin,
      'access-control-request-method': method,
      ...(names === undefined ? {} : { 'access-control-request-headers': names })
    }
  })
}

/** The CORS headers of a response, by the rest of their names. */
function corsOf ({ headers }: LightMyRequestResponse): Record<string, unknown> {
  const prefix = 'access-control-'
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => name.startsWith(prefix)).map(([name, value]) => [
      name.slice(prefix.length), value
    ])
  )
}

t.test('an allowed origin may send the headers that its preflight names', async t => {
  const app = await buildService(t, { corsOrigins: [APP] })
  for (const names of [
    'x-requested-with', 'authorization,content-type,traceparent,tracestate,baggage', 'sentry-trace, baggage',
    'X-Requested-With ,\tDPoP', '*'
  ]) {
    const response = await preflight(app, '/token', { names })
    t.match(response, { statusCode: 204, headers: { vary: 'Origin, Access-Control-Request-Headers' } })
    t.equal(corsOf(response)['allow-headers'], names)
  }
  for (const names of [
    undefined, '', ',', 'a,', ',a', 'a,,b', 'a b', 'a:b', '"a"', 'a;b', 'ä', 'a'.repeat(1_025), 'a, '.repeat(400) + 'b'
  ]) {
    const response = await preflight(app, '/token', { names })
    t.equal(corsOf(response)['allow-headers'], 'Authorization, Content-Type', String(names))
  }
  const refused = await preflight(app, '/token', { origin: EVIL, names: 'x-requested-with' })
  t.match(refused, { statusCode: 204, headers: { allow: 'POST, OPTIONS', vary: 'Origin' } })
  t.strictSame(corsOf(refused), {})
})

t.test('a page may read the headers that it needs to act on a response', async t => {
  const app = await buildService(t, { corsOrigins: [APP], rateLimit: true })
  const response = await app.inject({ url: '/users/me', headers: { origin: APP } })
  const exposed = String(corsOf(response)['expose-headers']).toLowerCase().split(', ')
  for (const name of ['www-authenticate', 'retry-after', 'etag', 'location', 'ratelimit', 'ratelimit-policy']) {
    t.ok(exposed.includes(name), name)
  }
})

/** The paths of everything that is public, and a list that exists. */
async function publicPaths (app: FastifyInstance, prefix: string): Promise<string[]> {
  const login = await app.inject({
    method: 'POST', url: `${prefix}/token`, payload: { username: 'alice', password: PASSWORD }
  })
  const token: string = login.json().access_token
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
  return [
    `${prefix}/.well-known/jwks.json`, `${prefix}/.well-known/oauth-authorization-server`,
    '/.well-known/oauth-authorization-server', new URL(claims.status.status_list.uri).pathname
  ]
}

t.test('keys, metadata and status lists are open to pages of every origin, and never with cookies', async t => {
  for (const prefix of ['', '/auth']) {
    for (const origins of [[], [APP, TRUSTED]]) {
      const app = await buildService(
        t, { prefix, statusList: true, corsOrigins: origins, trustedOrigins: origins.slice(1) }
      )
      for (const url of await publicPaths(app, prefix)) {
        const answers = await Promise.all([undefined, APP, TRUSTED, EVIL, 'null'].map(origin => app.inject({
          url, headers: origin === undefined ? {} : { origin }
        })))
        for (const answer of answers) {
          t.equal(answer.statusCode, 200, url)
          t.match(corsOf(answer), { 'allow-origin': '*', 'expose-headers': /ETag/ }, url)
          t.notOk('allow-credentials' in corsOf(answer), url)
          t.notOk('vary' in answer.headers, 'the same for every origin, so a cache may share it')
        }
        const asked = await preflight(app, url, { origin: EVIL, method: 'GET', names: 'if-none-match,traceparent' })
        t.equal(asked.statusCode, 204, url)
        t.match(corsOf(asked), {
          'allow-origin': '*', 'allow-headers': 'if-none-match,traceparent', 'allow-methods': /GET/
        }, url)
        t.notOk('allow-credentials' in corsOf(asked), url)
        t.equal(asked.headers.vary, 'Access-Control-Request-Headers', url)
      }
      const missing = await app.inject({ url: `${prefix}/status-lists/none`, headers: { origin: EVIL } })
      t.equal(missing.statusCode, 404)
      t.equal(corsOf(missing)['allow-origin'], '*', 'a page can read why it got no list')
    }
  }
})

t.test('a page that has a status list asks whether it changed', async t => {
  const app = await buildService(t, { statusList: true })
  const url = (await publicPaths(app, '')).at(-1) ?? ''
  const { headers: { etag } } = await app.inject({ url, headers: { origin: EVIL } })
  const again = await app.inject({ url, headers: { origin: EVIL, 'if-none-match': String(etag) } })
  t.match(again, { statusCode: 304, headers: { etag, 'access-control-allow-origin': '*' } })
})

t.test('nothing else is open: a token does not make a page of another origin a reader', async t => {
  const app = await buildService(t, { docs: true })
  const headers = { ...bearer((await logIn(app)).access_token), origin: EVIL }
  for (const url of ['/users/me', '/sessions', '/openapi.json', '/docs', '/docs/json', '/health/live']) {
    const answer = await app.inject({ url, headers })
    t.equal(answer.statusCode, 200, url)
    t.strictSame(corsOf(answer), {}, url)
  }
})

t.test('in a host, the metadata at the root are open too, whatever the CORS of the host says', async t => {
  const url = '/.well-known/oauth-authorization-server'
  for (const hasCors of [false, true]) {
    const app = fastify()
    t.teardown(() => app.close())
    if (hasCors) await app.register(fastifyCors, { origin: [TRUSTED], credentials: true })
    await app.register(latchkey, { ...TEST_OPTIONS, prefix: '/auth' })
    app.get('/plain', async () => '')
    for (const origin of [EVIL, TRUSTED]) {
      for (const path of [url, '/auth/.well-known/jwks.json']) {
        const cors = corsOf(await app.inject({ url: path, headers: { origin } }))
        t.equal(cors['allow-origin'], '*', path)
        t.notOk('allow-credentials' in cors, path)
      }
    }
    if (hasCors) continue
    t.match(corsOf(await preflight(app, url, { origin: EVIL, method: 'GET', names: 'traceparent' })), {
      'allow-origin': '*', 'allow-methods': 'GET, HEAD', 'allow-headers': 'traceparent'
    })
    t.equal((await preflight(app, '/plain', { method: 'GET' })).statusCode, 404, 'no other path of the host')
  }
})

import type { FastifyInstance, InjectOptions } from 'fastify'
import t from 'tap'
import { bearer, logIn, ON_POSTGRES, PASSWORD, postForm } from '../helper.js'
import { assertProblem } from '../routes/support.js'
import { buildService } from './support.js'

const POLICY = "default-src 'none';base-uri 'none';form-action 'none';frame-ancestors 'none'"
const ANY: Record<string, InjectOptions> = {
  'an answer': { url: '/health/live' },
  'a 404': { url: '/nothing' },
  'a 405': { url: '/login' },
  'a 400': { method: 'POST', url: '/login', payload: { x: 1 } },
  'a 401': { url: '/users/me' },
  'a 415': { method: 'POST', url: '/login', headers: { 'content-type': 'text/plain' }, payload: 'x' },
  'an OAuth error': { method: 'POST', url: '/token', payload: {} }
}

t.test('ASVS 3.4.4, ASVS 3.4.5, ASVS 3.4.6: every answer of the service has the security headers, also outside of its prefix', async t => {
  for (const prefix of ['', '/auth']) {
    const app = await buildService(t, { prefix })
    for (const [name, request] of Object.entries(ANY)) {
      for (const url of new Set([String(request.url), prefix + String(request.url)])) {
        const { headers } = await app.inject({ ...request, url })
        t.match(headers, {
          'content-security-policy': POLICY,
          'x-content-type-options': 'nosniff',
          'referrer-policy': 'no-referrer',
          'x-frame-options': 'DENY',
          'cross-origin-resource-policy': 'same-origin'
        }, `${name} ${url}`)
        t.notOk('strict-transport-security' in headers, 'none over plain http')
      }
    }
    const unreadable = await app.inject({ url: '/%zz' })
    assertProblem(t, unreadable, 400, 'invalid_request')
    t.match(unreadable.headers['content-security-policy'], /default-src 'none'/)
  }
})

t.test('no cache may store a response, unless it is the same for everyone', async t => {
  for (const prefix of ['', '/auth']) {
    const app = await buildService(t, { prefix, corsOrigins: [APP], docs: true, statusList: true })
    const login = await app.inject({
      method: 'POST', url: `${prefix}/token`, payload: { username: 'alice', password: PASSWORD }
    })
    const headers = bearer(login.json().access_token)
    const requests: InjectOptions[] = [...Object.values(ANY), {
      url: '/users/me', headers
    }, {
      url: '/sessions', headers
    }, { url: '/users', headers }, { url: '/audit', headers }, { url: '/clients', headers },
    { url: '/status-lists/x' }, preflight(APP, '/login'), { url: '/users/me', method: 'HEAD', headers }]
    for (const request of requests) {
      const response = await app.inject({ ...request, url: prefix + String(request.url) })
      t.equal(
        response.headers['cache-control'], 'no-store',
        `${request.method ?? 'GET'} ${String(request.url)}: ${response.statusCode}`
      )
    }
    t.equal((await app.inject({ url: '/%zz' })).headers['cache-control'], 'no-store', 'even before a route is found')
    for (const url of [
      '/.well-known/jwks.json', '/.well-known/oauth-authorization-server', '/openapi.json',
      '/docs/static/swagger-ui-bundle.js'
    ]) {
      t.match((await app.inject(prefix + url)).headers['cache-control'], /^public/, url)
    }
    const { headers: { etag } } = await app.inject(`${prefix}/openapi.json`)
    t.match(
      await app.inject({ url: `${prefix}/openapi.json`, headers: { 'if-none-match': etag } }),
      { statusCode: 304, body: '', headers: { 'cache-control': 'public, no-cache', etag } }
    )
  }
})

t.test('an https issuer means HSTS, of its own name only', async t => {
  const app = await buildService(t, { issuer: 'https://auth.example.com' })
  t.equal((await app.inject('/nothing')).headers['strict-transport-security'], 'max-age=31536000')
})

t.test('the docs page keeps the policy with which it works', async t => {
  const app = await buildService(t, { docs: true })
  for (const url of ['/docs', '/docs/', '/docs/static/swagger-ui-bundle.js']) {
    const { statusCode, headers } = await app.inject(url)
    t.equal(statusCode, 200, url)
    t.match(headers['content-security-policy'], /default-src 'none'.*script-src 'self'/, url)
    t.equal(headers['x-content-type-options'], 'nosniff', url)
  }
})

t.test('what the service switches on can be switched off', async t => {
  const app = await buildService(t, { securityHeaders: false, metrics: false })
  t.notOk('content-security-policy' in (await app.inject('/health/live')).headers)
  for (const url of ['/metrics', '/docs', '/openapi.json']) t.equal((await app.inject(url)).statusCode, 404, url)
})

const APP = 'https://app.example.com'
const TRUSTED = 'https://trusted.example.com'
const FOREIGN = [
  'https://evil.example.com', 'https://app.example.com.evil.com', 'http://app.example.com',
  'https://app.example.com:8443', 'null', '*', ''
]

function preflight (origin: string, url: string): InjectOptions {
  return {
    method: 'OPTIONS',
    url,
    headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' }
  }
}

t.test('without corsOrigins there is no CORS, and OPTIONS is a 405', async t => {
  const app = await buildService(t, { trustedOrigins: [APP] })
  const response = await app.inject(preflight(APP, '/login'))
  assertProblem(t, response, 405, 'method_not_allowed')
  t.same(Object.keys(response.headers).filter(name => name.startsWith('access-control-') || name === 'vary'), [])
})

t.test('ASVS 3.4.2: pages of corsOrigins read every answer; cookies only those that are trusted too', async t => {
  for (const prefix of ['', '/auth']) {
    const app = await buildService(
      t,
      {
        prefix,
        corsOrigins: ['https://APP.example.com:443', TRUSTED],
        trustedOrigins: [TRUSTED, 'https://other.example.com']
      }
    )
    for (const [name, request] of Object.entries(ANY)) {
      const url = prefix + String(request.url)
      for (const origin of [APP, TRUSTED]) {
        const { headers } = await app.inject({ ...request, url, headers: { ...request.headers, origin } })
        t.equal(headers['access-control-allow-origin'], origin, name)
        t.equal(headers['access-control-allow-credentials'], origin === TRUSTED ? 'true' : undefined, name)
        t.match(headers['access-control-expose-headers'], /WWW-Authenticate, Retry-After, RateLimit/, name)
        t.equal(headers.vary, 'Origin', name)
      }
      for (const origin of [...FOREIGN, 'https://other.example.com']) {
        const { headers } = await app.inject({ ...request, url, headers: { ...request.headers, origin } })
        t.same(Object.keys(headers).filter(header => header.startsWith('access-control-')), [], `${name} for ${origin}`)
        t.equal(headers.vary, 'Origin', 'no cache may give this answer to another origin')
      }
    }
  }
})

t.test('preflights: our routes, their methods, the headers that they need', async t => {
  for (const prefix of ['', '/auth']) {
    const app = await buildService(t, { prefix, corsOrigins: [APP] })
    const table: Record<string, string[]> = {
      '/login': ['OPTIONS', 'POST'],
      '/health/live': ['GET', 'HEAD', 'OPTIONS'],
      '/users/me/password': ['OPTIONS', 'PUT'],
      '/sessions/x': ['DELETE', 'OPTIONS']
    }
    for (const [path, methods] of Object.entries(table)) {
      const { statusCode, headers, body } = await app.inject(preflight(APP, prefix + path))
      t.equal(statusCode, 204, path)
      t.equal(body, '')
      t.same(String(headers['access-control-allow-methods']).split(', ').sort(), methods, path)
      t.equal(headers['access-control-allow-headers'], 'authorization')
      t.equal(headers['access-control-max-age'], '600')
      for (const origin of FOREIGN) {
        const refused = await app.inject(preflight(origin, prefix + path))
        t.same(
          Object.keys(refused.headers).filter(name => name.startsWith('access-control-')), [], `${path} for ${origin}`
        )
      }
      const wrong = await app.inject({ method: 'PATCH', url: prefix + path })
      assertProblem(t, wrong, 405, 'method_not_allowed', path)
      t.same(String(wrong.headers.allow).split(', ').sort(), methods, 'Allow knows OPTIONS')
    }
    assertProblem(t, await app.inject(preflight(APP, `${prefix}/nothing`)), 404, 'not_found')
  }
})

/** The value of a series: the name with its labels, as the text format has it. */
function valueOf (text: string, series: string): number | undefined {
  const line = text.split('\n').find(line => line.startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.slice(series.length + 1))
}

async function readMetrics (app: FastifyInstance, prefix = ''): Promise<string> {
  const login = await app.inject({
    method: 'POST', url: `${prefix}/token`, payload: { username: 'alice', password: 'marble otter sings at noon' }
  })
  const response = await app.inject({ url: `${prefix}/metrics`, headers: bearer(login.json().access_token) })
  t.equal(response.statusCode, 200)
  t.match(response.headers['content-type'], 'text/plain; version=0.0.4')
  t.equal(response.headers['cache-control'], 'no-store')
  return response.body
}

t.test('the metrics are for holders of metrics:read, from wherever they come', async t => {
  const app = await buildService(t)
  await app.latchkey.users.add({ username: 'bob', password: 'marble otter sings at noon', scopes: ['admin'] })
  assertProblem(t, await app.inject({ url: '/metrics', remoteAddress: '127.0.0.1' }), 401, 'unauthenticated')
  assertProblem(
    t, await app.inject({ url: '/metrics', headers: bearer((await logIn(app, 'bob')).access_token) }), 403,
    'insufficient_scope'
  )
  t.match(await readMetrics(app), /^latchkey_events_total/m)
})

t.test('the metrics count what happens', async t => {
  const app = await buildService(t)
  const before = await readMetrics(app)
  t.equal(valueOf(before, 'latchkey_events_total{type="login_failed",outcome="failure"}'), 0, 'there before the first')
  t.equal(valueOf(before, 'latchkey_events_total{type="login",outcome="success"}'), 1)

  await postForm(app, '/token', { grant_type: 'password', username: 'alice', password: 'wrong' })
  const tokens = await logIn(app)
  await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token })
  await postForm(app, '/revoke', { token: tokens.access_token })
  const after = await readMetrics(app)
  const counts = { login: 3, login_failed: 1, refresh: 1, token_revoked: 1 }
  for (const [type, count] of Object.entries(counts)) {
    t.equal(
      valueOf(
        after, `latchkey_events_total{type="${type}",outcome="${type === 'login_failed' ? 'failure' : 'success'}"}`
      ),
      count,
      type
    )
  }
  t.equal(valueOf(after, 'latchkey_revocation_rules'), 1)
  t.equal(valueOf(after, 'latchkey_password_queue_jobs'), 0)
  const age = valueOf(after, 'latchkey_revocation_index_age_seconds')
  // With SQLite it is the time that this answer has taken, which is not zero on a busy machine.
  t.ok(age !== undefined && age <= (ON_POSTGRES ? 1 : 0.1), `at most the bound: ${age}`)
  t.equal(valueOf(after, 'latchkey_request_duration_seconds_count{method="POST",route="/token",status="2xx"}'), 4)
  t.equal(valueOf(after, 'latchkey_request_duration_seconds_count{method="POST",route="/token",status="4xx"}'), 1)
  for (const name of [
    'process_cpu_seconds_total', 'process_resident_memory_bytes', 'nodejs_eventloop_lag_p99_seconds'
  ]) t.type(valueOf(after, name), 'number', name)
})

t.test('throttled requests are counted', async t => {
  const app = await buildService(t, { rateLimit: true })
  for (let attempt = 0; attempt < 105; attempt++) {
    await app.inject({
      method: 'POST', url: '/login', remoteAddress: '192.0.2.1'
    })
  }
  t.equal(valueOf(await readMetrics(app), 'latchkey_throttled_requests_total'), 5)
})

t.test('no label is what a client has chosen, and nobody is named', async t => {
  const app = await buildService(t)
  for (let index = 0; index < 20; index++) await app.inject({ url: `/path-${index}?q=${index}` })
  await app.inject({ url: '/sessions/secret-session', method: 'DELETE' })
  await app.inject({ method: 'PROPFIND' as 'GET', url: '/x' })
  await postForm(app, '/token', { grant_type: 'password', username: 'mallory@example.com', password: 'hunter2' })
  const text = await readMetrics(app)
  t.notMatch(text, /path-|secret-session|PROPFIND|mallory|alice|hunter2|127\.0\.0\.1/)
  t.equal(valueOf(text, 'latchkey_request_duration_seconds_count{method="GET",route="unknown",status="4xx"}'), 20)
  t.equal(valueOf(text, 'latchkey_request_duration_seconds_count{method="other",route="unknown",status="4xx"}'), 1)
  t.equal(
    valueOf(text, 'latchkey_request_duration_seconds_count{method="DELETE",route="/sessions/:id",status="4xx"}'), 1
  )
})

t.test('two services in one process count for themselves', async t => {
  const one = await buildService(t)
  const two = await buildService(t, { prefix: '/auth' })
  await one.inject('/nothing')
  t.equal(
    valueOf(
      await readMetrics(two, '/auth'),
      'latchkey_request_duration_seconds_count{method="GET",route="unknown",status="4xx"}'
    ),
    undefined
  )
})

import { STATUS_CODES } from 'node:http'
import t from 'tap'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest, InjectOptions } from 'fastify'
import type { Test } from 'tap'
import latchkey, { authenticate, LatchkeyError, requireScopes } from '../../app.js'
import type { ErrorCode, LatchkeyOptions } from '../../app.js'
import verifier, { authenticate as authenticateRemote } from '../../verifier/plugin.js'
import { addUsers, bearer, logIn, logInWithCookies, PASSWORD, postForm, TEST_OPTIONS } from '../helper.js'
import { createHost } from '../routes/support.js'
import { createFakeService } from '../verifier/support.js'

const CROSS_SITE: ErrorCode = 'cross_site_request'

/** The error handler of an app with bodies of its own. It sets no header, and no status for our errors. */
function sendOwnBody (error: FastifyError, _request: FastifyRequest, reply: FastifyReply): void {
  if (error instanceof LatchkeyError) {
    reply.send({ errors: { [error.code]: [error.code === CROSS_SITE ? 'another site' : error.message] } })
  } else reply.code(error.statusCode ?? 500).send({ errors: { app: [error.message] } })
}

async function buildOwn (t: Test, options: LatchkeyOptions = {}): Promise<FastifyInstance> {
  const app = createHost(t)
  app.setErrorHandler(sendOwnBody)
  await app.register(latchkey, { ...TEST_OPTIONS, ...options })
  app.get('/me', { onRequest: authenticate }, async request => request.user.id)
  app.post('/me', { onRequest: authenticate }, async request => request.user.id)
  app.get('/admin', { preHandler: requireScopes('users:write') }, async () => 'admin')
  app.post('/caught', async (request, reply) => {
    try {
      await authenticate(request, reply)
    } catch (error) {
      if (!(error instanceof LatchkeyError)) throw error
      return await reply.code(error.statusCode).headers(error.headers ?? {}).send({ errors: [error.code] })
    }
    return 'in'
  })
  await app.ready()
  await addUsers(app)
  return app
}

t.test("guards: the host's own body, with our status, code and headers", async t => {
  const app = await buildOwn(t)
  const { access_token: token } = await logIn(app)
  const { cookie } = await logInWithCookies(app)
  type Row = [request: string, headers: Record<string, string>, status: number, code: ErrorCode, challenge?: RegExp]
  const table: Row[] = [
    ['GET /me', {}, 401, 'unauthenticated', /^Bearer$/],
    ['GET /me', bearer('x'), 401, 'invalid_token', /^Bearer error="invalid_token"/],
    ['GET /admin', bearer(token), 403, 'insufficient_scope', /scope="users:write"$/],
    ['POST /me', { cookie, 'sec-fetch-site': 'cross-site' }, 403, 'cross_site_request', undefined],
    ['POST /caught', { cookie, origin: 'https://evil.example' }, 403, 'cross_site_request', undefined]
  ]
  for (const [request, headers, status, code, challenge] of table) {
    const [method, url] = request.split(' ') as ['GET', string]
    const response = await app.inject({ method, url, headers })
    t.equal(response.statusCode, status, code)
    t.match(response.headers['www-authenticate'], challenge)
    t.match(response.json<{ errors: unknown }>().errors, url === '/caught' ? [code] : { [code]: [String] })
  }
})

t.test('a challenge is only sent with a 401, or with the 403 that it was made for, whatever status the host chooses', async t => {
  for (const errors of ['app', 'problem'] as const) {
    const app = createHost(t)
    let status: number | undefined
    app.setErrorHandler((error: FastifyError, _request, reply) => {
      reply.code(status ?? error.statusCode ?? 500).send({ error: error.code })
    })
    await app.register(latchkey, { ...TEST_OPTIONS, errors })
    app.get('/me', { onRequest: authenticate }, async request => request.user.id)
    app.get('/admin', { preHandler: requireScopes('users:write') }, async () => 'admin')
    app.get('/own', async (_request, reply) => reply.code(407).header('www-authenticate', 'Own').send({}))
    app.post('/host/token', async request =>
      app.latchkey.logIn(request, request.body as { username: string, password: string }))
    await app.ready()
    await addUsers(app)
    const { access_token: token } = await logIn(app)
    const wrong = { username: 'alice', password: 'wrong' }
    const urls = ['/host/token', ...(errors === 'app' ? ['/login'] : [])]
    for (status of [undefined, 400, 403, 200]) {
      const expected = status === undefined ? /^Bearer/ : undefined
      for (const url of urls) {
        t.match((await app.inject({ method: 'POST', url, payload: wrong })).headers['www-authenticate'], expected, url)
      }
      t.match((await app.inject('/me')).headers['www-authenticate'], expected, '/me')
    }
    for (status of [undefined, 401]) {
      t.match((await app.inject({ url: '/admin', headers: bearer(token) })).headers['www-authenticate'], /scope="users/)
    }
    t.equal((await app.inject('/own')).headers['www-authenticate'], 'Own', 'a challenge of the host stays')
  }
})

t.test('services: an error that a handler of the host does not catch has its status and headers too', async t => {
  const app = createHost(t)
  app.setErrorHandler(sendOwnBody)
  await app.register(latchkey, TEST_OPTIONS)
  app.get('/wait', async () => { throw new LatchkeyError('too_many_failures', { retryAfter: 7 }) })
  app.get('/wrong', async () => { throw new LatchkeyError('invalid_credentials') })
  const wait = await app.inject('/wait')
  t.match(wait, { statusCode: 429, headers: { 'retry-after': '7', 'www-authenticate': undefined } })
  const wrong = await app.inject('/wrong')
  t.match(wrong, { statusCode: 401, headers: { 'www-authenticate': 'Bearer' } })
  t.same(Object.keys(wrong.json<{ errors: object }>().errors), ['invalid_credentials'])
})

t.test('our own routes: problem documents by default, and with errors: app the body of the host', async t => {
  const byDefault = await buildOwn(t)
  const problem = await byDefault.inject({ method: 'POST', url: '/login', payload: { username: 'alice', password: 'wrong' } })
  t.match(problem, { statusCode: 401, headers: { 'content-type': /problem/ } })

  const app = await buildOwn(t, { errors: 'app', prefix: '/auth', docs: true, rateLimit: true })
  const post = async (url: string, payload: object, headers = {}): Promise<[number, string[], unknown]> => {
    const response = await app.inject({ method: 'POST', url, payload, headers })
    t.match(response.headers['cache-control'], 'no-store', url)
    const { errors } = response.json<{ errors: object }>()
    return [response.statusCode, Object.keys(errors), response.headers['www-authenticate']]
  }
  const wrong = { username: 'alice', password: 'wrong' }
  t.same(await post('/auth/login', wrong), [401, ['invalid_credentials'], 'Bearer'])
  t.same(await post('/auth/login', { username: 'alice' }), [400, ['invalid_request'], undefined])
  t.same(await post('/auth/login', { ...wrong, extra: 1 }), [400, ['invalid_request'], undefined])
  t.same(await post('/auth/refresh', { refresh_token: 'x' }), [401, ['invalid_refresh_token'], 'Bearer'])
  t.match(await post('/auth/users', {}, bearer('x')), [401, ['invalid_token'], /^Bearer error=/])
  const login = await app.inject({ method: 'POST', url: '/auth/login', payload: { ...wrong, password: PASSWORD } })
  const cookie = [login.headers['set-cookie']].flat().map(text => String(text).split(';')[0]).join('; ')
  t.same(
    (await post('/auth/logout', {}, { cookie, 'sec-fetch-site': 'cross-site' })).slice(0, 2), [403, ['cross_site_request']]
  )
  t.same(await post('/auth/nothing', {}), [404, ['not_found'], undefined])
  t.match((await app.inject({ method: 'PUT', url: '/auth/login' })), {
    statusCode: 405, headers: { allow: 'POST', 'content-type': /^application\/json/ }, body: /"method_not_allowed"/
  })
  const oauth = await postForm(app, '/auth/token', { grant_type: 'password', ...wrong })
  t.same([oauth.statusCode, oauth.json<{ error: string }>().error], [400, 'invalid_grant'], 'RFC 6749')
  for (let failure = 0; failure < 10; failure++) await post('/auth/login', wrong)
  const throttled = await app.inject({ method: 'POST', url: '/auth/login', payload: wrong })
  t.match(throttled, { statusCode: 429, headers: { 'retry-after': /^\d+$/ } })
  const document = (await app.inject('/auth/openapi.json')).body
  t.notMatch(document, /problem\+json/, 'the document does not promise bodies that the host does not send')
  t.match(document, 'invalid_credentials')
})

t.test("our own routes with errors: app and Fastify's own error handler: its usual body", async t => {
  const app = createHost(t)
  let isBroken = false
  await app.register(latchkey, {
    ...TEST_OPTIONS,
    errors: 'app',
    prefix: '/auth',
    claims () {
      if (isBroken) throw new Error('db at 10.0.0.7')
      return {}
    }
  })
  await app.ready()
  await addUsers(app)
  const login = { username: 'alice', password: PASSWORD }
  const { access_token: token } = (await postForm(app, '/auth/token', { grant_type: 'password', ...login }))
    .json<{ access_token: string }>()
  isBroken = true
  const table: Array<[request: InjectOptions, status: number, code: ErrorCode]> = [
    [{ method: 'POST', url: '/auth/login', payload: { ...login, password: 'wrong' } }, 401, 'invalid_credentials'],
    [{ method: 'POST', url: '/auth/login', payload: { username: 'alice' } }, 400, 'invalid_request'],
    [{ method: 'POST', url: '/auth/login', payload: '{', headers: { 'content-type': 'application/json' } }, 400, 'invalid_request'],
    [{ method: 'POST', url: '/auth/login', payload: 'x', headers: { 'content-type': 'text/csv' } }, 415, 'unsupported_media_type'],
    [{ method: 'POST', url: '/auth/login', payload: login, headers: { 'sec-fetch-site': 'cross-site' } }, 403, 'cross_site_request'],
    [{ method: 'POST', url: '/auth/login', payload: login }, 500, 'internal_error'],
    [{ url: '/auth/users/me' }, 401, 'unauthenticated'],
    [{ url: '/auth/users', headers: bearer(token) }, 403, 'insufficient_scope'],
    [{ url: '/auth/nothing' }, 404, 'not_found'],
    [{ method: 'PUT', url: '/auth/login' }, 405, 'method_not_allowed']
  ]
  for (const [request, statusCode, code] of table) {
    const response = await app.inject(request)
    t.match(response, { statusCode, headers: { 'content-type': /^application\/json/ } }, code)
    const body = response.json<{ message: string }>()
    t.match(body, { statusCode, code, error: STATUS_CODES[statusCode], message: /^[A-Z'].+\.$/ })
    t.same(Object.keys(body), ['statusCode', 'code', 'error', 'message'])
    t.notMatch(body.message, '10.0.0.7')
  }
})

t.test('our own routes with errors: app tell nothing of a fault of the server', async t => {
  const app = createHost(t)
  app.setErrorHandler(sendOwnBody)
  const users = { authenticate: async () => { throw new Error('db at 10.0.0.7') }, find: async () => null }
  await app.register(latchkey, { ...TEST_OPTIONS, errors: 'app', users })
  const response = await app.inject({ method: 'POST', url: '/login', payload: { username: 'a', password: 'b' } })
  t.same(response.json(), { errors: { internal_error: ['Something went wrong on the server.'] } })
  t.equal(response.statusCode, 500)
})

t.test('the verifier: the same', async t => {
  const service = await createFakeService(t)
  const app = createHost(t)
  app.setErrorHandler(sendOwnBody)
  await app.register(verifier, { issuer: service.issuer, revocations: 'none' })
  app.post('/me', { onRequest: authenticateRemote }, async request => request.user.id)
  const response = await app.inject({
    method: 'POST', url: '/me', headers: { cookie: `__Host-access_token=${service.token()}`, 'sec-fetch-site': 'cross-site' }
  })
  t.equal(response.statusCode, 403)
  t.same(response.json(), { errors: { cross_site_request: ['another site'] } })
})

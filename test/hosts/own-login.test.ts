import { request as sendOverHttp } from 'node:http'
import { mock } from 'node:test'
import fastifyCookie from '@fastify/cookie'
import { fastify } from 'fastify'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import t from 'tap'
import latchkey from '../../app.js'
import { addUsers, build, TEST_OPTIONS } from '../helper.js'
import { ALICE, ANOTHER_SITE, assertError, buildOwn } from '../plugins/host-logins-support.js'
import { buildHost, listen } from '../routes/support.js'

// Apps with a login of their own: a second factor, error handlers, other plugins, proxies.

t.test('confirm: nothing is issued until it returns true, and a wrong code counts like a wrong password', async t => {
  const asked: unknown[] = []
  const { app, clock } = await buildHost(t, { rateLimit: true, ownRoutes: ['login'] }, app => {
    app.post('/own', async request => {
      const { code, ...credentials } = request.body as typeof ALICE & { code?: unknown }
      return await app.latchkey.logIn(request, credentials, {
        confirm (user) {
          asked.push(user)
          if (code === undefined) throw Object.assign(new Error('Enter your code'), { statusCode: 403, code: 'code_needed' })
          return code === '123456' ? true : (code === 'truthy' ? 1 as never : false)
        }
      })
    })
  })
  const alice = await app.latchkey.users.findByName('alice')
  let attempts = 0
  const send = async (payload: object): Promise<LightMyRequestResponse> => await app.inject({
    method: 'POST', url: '/own', payload, remoteAddress: `10.0.0.${++attempts}`
  })
  assertError(t, await send({ ...ALICE, password: 'wrong', code: '123456' }), 401, 'invalid_credentials')
  t.strictSame(asked, [], 'a stranger learns nothing from the second factor')
  const needed = await send(ALICE)
  t.match([needed.statusCode, needed.json().code], [403, 'code_needed'], 'the error of the app arrives unchanged')
  t.strictSame(asked, [{ id: alice?.id, username: 'alice', scopes: ['admin', 'items:read'], roles: [] }])
  assertError(t, await send({ ...ALICE, code: 'truthy' }), 401, 'invalid_credentials')
  t.equal((await app.latchkey.sessions.list(alice?.id ?? '')).length, 0)
  t.equal((await send({ ...ALICE, code: '123456' })).statusCode, 200)

  for (let time = 0; time < 11; time++) await send({ ...ALICE, code: String(time) })
  assertError(t, await send({ ...ALICE, code: '123456' }), 429, 'too_many_failures')
  t.equal((await app.latchkey.audit.list({ type: 'login_failed' })).length, 13)
  clock.move(1_000)
  t.equal((await send({ ...ALICE, code: '123456' })).statusCode, 200)

  for (const [url, payload] of [
    ['/login', ALICE], ['/token', ALICE], ['/token', { grant_type: 'password', ...ALICE }], ['/register', ALICE]
  ] as const) t.not((await app.inject({ method: 'POST', url, payload })).statusCode, 200, `no way around it: ${url}`)
})

t.test('confirm: a check that hangs ends after 30 seconds, and counts for nothing', async t => {
  const { app } = await buildHost(t, { rateLimit: true, ownRoutes: ['login'] }, app => {
    app.post('/own', async request => await app.latchkey.logIn(request, request.body as typeof ALICE, {
      async confirm () {
        setImmediate(() => mock.timers.tick(30_000))
        return await new Promise<boolean>(() => {})
      }
    }))
  })
  await app.ready()
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  for (let time = 0; time < 12; time++) {
    t.equal((await app.inject({ method: 'POST', url: '/own', payload: ALICE })).statusCode, 500)
  }
  t.equal((await app.latchkey.audit.list({ type: 'login_failed' })).length, 0)
})

t.test('confirm: the audit trail names the account of the app whose code was wrong', async t => {
  const user = { id: 'id-1', username: 'ada', scopes: [] }
  const users = { authenticate: async () => user, find: async () => user }
  const { app } = await buildHost(t, { users, ownRoutes: ['login'] }, app => {
    app.post('/own', async request => await app.latchkey.logIn(request, request.body as typeof ALICE, {
      confirm: () => false
    }))
  })
  t.equal((await app.inject({ method: 'POST', url: '/own', payload: ALICE })).statusCode, 401)
  t.match(await app.latchkey.audit.list({ type: 'login_failed' }), [{ subject: 'id-1' }])
})

t.test('an error handler of the app gets the error with its status, code and headers', async t => {
  const seen: Array<{ code?: string, statusCode?: number }> = []
  const { call } = await buildOwn(t, { rateLimit: true }, app => {
    app.setErrorHandler((error: { code?: string, statusCode?: number }, _request, reply) => {
      seen.push(error)
      return reply.send({ errors: [error.code] })
    })
  })
  const refused = await call('login', { ...ALICE, password: 'wrong' })
  t.match([refused.statusCode, refused.json()], [401, { errors: ['invalid_credentials'] }])
  t.match(refused.headers, { 'www-authenticate': 'Bearer', 'cache-control': 'no-store' })
  for (let time = 0; time < 10; time++) await call('login', { ...ALICE, password: 'wrong' })
  const blocked = await call('login', ALICE)
  t.match([blocked.statusCode, blocked.headers['retry-after']], [429, '1'])
  t.match(seen.at(-1), { code: 'too_many_failures', statusCode: 429 })
  t.equal((await call('login', ALICE, { headers: ANOTHER_SITE })).statusCode, 403)
})

t.test("what breaks inside is a 500 without details, also if the app's users break", async t => {
  const { call } = await buildOwn(t, {
    users: {
      async authenticate () { throw new Error('password of the directory') },
      async find () { throw Object.assign(new Error('password of the directory'), { statusCode: 404 }) }
    }
  })
  for (const [name, payload] of [['login', ALICE], ['as', { user: 'x' }]] as const) {
    const response = await call(name, payload)
    assertError(t, response, 500, 'internal_error', name)
    t.notMatch(response.body, /directory/)
  }
})

t.test('cookies of the app and of Latchkey go out together', async t => {
  const { app } = await buildHost(t, {}, async app => {
    await app.register(fastifyCookie)
    app.post('/own', async (request, reply) => {
      reply.setCookie('theme', 'dark')
      app.latchkey.setCookies(reply, await app.latchkey.logIn(request, ALICE))
      return {}
    })
  })
  const { cookies } = await app.inject({ method: 'POST', url: '/own' })
  t.strictSame(cookies.map(({ name }) => name).sort(), ['__Host-access_token', '__Host-refresh_token', 'theme'])
})

t.test('a request of an app outside the registration works, with the headers of its errors', async t => {
  const { app } = await build(t)
  const outer = fastify()
  t.teardown(() => outer.close())
  outer.post('/own', async request => await app.latchkey.logIn(request, request.body as typeof ALICE))
  t.equal((await outer.inject({ method: 'POST', url: '/own', payload: ALICE })).json().user.username, 'alice')
  const refused = await outer.inject({ method: 'POST', url: '/own', payload: { ...ALICE, password: 'wrong' } })
  assertError(t, refused, 401, 'invalid_credentials')
})

t.test('over a socket, behind a proxy: the address is the one of the client, as in our routes', async t => {
  const app = fastify({ trustProxy: '127.0.0.1' }) as FastifyInstance
  t.teardown(() => app.close())
  await app.register(latchkey, TEST_OPTIONS)
  app.post('/own', async (request, reply) => {
    const login = await app.latchkey.logIn(request, request.body as typeof ALICE)
    app.latchkey.setCookies(reply, login)
    return { token: login.accessToken }
  })
  const origin = await listen(app)
  await addUsers(app, ['alice'])
  const [status, cookies] = await new Promise<[number | undefined, string[] | undefined]>((resolve, reject) => {
    const request = sendOverHttp(`${origin}/own`, {
      method: 'POST', headers: { 'content-type': 'application/json', 'x-forwarded-for': '203.0.113.5' }
    }, response => {
      response.resume()
      resolve([response.statusCode, response.headers['set-cookie']])
    })
    request.on('error', reject).end(JSON.stringify(ALICE))
  })
  t.equal(status, 200)
  t.equal(cookies?.length, 2)
  t.match(await app.latchkey.audit.list({ type: 'login' }), [{ actor: { address: '203.0.113.5' } }])
})

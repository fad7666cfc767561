import { randomBytes } from 'node:crypto'
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { Test } from 'tap'
import latchkey, { requireRecentLogin } from '../../app.js'
import type { LatchkeyOptions } from '../../app.js'
import { addUsers, bearer, createTestClock, logIn, PASSWORD, postForm, TEST_OPTIONS } from '../helper.js'
import type { TestClock } from '../helper.js'
import { signJws } from '../lib/support.js'
import { addClient, claimsOf } from '../routes/support.js'

const MINUTE = 60_000

async function open (t: Test, options: LatchkeyOptions = {}): Promise<{ app: FastifyInstance, clock: TestClock }> {
  const clock = createTestClock()
  const app = fastify({ logger: false }) as FastifyInstance
  t.teardown(() => app.close())
  await app.register(latchkey, { ...TEST_OPTIONS, now: clock, ...options })
  app.get('/handler', { preHandler: requireRecentLogin('5m') }, async ({ user }) => user)
  app.get('/request', { onRequest: requireRecentLogin('5m') }, async ({ user }) => user)
  app.get('/awaited', async (request, reply) => await requireRecentLogin('5m')(request, reply))
  app.post('/log-in', async (request) => {
    const { answer } = request.body as { answer: boolean }
    return await app.latchkey.logIn(request, { username: 'alice', password: PASSWORD }, { confirm: async () => answer })
  })
  app.post('/log-in-as', async (request) => {
    const { amr, authTime } = request.body as { amr?: string[], authTime?: number }
    const alice = await app.latchkey.users.findByName('alice')
    return await app.latchkey.logInAs(request, alice?.id ?? '', {
      amr, ...authTime === undefined ? {} : { authTime: new Date(authTime) }
    })
  })
  await app.ready()
  await addUsers(app)
  return { app, clock }
}

t.test('RFC 9470 3: a login that is too old gets the challenge, in every form of the guard', async t => {
  const { app, clock } = await open(t)
  const { access_token: token, refresh_token: refreshToken } = await logIn(app)
  const urls = ['/handler', '/request', '/awaited']
  for (const url of urls) {
    const call = async (text: string): Promise<number> => (await app.inject({ url, headers: bearer(text) })).statusCode
    t.equal(await call(token), 200, url)
    t.equal((await app.inject({ url })).headers['www-authenticate'], 'Bearer', 'without a token')
  }
  clock.move(5 * MINUTE)
  t.equal((await app.inject({ url: '/handler', headers: bearer(token) })).statusCode, 200, 'exactly as old as it may be')
  clock.move(1_000)
  for (const url of urls) {
    const response = await app.inject({ url, headers: bearer(token) })
    t.match(response.json(), { statusCode: 401, code: 'insufficient_user_authentication' }, url)
    t.match(
      response.headers['www-authenticate'],
      /^Bearer error="insufficient_user_authentication", error_description="[^"]+", max_age="300"$/
    )
  }
  const refreshed = (await app.inject({ method: 'POST', url: '/refresh', payload: { refresh_token: refreshToken } })).json()
  t.equal((await app.inject({ url: '/handler', headers: bearer(refreshed.access_token) })).statusCode, 401, 'a refresh is no login')
  t.equal(claimsOf(refreshed.access_token).auth_time, claimsOf(token).auth_time)
  t.equal((await app.inject({ url: '/handler', headers: bearer((await logIn(app)).access_token) })).statusCode, 200)
})

t.test('a credential without a login: a machine client, a personal access token', async t => {
  const { app } = await open(t, { accepts: ['token', 'key'] })
  const client = await addClient(app, {})
  const own = (await postForm(app, '/token', { grant_type: 'client_credentials' }, client.basic)).json()
  t.equal((await app.inject({ url: '/handler', headers: bearer(own.access_token) })).statusCode, 403)
  const alice = await app.latchkey.users.findByName('alice')
  const { value } = await app.latchkey.personalAccessTokens.create(alice?.id ?? '', { name: 'x', scopes: [] })
  const response = await app.inject({ url: '/handler', headers: bearer(value) })
  t.match(response.json(), { statusCode: 401, code: 'insufficient_user_authentication' })
})

t.test('RFC 9470 6.1, RFC 9470 6.2: amr and auth_time, of a password, of a second factor, and as a provider says', async t => {
  const { app, clock } = await open(t)
  const now = Math.floor(clock() / 1_000)
  t.match(claimsOf((await logIn(app)).access_token), { amr: ['pwd'], auth_time: now })
  const post = async (url: string, payload: object): Promise<{ accessToken: string, refreshToken: string }> =>
    (await app.inject({ method: 'POST', url, payload })).json()
  for (const [answer, methods] of [[true, []], [{ amr: [] }, []], [{ amr: ['otp'] }, ['otp']]] as const) {
    t.strictSame(claimsOf((await post('/log-in', { answer })).accessToken).amr, ['pwd', ...methods])
  }
  for (const answer of [false, null, 'true', 1, [], ['otp'], { ok: true }]) {
    t.match(await post('/log-in', { answer }), { code: 'invalid_credentials' }, JSON.stringify(answer))
  }
  for (const wrong of ['otp', ['a b'], [7], null, Array(11).fill('otp')]) {
    t.match(
      await post('/log-in', { answer: { amr: wrong } }), { statusCode: 500, message: /confirm returned an amr .*RFC 8176/ }
    )
  }
  t.match(claimsOf((await post('/log-in-as', {})).accessToken), { amr: [], auth_time: now })
  const foreign = await post('/log-in-as', { amr: ['hwk', 'mfa'], authTime: clock() - 10 * MINUTE })
  t.match(claimsOf(foreign.accessToken), { amr: ['hwk', 'mfa'], auth_time: now - 600 })
  t.equal((await app.inject({ url: '/handler', headers: bearer(foreign.accessToken) })).statusCode, 401)
  const ahead = await post('/log-in-as', { authTime: clock() + 30_000 })
  t.match(claimsOf(ahead.accessToken), { auth_time: now }, 'the clock of the provider is ahead')
  t.equal((await app.inject({ url: '/handler', headers: bearer(ahead.accessToken) })).statusCode, 200)
  const refreshed = await app.inject({ method: 'POST', url: '/refresh', payload: { refresh_token: foreign.refreshToken } })
  t.match(claimsOf(refreshed.json().access_token), { amr: ['hwk', 'mfa'], auth_time: now - 600 }, 'the session keeps them')
  const client = await addClient(app, { scopes: ['tokens:introspect'] })
  t.match(
    (await postForm(app, '/introspect', { token: foreign.accessToken }, client.basic)).json(),
    { active: true, amr: ['hwk', 'mfa'], auth_time: now - 600 }
  )
})

t.test('a login in the future is unknown, because the clock was set back since then', async t => {
  const { app, clock } = await open(t)
  const { access_token: token } = await logIn(app)
  const status = async (): Promise<number> => (await app.inject({ url: '/handler', headers: bearer(token) })).statusCode
  clock.move(-4_000)
  t.equal(await status(), 200, 'the clocks of two nodes may differ')
  clock.move(-4_000)
  t.equal(await status(), 401)
})

t.test('a token of an older system has no login time, whatever it claims', async t => {
  const key = Buffer.from(randomBytes(32).toString('hex'))
  const { app, clock } = await open(t)
  await app.latchkey.keys.importVerifyOnlyKey(key, { algorithm: 'HS256' })
  const alice = await app.latchkey.users.findByName('alice')
  const now = Math.floor(clock() / 1_000)
  const client = await addClient(app, { scopes: ['tokens:introspect'] })
  for (const login of [{}, { auth_time: now }, { auth_time: now * 1_000 }, { auth_time: 'x', amr: 7, gen: {} }]) {
    const claims = { sub: alice?.id, exp: now + 60, iat: now, ...login }
    const token = signJws(
      { kid: 'old', algorithm: 'HS256', private: key, public: key, jwk: null }, { alg: 'HS256', typ: 'JWT' }, claims
    )
    const response = await app.inject({ url: '/handler', headers: bearer(token) })
    t.match(response.json(), { statusCode: 401, code: 'insufficient_user_authentication' }, JSON.stringify(login))
    const known = (await postForm(app, '/introspect', { token }, client.basic)).json()
    t.match(known, { active: true, auth_time: undefined, amr: undefined }, JSON.stringify(login))
  }
})

t.test('bad values are named', async t => {
  const { app, clock } = await open(t)
  for (const bad of ['', '5', 'soon', '500ms', '1500ms', '0s', '-5m', '5 m', 300, undefined, null, ['5m'], {}]) {
    t.throws(() => requireRecentLogin(bad as never), /duration.*'5m'/)
  }
  const request = { ip: '127.0.0.1', headers: {} } as never
  for (const details of [
    { amr: 'pwd' }, { amr: [7] }, { amr: ['a b'] }, { amr: [''] }, { amr: Array(11).fill('pwd') }, { authTime: clock() },
    { authTime: new Date(NaN) }, { authTime: new Date(clock() + 10 * MINUTE) }, { authTime: new Date(-1) }, { acr: 'x' }
  ]) await t.rejects(app.latchkey.logInAs(request, 'x', details as never), /amr is a list.*authTime is a Date/)
  await t.rejects(
    app.latchkey.logIn(request, { username: 'alice', password: 'x' }, { confirm: () => true, amr: ['otp'] } as never),
    /takes { confirm/, 'only confirm knows what it has checked'
  )
})

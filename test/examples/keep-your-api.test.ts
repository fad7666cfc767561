import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import type { LatchkeyOptions } from '../../app.js'
import { createTestClock } from '../../testing/index.js'
import type { TestClock } from '../../testing/index.js'

// A program of its own, because it declares that ids are integers. So the compiler cannot import it here.
const example = new URL('../../examples/keep-your-api/app.js', import.meta.url).href
type App = FastifyInstance & { accounts: { add (account: object): Promise<unknown> } }
const { build: buildExample } = await import(example) as {
  build (options: Pick<LatchkeyOptions, 'database' | 'now'>): Promise<App>
}

const PASSWORD = 'difference engines hum'
const ada = { email: 'ada@example.com', username: 'ada', password: PASSWORD }

async function build (t: Test): Promise<{ app: App, clock: TestClock }> {
  const clock = createTestClock()
  const app = await buildExample({ database: join(t.testdir(), 'app.db'), now: clock })
  t.teardown(() => app.close())
  return { app, clock }
}

const post = (app: FastifyInstance, url: string, user: object, headers = {}) => app.inject({
  method: 'POST', url, payload: { user }, headers
})
const token = (value: string) => ({ authorization: `Token ${value}` })

async function register (app: FastifyInstance): Promise<string> {
  const response = await post(app, '/api/users', ada)
  return response.json<{ user: { token: string } }>().user.token
}

t.test('registers, logs in, and answers in the shape of the app', async t => {
  const { app } = await build(t)
  const registered = await post(app, '/api/users', ada)
  t.equal(registered.statusCode, 201)
  t.match(registered.json(), { user: { email: 'ada@example.com', username: 'ada', bio: null, token: /^ey/ } })
  t.equal(registered.headers['cache-control'], 'no-store')
  const again = await post(app, '/api/users', ada)
  t.equal(again.statusCode, 422)

  const login = await post(app, '/api/users/login', { email: ada.email, password: PASSWORD })
  t.equal(login.statusCode, 200)
  t.notOk(login.headers['set-cookie'])
  const { user } = login.json<{ user: { token: string } }>()
  const me = await app.inject({ url: '/api/user', headers: token(user.token) })
  t.match(me.json(), { user: { email: 'ada@example.com', username: 'ada' } })
})

t.test('answers errors in the shape of the app, with status and headers', async t => {
  const { app } = await build(t)
  await register(app)
  const wrong = await post(app, '/api/users/login', { email: ada.email, password: 'wrong' })
  t.equal(wrong.statusCode, 401)
  t.match(wrong.json(), { errors: { body: [String] } })
  t.equal(wrong.headers['www-authenticate'], 'Token')

  const invalid = await post(app, '/api/users/login', { email: ['ada@example.com'] })
  t.equal(invalid.statusCode, 422)
  const anonymous = await app.inject('/api/user')
  t.equal(anonymous.statusCode, 401)
  t.strictSame(Object.keys(anonymous.json()), ['errors'])
  const crossSite = await post(app, '/api/users/login', { email: ada.email, password: PASSWORD }, {
    'sec-fetch-site': 'cross-site'
  })
  t.equal(crossSite.statusCode, 403)
  t.match(crossSite.json(), { errors: { body: [String] } })
})

t.test('limits guesses at the login of the app', async t => {
  const { app } = await build(t)
  await register(app)
  let response = await post(app, '/api/users/login', { email: ada.email, password: 'wrong' })
  for (let tries = 0; tries < 100 && response.statusCode === 401; tries++) {
    response = await post(app, '/api/users/login', { email: ada.email, password: 'wrong' })
  }
  t.equal(response.statusCode, 429)
  t.ok(Number(response.headers['retry-after']) > 0)
  t.match(response.json(), { errors: { body: [String] } })
})

t.test('leaves no way around its login', async t => {
  const { app } = await build(t)
  await register(app)
  const login = { username: ada.email, password: PASSWORD }
  t.equal((await app.inject({ method: 'POST', url: '/auth/login', payload: login })).statusCode, 404)
  const granted = await app.inject({
    method: 'POST', url: '/auth/token', payload: { grant_type: 'password', ...login }
  })
  t.match(granted.json(), { error: 'unsupported_grant_type' })
})

t.test('gives a new token after a change, in the same session', async t => {
  const { app } = await build(t)
  const headers = token(await register(app))
  const changed = await app.inject({
    method: 'PUT', url: '/api/user', headers, payload: { user: { bio: 'Analyst' } }
  })
  t.match(changed.json(), { user: { bio: 'Analyst', token: /^ey/ } })
  const sessions = await app.inject({ url: '/auth/sessions', headers })
  t.equal(sessions.json<{ sessions: unknown[] }>().sessions.length, 1)

  await app.inject({ method: 'POST', url: '/auth/logout', headers })
  const next = token(changed.json<{ user: { token: string } }>().user.token)
  for (const old of [headers, next]) {
    t.equal((await app.inject({ url: '/api/user', headers: old })).statusCode, 401)
  }
})

t.test('accepts a token for a week, with the scheme of the app or Bearer', async t => {
  const { app, clock } = await build(t)
  const value = await register(app)
  clock.advance('6d')
  t.equal((await app.inject({ url: '/api/user', headers: token(value) })).statusCode, 200)
  t.equal((await app.inject({ url: '/api/user', headers: { authorization: `Bearer ${value}` } })).statusCode, 200)
  clock.advance('25h')
  t.equal((await app.inject({ url: '/api/user', headers: token(value) })).statusCode, 401)
})

t.test('serves visitors and users, and knows integer ids and roles', async t => {
  const { app } = await build(t)
  const headers = token(await register(app))
  const url = '/api/profiles/ada'
  t.match((await app.inject(url)).json(), { profile: { isOwn: false } })
  t.match((await app.inject({ url, headers })).json(), { profile: { isOwn: true } })
  const feature = { method: 'POST', url: '/api/articles/engines/feature' } as const
  t.equal((await app.inject({ ...feature, headers })).statusCode, 403)

  await app.accounts.add({ email: 'eve@example.com', username: 'eve', role: 'editor', password: PASSWORD })
  const login = await post(app, '/api/users/login', { email: 'eve@example.com', password: PASSWORD })
  const editor = token(login.json<{ user: { token: string } }>().user.token)
  t.equal((await app.inject({ ...feature, headers: editor })).statusCode, 204)
})

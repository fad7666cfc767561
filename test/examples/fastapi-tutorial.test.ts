import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { build as buildExample, PASSWORD } from '../../examples/fastapi-tutorial.js'
import type { LatchkeyOptions } from '../../app.js'
import { createTestClock, testOptions, withTestKit } from '../../testing/index.js'
import type { TestClock, TestKit } from '../../testing/index.js'
import { bearer, cookieHeader, logIn, postForm } from '../helper.js'

async function build (t: Test, options: LatchkeyOptions = {}): Promise<{
  app: FastifyInstance & TestKit, clock: TestClock
}> {
  const clock = createTestClock()
  const app = withTestKit(await buildExample({ ...testOptions, now: clock, ...options }))
  t.teardown(() => app.close())
  return { app, clock }
}

function statusOf (app: FastifyInstance, url: string, headers: Record<string, string> = {}): Promise<number> {
  return app.inject({ url, headers }).then(response => response.statusCode)
}

t.test('generate a token: POST /token takes the form of OAuth2PasswordRequestForm', async t => {
  const { app } = await build(t)

  for (const [what, form] of [
    ['with grant_type', { grant_type: 'password' }],
    ['without grant_type, as FastAPI clients send it', {}],
    [
      'with the empty members that FastAPI clients send',
      { grant_type: 'password', scope: '', client_id: '', client_secret: '' }
    ]
  ] as const) {
    const response = await postForm(app, '/token', { username: 'johndoe', password: PASSWORD, ...form })
    t.equal(response.statusCode, 200, what)
    t.equal(response.headers['cache-control'], 'no-store', what)
    t.match(
      response.json(),
      {
        access_token: /^[\w-]+\.[\w-]+\.[\w-]+$/,
        token_type: 'bearer',
        expires_in: 1800,
        refresh_token: /^lkr_/,
        scope: 'items me'
      },
      what
    )
  }

  const wrong = await postForm(app, '/token', { username: 'johndoe', password: 'not the right password' })
  const unknown = await postForm(app, '/token', { username: 'nobody', password: PASSWORD })
  t.equal(wrong.statusCode, 400)
  t.equal(wrong.json().error, 'invalid_grant')
  t.equal(unknown.statusCode, wrong.statusCode)
  t.equal(unknown.body, wrong.body, 'an unknown name gets the answer of a wrong password')
})

t.test('verify: every failure is 401 with a challenge, and the handler does not run', async t => {
  const database = join(t.testdir(), 'auth.db')
  const { app } = await build(t, { database })
  const { app: otherIssuer } = await build(t, { database, issuer: 'https://other.example' })
  const { app: otherAudience } = await build(t, { database, audience: 'https://api.example' })
  const { app: stranger } = await build(t)
  const token = await app.createTestToken('johndoe')
  const [header = '', payload = '', signature = ''] = token.split('.')
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const decode = (text: string): Record<string, unknown> => JSON.parse(Buffer.from(text, 'base64url').toString())

  t.equal(await statusOf(app, '/protected-route', bearer(token)), 200)

  const table: Array<[what: string, token: string]> = [
    ['no token at all', ''],
    ['no JWT', 'secret'],
    ['another signature', `${header}.${payload}.${'A'.repeat(86)}`],
    ['no signature', `${header}.${payload}.`],
    ['another subject', `${header}.${encode({ ...decode(payload), sub: 'alice' })}.${signature}`],
    ['alg none', `${encode({ ...decode(header), alg: 'none' })}.${payload}.`],
    ['another alg', `${encode({ ...decode(header), alg: 'HS256' })}.${payload}.${signature}`],
    ['another typ', `${encode({ ...decode(header), typ: 'JWT' })}.${payload}.${signature}`],
    ['another issuer, signed by the same key', await otherIssuer.createTestToken('johndoe')],
    ['another audience, signed by the same key', await otherAudience.createTestToken('johndoe')],
    ['a key of somebody else', await stranger.createTestToken('johndoe')],
    ['a refresh token', (await logIn(app, 'johndoe', { password: PASSWORD })).refresh_token]
  ]
  for (const [what, bad] of table) {
    const response = await app.inject({ url: '/protected-route', headers: bearer(bad) })
    t.equal(response.statusCode, 401, what)
    t.match(response.headers['www-authenticate'], /^Bearer error="invalid_token", error_description="[^"]+"$/, what)
  }
})

t.test('GET /users/me and GET /protected-route: 401 without a token, the user with one', async t => {
  const { app } = await build(t)
  for (const url of ['/users/me', '/protected-route', '/users/me/items']) {
    const response = await app.inject(url)
    t.equal(response.statusCode, 401, url)
    t.equal(
      response.headers['www-authenticate'], 'Bearer',
      `${url}: RFC 6750 section 3.1 wants no error where nothing was sent`
    )
  }

  const me = await app.injectAs('johndoe', '/users/me')
  t.match(me.json(), { id: String, username: 'johndoe', scopes: ['items', 'me'] })
  t.equal((await app.injectAs('johndoe', '/protected-route')).json().user_id, me.json().id)
  t.equal((await app.injectAs('johndoe', '/users/me/items')).json()[0].owner, me.json().id)
})

t.test('expiry: an expired token is 401, and the answer says so', async t => {
  const { app, clock } = await build(t)
  const headers = bearer(await app.createTestToken('johndoe'))
  clock.advance('29m')
  t.equal(await statusOf(app, '/protected-route', headers), 200, 'after 29 minutes')
  clock.advance('1m')
  const response = await app.inject({ url: '/protected-route', headers })
  t.equal(response.statusCode, 401, 'after 30')
  t.match(response.headers['www-authenticate'], /error="invalid_token", error_description="[^"]*expired/)
  t.match(response.json().message, /expired/)
})

t.test('refresh: the refresh token outlives the access token and gives a new one', async t => {
  for (const [what, refresh] of [
    [
      'POST /refresh',
      (app: FastifyInstance, refresh_token: string) => app.inject({
        method: 'POST', url: '/refresh', payload: { refresh_token }
      })
    ],
    [
      'POST /token',
      (app: FastifyInstance, refresh_token: string) => postForm(
        app, '/token', { grant_type: 'refresh_token', refresh_token }
      )
    ]
  ] as const) {
    const { app, clock } = await build(t)
    const first = await logIn(app, 'johndoe', { password: PASSWORD })
    clock.advance('1d')
    t.equal(await statusOf(app, '/protected-route', bearer(first.access_token)), 401, what)

    const answer = await refresh(app, first.refresh_token)
    t.equal(answer.statusCode, 200, what)
    const second = answer.json()
    t.equal(await statusOf(app, '/protected-route', bearer(second.access_token)), 200, what)
    t.not(second.refresh_token, first.refresh_token, `${what}: rotation`)

    const retry = await refresh(app, first.refresh_token)
    t.equal(retry.json().refresh_token, second.refresh_token, `${what}: the same successor within the grace`)

    clock.advance('11s')
    t.not((await refresh(app, first.refresh_token)).statusCode, 200, `${what}: reuse after the grace`)
    t.not((await refresh(app, second.refresh_token)).statusCode, 200, `${what}: reuse ended the session`)
    t.equal(
      await statusOf(app, '/protected-route', bearer(second.access_token)), 401, `${what}: with its access tokens`
    )
  }
})

t.test('cookies: the protected routes work with them alone', async t => {
  const { app, clock } = await build(t)
  const login = await app.inject({ method: 'POST', url: '/login', payload: { username: 'alice', password: PASSWORD } })
  t.equal(login.statusCode, 200)
  t.notMatch(login.body, /token/, 'no token in the body')
  t.equal(login.cookies.length, 2)
  for (const cookie of login.cookies) {
    t.match(
      cookie, { name: /^__Host-/, httpOnly: true, secure: true, sameSite: 'Lax', path: '/' }
    )
  }

  const headers = { cookie: cookieHeader(login) }
  for (const url of ['/protected-route', '/users/me', '/admin/']) t.equal(await statusOf(app, url, headers), 200, url)

  clock.advance('30m')
  t.equal(await statusOf(app, '/protected-route', headers), 401, 'they expire as tokens do')
  const refreshed = await app.inject({ method: 'POST', url: '/refresh', headers })
  t.equal(refreshed.statusCode, 200)
  const renewed = { cookie: cookieHeader(refreshed) }
  t.equal(await statusOf(app, '/protected-route', renewed), 200)

  t.equal(
    (await app.inject({
      method: 'POST', url: '/logout', headers: { ...renewed, 'sec-fetch-site': 'cross-site' }
    })).statusCode,
    403,
    'not from another site'
  )
  t.equal((await app.inject({ method: 'POST', url: '/logout', headers: renewed })).statusCode, 204)
  t.equal(await statusOf(app, '/protected-route', renewed), 401)
})

t.test('revoke: the next call with that token is 401, also after a restart', async t => {
  const database = join(t.testdir(), 'auth.db')
  const { app } = await build(t, { database })
  const revoked = await logIn(app, 'johndoe', { password: PASSWORD })
  const ended = await logIn(app, 'johndoe', { password: PASSWORD })
  const kept = await logIn(app, 'johndoe', { password: PASSWORD })
  t.equal((await postForm(app, '/revoke', { token: revoked.access_token })).statusCode, 200)
  t.equal((await postForm(app, '/revoke', { token: ended.refresh_token })).statusCode, 200)

  async function check (app: FastifyInstance, when: string): Promise<void> {
    const response = await app.inject({ url: '/protected-route', headers: bearer(revoked.access_token) })
    t.equal(response.statusCode, 401, when)
    t.match(response.headers['www-authenticate'], /revoked/, when)
    t.equal(
      await statusOf(app, '/protected-route', bearer(ended.access_token)), 401,
      `${when}: a refresh token takes its access token along`
    )
    t.equal(await statusOf(app, '/protected-route', bearer(kept.access_token)), 200, `${when}: the others live`)
  }
  await check(app, 'at once')
  await app.close()
  const { app: restarted } = await build(t, { database })
  await check(restarted, 'after a restart')
})

t.test('scopes: 401 without a token, 403 without the scope, and never more than granted', async t => {
  const { app } = await build(t)
  t.equal(await statusOf(app, '/admin/'), 401)

  const response = await app.injectAs('johndoe', '/admin/')
  t.equal(response.statusCode, 403)
  t.match(response.headers['www-authenticate'], /^Bearer error="insufficient_scope", .*scope="admin"$/)
  t.equal((await app.injectAs('alice', '/admin/')).statusCode, 200)
  t.equal((await app.injectAs({ scopes: ['admin'] }, '/admin/')).statusCode, 200)

  const fewer = await logIn(app, 'alice', { password: PASSWORD, scope: 'me' })
  t.equal(fewer.scope, 'me')
  t.equal(await statusOf(app, '/admin/', bearer(fewer.access_token)), 403, 'alice herself, who asked for less')
  t.equal(await statusOf(app, '/users/me/items', bearer(fewer.access_token)), 403, 'one of two scopes is not enough')

  for (const scope of ['admin', 'me admin', 'nonsense']) {
    const more = await postForm(app, '/token', { username: 'johndoe', password: PASSWORD, scope })
    t.equal(more.statusCode, 400, scope)
    t.equal(more.json().error, 'invalid_scope', scope)
  }
})

t.test('a second start finds the users of the first', async t => {
  const database = join(t.testdir(), 'auth.db')
  const { app } = await build(t, { database })
  await app.close()
  const { app: restarted } = await build(t, { database })
  t.equal((await restarted.latchkey.users.list()).length, 2)
})

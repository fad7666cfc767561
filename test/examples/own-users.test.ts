import t from 'tap'
import type { Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { build as buildExample, createAccounts } from '../../examples/own-users.js'
import type { Accounts } from '../../examples/own-users.js'
import type { LatchkeyOptions, User } from '../../app.js'
import { createTestClock, testOptions, withTestKit } from '../../testing/index.js'
import type { TestClock, TestKit } from '../../testing/index.js'
import { bearer, cookieHeader, logIn, PASSWORD, postForm } from '../helper.js'

interface Bed {
  app: FastifyInstance & TestKit
  clock: TestClock
  accounts: Accounts
  ada: User
  bob: User
}

async function build (t: Test, options: LatchkeyOptions = {}): Promise<Bed> {
  const clock = createTestClock()
  const accounts = createAccounts()
  const ada = await accounts.add({
    username: 'ada', password: PASSWORD, tenant: 'analytical', scopes: ['people:write', 'users:read']
  })
  const bob = await accounts.add({ username: 'bob', password: PASSWORD, tenant: 'burgers', scopes: [] })
  const app = withTestKit(await buildExample(accounts, { ...testOptions, now: clock, ...options }))
  t.teardown(() => app.close())
  return { app, clock, accounts, ada, bob }
}

const refresh = (app: FastifyInstance, refresh_token: string) => app.inject({
  method: 'POST', url: '/refresh', payload: { refresh_token }
})
const get = (app: FastifyInstance, url: string, token: string) => app.inject({ url, headers: bearer(token) })

t.test('the accounts of the app log in by form and by cookie', async t => {
  const { app, ada } = await build(t)
  const tokens = await logIn(app, 'ada')
  t.equal(tokens.scope, 'people:write users:read')
  t.same(
    (await get(app, '/users/me', tokens.access_token)).json(),
    { id: ada.id, username: 'ada', scopes: ['people:write', 'users:read'], roles: [] }, 'the profile, and no hash'
  )

  const login = await app.inject({ method: 'POST', url: '/login', payload: { username: 'ada', password: PASSWORD } })
  t.same(login.json().user, { id: ada.id, username: 'ada', scopes: ['people:write', 'users:read'], roles: [] })
  t.equal((await app.inject({ url: '/documents', headers: { cookie: cookieHeader(login) } })).statusCode, 200)

  const wrong = await postForm(app, '/token', { username: 'ada', password: 'wrong' })
  const unknown = await postForm(app, '/token', { username: 'nobody', password: 'wrong' })
  t.equal(wrong.statusCode, 400)
  t.equal(unknown.body, wrong.body)
})

t.test('a login gets what the app grants, and never more', async t => {
  const { app, ada } = await build(t)
  const fewer = await logIn(app, 'ada', { scope: 'users:read' })
  t.equal(
    (await app.inject({ method: 'DELETE', url: `/people/${ada.id}`, headers: bearer(fewer.access_token) })).statusCode,
    403
  )
  const more = await postForm(app, '/token', { username: 'bob', password: PASSWORD, scope: 'people:write' })
  t.equal(more.json().error, 'invalid_scope')
  t.equal((await app.inject({ method: 'DELETE', url: `/people/${ada.id}` })).statusCode, 401)
})

t.test('refresh rotates, a retry gets the same successor, reuse ends that session only', async t => {
  const { app, clock } = await build(t)
  const other = await logIn(app, 'ada')
  const first = await logIn(app, 'ada')
  const second = (await refresh(app, first.refresh_token)).json()
  t.equal((await refresh(app, first.refresh_token)).json().refresh_token, second.refresh_token)
  t.equal((await get(app, '/documents', second.access_token)).statusCode, 200)
  clock.advance('10s')
  t.equal((await refresh(app, first.refresh_token)).statusCode, 401, 'reuse after the grace')
  t.equal((await refresh(app, second.refresh_token)).statusCode, 401)
  t.equal((await get(app, '/documents', second.access_token)).statusCode, 401)
  t.equal((await refresh(app, other.refresh_token)).statusCode, 200, 'the other session lives')
})

t.test('revoke and logout: this, others, all', async t => {
  const { app, ada, bob: other } = await build(t)
  const logOut = (token: string, target: string) => app.inject({
    method: 'POST', url: '/logout', headers: bearer(token), payload: { target }
  })
  const [a, b, c, d] = [
    await logIn(app, 'ada'), await logIn(app, 'ada'), await logIn(app, 'ada'), await logIn(app, 'ada')
  ]
  const alive = async (): Promise<number[]> => await Promise.all([a, b, c, d].map(async (
    { access_token: token }
  ) => (await get(app, '/documents', token)).statusCode))

  await postForm(app, '/revoke', { token: a.access_token })
  t.same(await alive(), [401, 200, 200, 200], 'the token')
  t.equal((await refresh(app, a.refresh_token)).statusCode, 200, 'and not its session')
  t.equal((await logOut(b.access_token, 'this')).statusCode, 204)
  t.same(await alive(), [401, 401, 200, 200], 'this')
  t.equal((await logOut(c.access_token, 'others')).statusCode, 204)
  t.same(await alive(), [401, 401, 200, 401], 'others')
  const bob = await app.createTestToken(other)
  t.equal((await logOut(c.access_token, 'all')).statusCode, 204)
  t.same(await alive(), [401, 401, 401, 401], 'all')
  t.equal((await refresh(app, c.refresh_token)).statusCode, 401)
  t.equal((await get(app, '/documents', bob)).statusCode, 200, 'of that user only')
  t.equal((await app.injectAs(ada, '/documents')).statusCode, 200, 'a login in the same millisecond lives')
})

t.test('an account that is gone: find() returns null', async t => {
  const { app, accounts, bob } = await build(t)
  const tokens = await logIn(app, 'bob')
  accounts.remove(bob.id)
  const me = await get(app, '/users/me', tokens.access_token)
  t.equal(me.statusCode, 401, 'at /users/me')
  t.match(me.headers['www-authenticate'], /^Bearer/)
  t.equal((await refresh(app, tokens.refresh_token)).statusCode, 401, 'at refresh')
  t.equal((await get(app, '/documents', tokens.access_token)).statusCode, 401, 'which has ended the session')
  t.same(await app.latchkey.sessions.list(bob.id), [])
})

t.test('the app closes an account: its tokens die at once', async t => {
  const { app, ada, bob } = await build(t)
  const tokens = await logIn(app, 'bob')
  const response = await app.injectAs(ada, { method: 'DELETE', url: `/people/${bob.id}` })
  t.equal(response.statusCode, 204)
  t.equal((await get(app, '/documents', tokens.access_token)).statusCode, 401)
  t.equal((await postForm(app, '/token', { username: 'bob', password: PASSWORD })).statusCode, 400)
  t.equal((await app.latchkey.sessions.list(ada.id)).length, 1, 'that of the request: her own go on')
})

t.test('scopes taken away shrink the next token, scopes given do not widen a session', async t => {
  const { app, accounts, ada, bob } = await build(t)
  const tokens = await logIn(app, 'ada')
  accounts.setScopes(ada.id, ['users:read'])
  const next = (await refresh(app, tokens.refresh_token)).json()
  t.equal(next.scope, 'users:read')
  t.equal(
    (await app.inject({ method: 'DELETE', url: `/people/${bob.id}`, headers: bearer(next.access_token) })).statusCode,
    403
  )

  const bobs = await logIn(app, 'bob')
  accounts.setScopes(bob.id, ['people:write'])
  t.equal((await refresh(app, bobs.refresh_token)).json().scope, '', 'the session has what its login got')
  t.equal((await logIn(app, 'bob')).scope, 'people:write', 'a new login has more')
})

t.test('the claims of the app are in the token, at login and at refresh', async t => {
  const { app } = await build(t)
  const tokens = await logIn(app, 'bob')
  t.equal((await get(app, '/documents', tokens.access_token)).json().tenant, 'burgers')
  const next = (await refresh(app, tokens.refresh_token)).json()
  t.equal((await get(app, '/documents', next.access_token)).json().tenant, 'burgers')
})

t.test('claims never replace the reserved ones', async t => {
  const reserved = {
    iss: 'x',
    sub: 'root',
    aud: 'x',
    client_id: 'x',
    exp: 9_999_999_999,
    iat: 1,
    nbf: 9_999_999_999,
    jti: 'x',
    sid: 'x',
    scope: 'people:write',
    status: 'x'
  }
  const { app, bob } = await build(t, { claims: async () => ({ ...reserved, tenant: 'evil' }) })
  const { access_token: token, expires_in: expiresIn } = await logIn(app, 'bob')
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
  t.equal(claims.tenant, 'evil')
  t.equal(claims.sub, bob.id)
  t.equal(claims.scope, '')
  t.equal(claims.exp, claims.iat + expiresIn)
  t.notOk('nbf' in claims)
  for (const claim of ['iss', 'aud', 'client_id', 'jti', 'sid', 'iat']) {
    t.not(
      claims[claim], reserved[claim as keyof typeof reserved], claim
    )
  }
  t.equal((await get(app, '/documents', token)).statusCode, 200)
})

t.test('a claims function that throws is a 500 that tells nothing, and hands out no token', async t => {
  const { app } = await build(t, { claims: () => { throw new Error('the tenants are down') } })
  const response = await postForm(app, '/token', { username: 'bob', password: PASSWORD })
  t.equal(response.statusCode, 500)
  t.notMatch(response.body, /tenants|token/)
})

t.test('accounts that throw are a 500 that tells nothing', async t => {
  const { app } = await build(
    t, { users: { authenticate: async () => { throw new Error('ldap://secret is down') }, find: async () => null } }
  )
  for (const url of ['/token', '/login']) {
    const response = await app.inject({ method: 'POST', url, payload: { username: 'bob', password: PASSWORD } })
    t.equal(response.statusCode, 500, url)
    t.notMatch(response.body, /ldap/, url)
  }
})

t.test('passwords and registration are the business of the app', async t => {
  const { app, ada } = await build(t, { registration: true })
  const password = await app.injectAs(
    ada,
    {
      method: 'PUT',
      url: '/users/me/password',
      payload: { current_password: PASSWORD, new_password: 'another fine walrus lantern' }
    }
  )
  t.equal(password.statusCode, 404)
  t.equal(
    (await app.inject({
      method: 'POST', url: '/register', payload: { username: 'eve', password: PASSWORD }
    })).statusCode,
    404
  )
  t.throws(() => app.latchkey.users, /option users/)
})

import t from 'tap'
import type { Login } from '../../app.js'
import { bearer, cookieHeader } from '../helper.js'
import { claimsOf } from '../routes/support.js'
import { ALICE, ANOTHER_SITE, assertError, buildOwn } from './host-logins-support.js'

// An app refreshes, reissues and logs out in routes of its own.

t.test('the cookies of another site refresh, reissue and log out nothing', async t => {
  const { app, call } = await buildOwn(t)
  const headers = { cookie: cookieHeader(await call('login', ALICE)) }
  for (const name of ['refresh', 'reissue', 'logout']) {
    const response = await call(name, undefined, { headers: { ...headers, ...ANOTHER_SITE } })
    assertError(t, response, 403, 'cross_site_request', name)
  }
  t.equal((await app.inject({ url: '/me', headers })).statusCode, 200)
})

t.test('refresh: the token of the cookie or the one that is given', async t => {
  const { app, call } = await buildOwn(t)
  const first = await call('login', ALICE)
  const headers = { cookie: cookieHeader(first) }
  const second = await call('refresh', undefined, { headers })
  t.equal(second.cookies.length, 2)
  t.strictSame(second.json().user, first.json().user)
  t.not(second.json().refreshToken, first.json().refreshToken)
  const third = await call('refresh', { refreshToken: second.json().refreshToken, scope: 'admin' })
  t.equal(third.json().scope, 'admin')
  assertError(t, await call('refresh', { refreshToken: third.json().refreshToken, scope: 'items:write' }), 400, 'invalid_scope')
  assertError(t, await call('refresh'), 401, 'unauthenticated')
  assertError(t, await call('refresh', { refreshToken: 'lkr_x' }), 401, 'invalid_refresh_token')
  assertError(t, await call('refresh', undefined, { headers }), 401, 'session_stolen', 'reuse')
  t.equal((await app.inject({ url: '/me', headers: bearer(third.json().accessToken) })).statusCode, 401)
})

t.test('reissue: current claims, the same session, no refresh token and no longer life', async t => {
  let name = 'before'
  const { app, call, clock, events } = await buildOwn(t, { claims: () => ({ name }) })
  const login = await call('login', ALICE)
  const headers = { cookie: cookieHeader(login) }
  name = 'after'
  clock.move(300_000)
  const response = await call('reissue', undefined, { headers })
  const { accessToken, ...reissued } = response.json<Login>()
  t.strictSame(reissued, { user: login.json().user, expiresIn: 600, scope: 'admin items:read' })
  const [old, fresh] = [claimsOf(login.json().accessToken), claimsOf(accessToken)]
  t.match([old.name, fresh.name], ['before', 'after'])
  t.strictSame([fresh.sid, fresh.exp, fresh.sub], [old.sid, old.exp, old.sub], 'a stolen token cannot renew itself')
  t.match(response.headers['set-cookie'], /^__Host-access_token=.*; Max-Age=600;/)
  t.equal(response.cookies.length, 1)
  t.equal(events.at(-1)?.type, 'token_reissued')
  t.equal((await app.inject({ url: '/me', headers: bearer(accessToken) })).statusCode, 200)
  t.equal((await call('refresh', undefined, { headers })).statusCode, 200, 'the refresh token goes on')
  clock.move(600_000)
  assertError(t, await call('reissue', undefined, { headers: bearer(accessToken) }), 401, 'token_expired')
  assertError(t, await call('reissue'), 401, 'unauthenticated')
})

t.test('reissue: the scopes never grow, and ended sessions stay ended', async t => {
  const { app, call } = await buildOwn(t)
  const { users, sessions, tokens } = app.latchkey
  const alice = await users.findByName('alice')
  const id = alice?.id ?? ''
  const login = (await call('login', { ...ALICE, scope: 'items:read' })).json<Login>()
  await users.setScopes(id, ['admin', 'items:read', 'items:write'])
  t.equal((await call('reissue', undefined, { headers: bearer(login.accessToken) })).json().scope, 'items:read')

  const full = (await call('login', { ...ALICE, scope: 'admin items:read' })).json<Login>()
  const narrow = (await call('refresh', { refreshToken: full.refreshToken, scope: 'items:read' })).json<Login>()
  const kept = await call('reissue', undefined, { headers: bearer(narrow.accessToken) })
  t.equal(kept.json().scope, 'items:read', 'a narrowed token stays narrow')
  await users.setScopes(id, ['admin'])
  assertError(t, await call('reissue', undefined, { headers: bearer(full.accessToken) }), 401, 'token_revoked', 'fewer scopes')

  const ways: Record<string, (login: Login) => Promise<unknown>> = {
    'the session ended': async ({ accessToken }) => await sessions.end(id, String(claimsOf(accessToken).sid)),
    'all sessions ended': async () => await sessions.endAll(id),
    'the token was revoked': async ({ accessToken }) => {
      const claims = tokens.decode(accessToken)
      if (claims !== undefined) await sessions.endToken(claims)
    },
    'the user is disabled': async () => await users.disable(id)
  }
  for (const [way, end] of Object.entries(ways)) {
    const live = (await call('login', ALICE)).json<Login>()
    await end(live)
    assertError(t, await call('reissue', undefined, { headers: bearer(live.accessToken) }), 401, 'token_revoked', way)
  }
})

t.test('reissue: a session that ends while the host is asked gets no token', async t => {
  let during = async (): Promise<void> => {}
  const { app, call } = await buildOwn(t, { async claims () { await during(); return {} } })
  const { sessions, tokens } = app.latchkey
  const id = (await app.latchkey.users.findByName('alice'))?.id ?? ''
  for (const end of [
    async (login: Login) => { await sessions.end(id, String(claimsOf(login.accessToken).sid)) },
    async (login: Login) => {
      const claims = tokens.decode(login.accessToken)
      if (claims !== undefined) await sessions.endToken(claims)
    }
  ]) {
    const login = (await call('login', ALICE)).json<Login>()
    during = async () => await end(login)
    assertError(t, await call('reissue', undefined, { headers: bearer(login.accessToken) }), 401, 'token_revoked')
    during = async () => {}
  }
})

t.test("reissue: machine clients' own tokens have no session", async t => {
  const { app, call } = await buildOwn(t)
  const { client, secret } = await app.latchkey.clients.add({ name: 'billing', scopes: ['items:read'] })
  const { access_token: token } = (await app.inject({
    method: 'POST', url: '/token', payload: { grant_type: 'client_credentials', client_id: client.id, client_secret: secret }
  })).json()
  assertError(t, await call('reissue', undefined, { headers: bearer(token) }), 403, 'user_required')
})

t.test('logOut ends this session, the others or all, and clearCookies removes what POST /logout removes', async t => {
  const { app, call } = await buildOwn(t)
  const open = async (): Promise<{ cookie: string }> => ({ cookie: cookieHeader(await call('login', ALICE)) })
  const isLive = async (headers: { cookie: string }): Promise<boolean> =>
    (await app.inject({ url: '/me', headers })).statusCode === 200
  const [one, two, three] = [await open(), await open(), await open()]
  const response = await call('logout', undefined, { headers: one })
  t.equal(response.statusCode, 200)
  t.strictSame([await isLive(one), await isLive(two)], [false, true])
  const theirs = await app.inject({ method: 'POST', url: '/logout', headers: one })
  t.strictSame(response.headers['set-cookie'], theirs.headers['set-cookie'])
  await call('logout', { target: 'others' }, { headers: two })
  t.strictSame([await isLive(two), await isLive(three)], [true, false])
  await call('logout', { target: 'all' }, { headers: two })
  t.strictSame(await isLive(two), false)
  t.equal((await call('logout')).statusCode, 200, 'without a session it does nothing')
})

t.test("an app's own users log in by password and by id, and reissue ends a session whose user is gone", async t => {
  let isThere = true
  const user = { id: 'u1', username: 'ada', scopes: ['items:read'] }
  const { app, call } = await buildOwn(t, {
    users: {
      authenticate: async (username, password) => username === 'ada' && password === 'x' ? user : null,
      find: async id => isThere && id === 'u1' ? user : null
    },
    claims: ({ username }) => ({ name: username })
  })
  const login = (await call('login', { username: 'ada', password: 'x' })).json<Login>()
  t.strictSame(login.user, user)
  t.equal((await call('as', { user: 'u1' })).statusCode, 200)
  const { accessToken } = (await call('reissue', undefined, { headers: bearer(login.accessToken) })).json<Login>()
  t.equal(claimsOf(accessToken).name, 'ada')
  isThere = false
  assertError(t, await call('as', { user: 'u1' }), 401, 'invalid_credentials')
  assertError(t, await call('reissue', undefined, { headers: bearer(login.accessToken) }), 401, 'token_revoked')
  t.equal((await app.inject({ url: '/me', headers: bearer(login.accessToken) })).statusCode, 401, 'the session ended')
})

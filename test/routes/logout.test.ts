import t from 'tap'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { bearer, build, logIn, logInWithCookies, PASSWORD } from '../helper.js'
import { assertProblem, databaseFile, readSessions, SECRET } from './support.js'

async function statusOf (app: FastifyInstance, headers: Record<string, string>): Promise<number> {
  return (await app.inject({ url: '/protected-route', headers })).statusCode
}

async function logOut (
  app: FastifyInstance, headers: Record<string, string>, target?: string
): Promise<LightMyRequestResponse> {
  return await app.inject({
    method: 'POST', url: '/logout', headers, ...(target === undefined ? {} : { payload: { target } })
  })
}

t.test('ASVS 7.4.1, NIST 5.1: logging out ends this session and clears the cookies', async t => {
  const { app } = await build(t)
  const [headers, elsewhere, bob] = [
    await logInWithCookies(app), await logInWithCookies(app), await logInWithCookies(app, 'bob')
  ]
  const response = await logOut(app, headers)
  t.equal(response.statusCode, 204)
  t.equal(response.body, '')
  t.equal(await statusOf(app, headers), 401)
  assertProblem(t, await app.inject({ method: 'POST', url: '/refresh', headers }), 401, 'invalid_refresh_token')
  t.equal(await statusOf(app, elsewhere), 200)
  t.equal(await statusOf(app, bob), 200)
})

t.test('the cookies are cleared with the attributes that they were set with: a browser keeps them otherwise', async t => {
  for (const secure of [true, false]) {
    const { app } = await build(t, { cookies: { secure } })
    const set = await app.inject({ method: 'POST', url: '/login', payload: { username: 'alice', password: PASSWORD } })
    const cleared = await logOut(app, { cookie: set.cookies.map(({ name, value }) => `${name}=${value}`).join('; ') })
    const attributesOf = (header: unknown): string[][] => [header].flat().map(
      cookie => String(cookie).replace(/=[^;]*/, '').replace(/; (Max-Age|Expires)=[^;]*/g, '').split('; ').sort()
    )
    t.strictSame(attributesOf(cleared.headers['set-cookie']), attributesOf(set.headers['set-cookie']))
    for (const cookie of cleared.cookies) t.match(cookie, { value: '', maxAge: 0, expires: new Date(0) })
  }
})

t.test('others ends all sessions of the user but this one, and keeps its cookies', async t => {
  const { app } = await build(t)
  const [headers, second, bob] = [
    await logInWithCookies(app), await logInWithCookies(app), await logInWithCookies(app, 'bob')
  ]
  const third = await logIn(app)
  const response = await logOut(app, headers, 'others')
  t.equal(response.statusCode, 204)
  t.notOk(response.headers['set-cookie'])
  t.equal(await statusOf(app, headers), 200)
  t.equal(await statusOf(app, second), 401)
  t.equal(await statusOf(app, bearer(third.access_token)), 401)
  t.equal(
    (await app.inject({ method: 'POST', url: '/refresh', payload: { refresh_token: third.refresh_token } })).statusCode,
    401
  )
  t.equal(await statusOf(app, bob), 200)
})

t.test('all ends every session of the user and nothing of anybody else', async t => {
  const { app } = await build(t)
  const [headers, second, bob] = [
    await logInWithCookies(app), await logInWithCookies(app), await logInWithCookies(app, 'bob')
  ]
  const response = await logOut(app, headers, 'all')
  t.equal(response.statusCode, 204)
  t.equal(response.cookies.length, 2)
  for (const dead of [headers, second]) t.equal(await statusOf(app, dead), 401)
  t.equal(await statusOf(app, bob), 200)
  t.equal(await statusOf(app, await logInWithCookies(app)), 200, 'the next login lives, also in the same millisecond')
})

t.test('a client with a token in the header logs out too', async t => {
  const { app } = await build(t)
  const tokens = await logIn(app)
  t.equal((await logOut(app, bearer(tokens.access_token))).statusCode, 204)
  t.equal(await statusOf(app, bearer(tokens.access_token)), 401)
  t.equal(
    (await app.inject({
      method: 'POST', url: '/refresh', payload: { refresh_token: tokens.refresh_token }
    })).statusCode,
    401
  )
})

t.test('with an expired access token the refresh cookie says which session', async t => {
  for (const target of ['this', 'all']) {
    const { app, clock } = await build(t)
    const [headers, second] = [await logInWithCookies(app), await logIn(app)]
    clock.move(16 * 60_000)
    t.equal(await statusOf(app, headers), 401)
    const response = await logOut(app, headers, target)
    t.equal(response.statusCode, 204)
    t.equal(response.cookies.length, 2)
    assertProblem(
      t, await app.inject({ method: 'POST', url: '/refresh', headers }), 401, 'invalid_refresh_token', target
    )
    const other = await app.inject({
      method: 'POST', url: '/refresh', payload: { refresh_token: second.refresh_token }
    })
    t.equal(other.statusCode, target === 'all' ? 401 : 200)
  }
})

t.test('a refresh cookie that another tab has rotated away still logs out', async t => {
  const { app, clock } = await build(t)
  const headers = await logInWithCookies(app)
  const winner = await app.inject({ method: 'POST', url: '/refresh', headers })
  clock.move(16 * 60_000)
  t.equal((await logOut(app, headers)).statusCode, 204)
  const cookie = winner.cookies.map(({ name, value }) => `${name}=${value}`).join('; ')
  t.equal((await app.inject({ method: 'POST', url: '/refresh', headers: { cookie } })).statusCode, 401)
})

t.test('without anything, with garbage and twice it is the same 204', async t => {
  const { app } = await build(t)
  const headers = await logInWithCookies(app)
  const nothing: Array<Record<string, string>> = [
    {}, headers, headers, bearer('garbage'), { cookie: '__Host-refresh_token=garbage' },
    { cookie: '__Host-access_token=garbage; __Host-refresh_token=lkr_x' }, { authorization: 'Basic Og==' }
  ]
  for (const attempt of nothing) {
    for (const target of [undefined, 'this', 'others', 'all']) {
      const response = await logOut(app, attempt, target)
      t.equal(response.statusCode, 204, `${JSON.stringify(attempt).slice(0, 40)} ${target}`)
      t.equal(response.cookies.length, target === 'others' ? 0 : 2)
    }
  }
})

t.test('a header that is no good does not borrow the session of the cookie', async t => {
  const { app } = await build(t)
  const { cookie } = await logInWithCookies(app)
  const refreshCookie = cookie.split('; ').find(pair => pair.startsWith('__Host-refresh_token')) ?? ''
  for (const cookies of [refreshCookie, cookie]) {
    const response = await logOut(app, { cookie: cookies, authorization: 'Bearer garbage' }, 'all')
    t.equal(response.cookies.length, 0, 'the browser keeps the cookies of a session that lives')
  }
  t.equal(await statusOf(app, { cookie }), 200)
  t.equal((await logOut(app, { cookie, authorization: 'Basic Og==' })).cookies.length, 2, 'a foreign scheme')
  t.equal(await statusOf(app, { cookie }), 401)
})

t.test('of a header and a cookie that differ, the header counts, and the other session keeps its cookies', async t => {
  const { app } = await build(t)
  const headers = await logInWithCookies(app)
  const tokens = await logIn(app, 'bob')
  const response = await logOut(app, { ...headers, ...bearer(tokens.access_token) }, 'all')
  t.equal(response.statusCode, 204)
  t.equal(response.cookies.length, 0)
  t.equal(await statusOf(app, headers), 200)
  t.equal(await statusOf(app, bearer(tokens.access_token)), 401)
  const own = /__Host-access_token=([^;]+)/.exec(headers.cookie)?.[1] ?? ''
  t.equal((await logOut(app, { ...headers, ...bearer(own) })).cookies.length, 2, 'the same token in both')
  t.equal(await statusOf(app, headers), 401)
})

t.test('another site cannot log its visitor out', async t => {
  const { app } = await build(t)
  const headers = await logInWithCookies(app)
  for (const from of [
    { 'sec-fetch-site': 'cross-site' }, { origin: 'https://evil.example' },
    { 'sec-fetch-site': 'same-site', origin: 'http://localhost:80' }
  ]) {
    const response = await logOut(app, { ...headers, ...from } as Record<string, string>, 'all')
    assertProblem(t, response, 403, 'cross_site_request')
    t.notOk(response.headers['set-cookie'])
  }
  t.equal(await statusOf(app, headers), 200)
})

t.test('a page of another origin with its token in the header may log out: no browser adds that by itself', async t => {
  const { app } = await build(t)
  const tokens = await logIn(app)
  const response = await logOut(
    app, { ...bearer(tokens.access_token), 'sec-fetch-site': 'cross-site', origin: 'https://spa.example' }
  )
  t.equal(response.statusCode, 204)
  t.equal(await statusOf(app, bearer(tokens.access_token)), 401)
})

t.test('a target that is none is refused in words that name it', async t => {
  const { app } = await build(t)
  const headers = await logInWithCookies(app)
  for (const payload of [
    { target: 'everything' }, { target: null }, { target: 1 }, { target: ['all'] }, { who: 'alice' }, [], 'all', 1
  ]) {
    const response = await app.inject({
      method: 'POST',
      url: '/logout',
      headers: { ...headers, 'content-type': 'application/json' },
      payload: JSON.stringify(payload)
    })
    assertProblem(t, response, 400, 'invalid_request', JSON.stringify(payload))
  }
  const response = await logOut(app, headers, 'everything')
  t.match(response.json().detail, /target/, 'and not: the body must be null')
  t.equal(await statusOf(app, headers), 200)
})

t.test('the same user may log out of all in twenty requests at once', async t => {
  const file = databaseFile(t)
  const { app } = await build(t, { database: file, secret: SECRET })
  const all = await Promise.all(Array.from({ length: 20 }, () => logIn(app)))
  const answers = await Promise.all(all.map(tokens => logOut(app, bearer(tokens.access_token), 'all')))
  t.strictSame([...new Set(answers.map(({ statusCode }) => statusCode))], [204])
  t.ok(readSessions(file).every(session => session.ended_at !== null))
  for (const tokens of all) t.equal(await statusOf(app, bearer(tokens.access_token)), 401)
})

t.test('with a refresh cookie that has expired, it ends the access token of its session that has not, and no other session', async t => {
  const { app, clock } = await build(t, { accessTokenTtl: '3d', refreshIdleTtl: '1h' })
  const old = await logIn(app)
  clock.move(60 * 60 * 1_000)
  const other = await logIn(app)
  const statuses = async (): Promise<number[]> => await Promise.all([old, other].map(async (
    { access_token: token }
  ) => (await app.inject({ url: '/protected-route', headers: bearer(token) })).statusCode))
  const logOut = async (target: string): Promise<void> => {
    t.equal(
      (await app.inject({
        method: 'POST',
        url: '/logout',
        headers: { cookie: `__Host-refresh_token=${old.refresh_token}` },
        payload: { target }
      })).statusCode,
      204
    )
  }
  await logOut('others')
  t.same(await statuses(), [200, 200], 'it speaks for no other session')
  await logOut('all')
  t.same(await statuses(), [401, 200])
})

import t from 'tap'
import { bearer, build, cookieHeader, logInWithCookies, PASSWORD } from '../helper.js'
import { assertProblem, claimsOf, visible } from './support.js'

t.test('ASVS 3.3.4: a browser gets its user and two cookies, and no token in the body', async t => {
  const { app } = await build(t)
  const response = await app.inject({
    method: 'POST', url: '/login', payload: { username: 'alice', password: PASSWORD }
  })
  t.equal(response.statusCode, 200)
  t.equal(response.headers['cache-control'], 'no-store')
  t.equal(response.headers.pragma, 'no-cache')
  const body = response.json()
  t.strictSame(Object.keys(body).sort(), ['expires_in', 'scope', 'user'])
  t.strictSame(Object.keys(body.user).sort(), ['id', 'roles', 'scopes', 'username'])
  t.match(
    body, { user: { username: 'alice', scopes: ['admin', 'items:read'] }, scope: 'admin items:read', expires_in: 900 }
  )
  t.equal(response.cookies.length, 2)
  for (const { value } of response.cookies) {
    t.notOk(
      response.body.includes(value), 'what is in a cookie is not in the body'
    )
  }

  const cookie = cookieHeader(response)
  t.equal(
    (await app.inject({ url: '/protected-route', headers: { cookie } })).statusCode, 200,
    'the protected route works with the cookies alone'
  )
  t.equal((await app.inject({ url: '/admin/', headers: { cookie } })).statusCode, 200)
})

t.test('a login asks for fewer scopes, and never gets more', async t => {
  const { app } = await build(t)
  const fewer = await app.inject({
    method: 'POST', url: '/login', payload: { username: 'alice', password: PASSWORD, scope: 'items:read' }
  })
  t.equal(fewer.json().scope, 'items:read')
  t.equal((await app.inject({ url: '/admin/', headers: { cookie: cookieHeader(fewer) } })).statusCode, 403)
  for (const scope of ['items:write', 'nonsense', 'users:write']) {
    const response = await app.inject({
      method: 'POST', url: '/login', payload: { username: 'alice', password: PASSWORD, scope }
    })
    assertProblem(t, response, 400, 'invalid_scope', scope)
    t.notOk(response.headers['set-cookie'])
  }
})

t.test('ASVS 6.3.8: unknown user, wrong password and disabled user get the same answer, and no cookie', async t => {
  const { app } = await build(t)
  const carol = await app.latchkey.users.add({ username: 'carol', password: PASSWORD })
  await app.latchkey.users.disable(carol.id)
  const answers = []
  for (const [username, password] of [
    ['nobody', PASSWORD], ['alice', 'wrong'], ['carol', PASSWORD], ['carol', 'wrong'], ["' or 1=1 --", 'x']
  ]) {
    const response = await app.inject({ method: 'POST', url: '/login', payload: { username, password } })
    assertProblem(t, response, 401, 'invalid_credentials', String(username))
    t.notOk(response.headers['set-cookie'])
    t.match(response.headers['www-authenticate'], /^Bearer\b/, 'a 401 has a challenge: RFC 9110 section 15.5.2')
    answers.push(visible(response))
  }
  for (const answer of answers) t.strictSame(answer, answers[0])
})

t.test('ASVS 6.3.8: the time of the answer does not tell an unknown user from a wrong password', async t => {
  const { app } = await build(t, { bcryptCost: 9 })
  // The shortest time of each, because noise only adds. On a busy machine it takes more rounds to find it.
  const shortest = { alice: Infinity, nobody: Infinity }
  const isAlike = (): boolean => shortest.nobody > shortest.alice / 2 && shortest.nobody < shortest.alice * 2
  for (let round = 0; round < 5 || (round < 50 && !isAlike()); round++) {
    for (const username of ['alice', 'nobody'] as const) {
      const start = performance.now()
      await app.inject({ method: 'POST', url: '/login', payload: { username, password: 'wrong' } })
      shortest[username] = Math.min(shortest[username], performance.now() - start)
    }
  }
  t.ok(isAlike(), `${shortest.alice.toFixed(1)} ms and ${shortest.nobody.toFixed(1)} ms`)
})

t.test('ASVS 7.2.4: whoever logs in anew leaves the session that this browser had, and no other', async t => {
  const { app } = await build(t)
  const elsewhere = await logInWithCookies(app)
  const before = await logInWithCookies(app)
  const response = await app.inject({
    method: 'POST', url: '/login', headers: before, payload: { username: 'bob', password: PASSWORD }
  })
  t.equal(response.statusCode, 200)
  t.equal((await app.inject({ url: '/users/me', headers: before })).statusCode, 401, 'the session before is over')
  t.equal(
    (await app.inject({ url: '/users/me', headers: elsewhere })).statusCode, 200, 'the one on another device is not'
  )
  t.equal((await app.inject({ url: '/users/me', headers: { cookie: cookieHeader(response) } })).json().username, 'bob')
})

t.test('a login that fails leaves the session that this browser had', async t => {
  const { app } = await build(t)
  const before = await logInWithCookies(app)
  await app.inject({
    method: 'POST', url: '/login', headers: before, payload: { username: 'alice', password: 'wrong' }
  })
  await app.inject({
    method: 'POST',
    url: '/login',
    headers: before,
    payload: { username: 'alice', password: PASSWORD, scope: 'nonsense' }
  })
  t.equal((await app.inject({ url: '/users/me', headers: before })).statusCode, 200)
})

t.test('a stale or foreign cookie does not hinder a login', async t => {
  const { app } = await build(t)
  for (const cookie of [
    '__Host-refresh_token=garbage; __Host-access_token=garbage', '__Host-refresh_token=lkr_' + 'A'.repeat(72),
    '%%%;;;=', '__proto__=x', '__Host-refresh_token=%ff'
  ]) {
    const response = await app.inject({
      method: 'POST', url: '/login', headers: { cookie }, payload: { username: 'alice', password: PASSWORD }
    })
    t.equal(response.statusCode, 200, cookie)
  }
})

t.test('ASVS 3.5.1: another site cannot log its visitor in (login CSRF), not even with the right password', async t => {
  const { app } = await build(t)
  for (const headers of [
    { 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }, { origin: 'https://evil.example' },
    { origin: 'null' }
  ]) {
    const response = await app.inject({
      method: 'POST', url: '/login', headers, payload: { username: 'alice', password: PASSWORD }
    })
    assertProblem(t, response, 403, 'cross_site_request', JSON.stringify(headers))
    t.notOk(response.headers['set-cookie'])
  }
})

t.test('unknown members are refused, scopes of the account among them', async t => {
  const { app } = await build(t)
  for (const member of ['scopes', 'remember', 'grant_type', 'Username']) {
    const response = await app.inject({
      method: 'POST', url: '/login', payload: { username: 'alice', password: PASSWORD, [member]: 'x' }
    })
    assertProblem(t, response, 400, 'invalid_request', member)
  }
})

t.test('the token in the cookie belongs to the session that the list shows as current', async t => {
  const { app } = await build(t)
  const response = await app.inject({
    method: 'POST',
    url: '/login',
    headers: { 'user-agent': 'x'.repeat(5_000) },
    payload: { username: 'alice', password: PASSWORD }
  })
  const token = response.cookies.find(({ name }) => name === '__Host-access_token')?.value ?? ''
  const { sessions } = (await app.inject({ url: '/sessions', headers: bearer(token) })).json()
  t.equal(sessions.length, 1)
  t.match(sessions[0], { id: claimsOf(token).sid, current: true, address: '127.0.0.1' })
  t.equal(sessions[0].user_agent.length, 512, 'a huge user agent is cut')
})

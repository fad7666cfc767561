import t from 'tap'
import type { LightMyRequestResponse } from 'fastify'
import { bearer, build, logIn, PASSWORD } from '../helper.js'
import { assertOAuthError, assertProblem } from '../routes/support.js'

function assertHeaders (t: { match (a: unknown, b: unknown): unknown }, response: LightMyRequestResponse): void {
  t.match(response.headers['retry-after'], /^[1-9]\d?$/)
  t.match(response.headers['ratelimit-policy'], /q=100;w=60/)
  t.match(response.headers.ratelimit, /r=0;t=[1-9]\d?$/)
}

t.test('RFC 6585 4, RateLimit 11: the hundred and first attempt of an address within a minute is 429, on all routes that take a password together', async t => {
  const { app } = await build(t, { rateLimit: true, registration: true })
  const alice = await app.latchkey.users.findByName('alice')
  t.ok(alice)
  const { access_token: token, refresh_token: refreshToken } = await logIn(app)
  let name = 0
  const attempts = [
    () => app.inject({ method: 'POST', url: '/login', payload: { username: `user${name++}`, password: 'wrong' } }),
    () => app.inject({ method: 'POST', url: '/token', payload: { username: `user${name++}`, password: 'wrong' } }),
    () => app.inject({ method: 'POST', url: '/register', payload: { username: 'carol', password: 'short' } }),
    () => app.inject({
      method: 'PUT',
      url: '/users/me/password',
      headers: bearer(token),
      payload: { current_password: PASSWORD, new_password: 'x' }
    })
  ]
  for (let attempt = 1; attempt < 100; attempt++) {
    const { statusCode, headers } = await (attempts[attempt % 4] ?? attempts[0] as never)()
    if (statusCode === 429) t.fail(`attempt ${attempt} is limited`)
    // draft-ietf-httpapi-ratelimit-headers-11: also while there is something left. The login above was the first.
    if (headers['ratelimit-policy'] !== '"attempts";q=100;w=60') t.fail(`attempt ${attempt} does not tell the policy`)
    if (!String(headers.ratelimit).startsWith(`"attempts";r=${99 - attempt};t=`)) {
      t.fail(
      `attempt ${attempt} leaves ${String(headers.ratelimit)}`
      )
    }
  }
  const login = await app.inject({ method: 'POST', url: '/login', payload: { username: 'alice', password: PASSWORD } })
  assertProblem(t, login, 429, 'too_many_requests')
  assertHeaders(t, login)
  const form = await app.inject({ method: 'POST', url: '/token', payload: { username: 'alice', password: PASSWORD } })
  assertOAuthError(t, form, 429)
  assertHeaders(t, form)
  for (const attempt of attempts) t.equal((await attempt()).statusCode, 429)

  t.equal(
    (await app.inject({
      method: 'POST', url: '/login', remoteAddress: '203.0.113.9', payload: { username: 'alice', password: PASSWORD }
    })).statusCode,
    200,
    'another address logs in to the same account'
  )
  t.equal(
    (await app.inject({
      method: 'POST',
      url: '/login',
      headers: { 'x-forwarded-for': '203.0.113.10' },
      payload: { username: 'alice', password: PASSWORD }
    })).statusCode,
    429,
    'a header that anyone can send makes no other address'
  )
  t.equal(
    (await app.inject({ url: '/users/me', headers: bearer(token) })).statusCode, 200, 'whoever has a token goes on'
  )
  t.equal(
    (await app.inject({ method: 'POST', url: '/refresh', payload: { refresh_token: refreshToken } })).statusCode, 200,
    'and refreshes'
  )
  t.equal(
    (await app.inject({
      method: 'POST', url: '/token', payload: { grant_type: 'refresh_token', refresh_token: refreshToken }
    })).statusCode,
    200
  )
  t.equal((await app.inject({ method: 'POST', url: '/revoke', payload: { token } })).statusCode, 200, 'and revokes')
})

t.test('the addresses of one IPv6 network of 64 bits count as one', async t => {
  const { app } = await build(t, { rateLimit: true })
  const attempt = async (remoteAddress: string): Promise<number> => (await app.inject({
    method: 'POST', url: '/login', remoteAddress, payload: { username: `nobody at ${remoteAddress}`, password: 'wrong' }
  })).statusCode
  for (let host = 0; host < 100; host++) await attempt(`2001:db8:1:1::${host.toString(16)}`)
  t.equal(await attempt('2001:db8:1:1:ffff:ffff:ffff:ffff'), 429)
  t.equal(await attempt('2001:db8:1:2::1'), 401)
})

t.test("a host's own @fastify/rate-limit and ours do not count for each other", async t => {
  const { app } = await build(t, { rateLimit: true })
  for (let attempt = 0; attempt < 100; attempt++) {
    await app.inject({
      method: 'POST', url: '/login', payload: { username: 'nobody', password: 'x' }
    })
  }
  t.equal((await app.inject({ url: '/protected-route' })).statusCode, 401, 'routes of the host are not limited by us')
  const { app: other } = await build(t, { rateLimit: true })
  t.equal(
    (await other.inject({ method: 'POST', url: '/login', payload: { username: 'nobody', password: 'x' } })).statusCode,
    401,
    'nor is another instance'
  )
})

t.test('switched off it counts nothing', async t => {
  const { app } = await build(t, { rateLimit: false })
  for (let attempt = 0; attempt < 110; attempt++) {
    const response = await app.inject({ method: 'POST', url: '/login', payload: { username: 'nobody', password: 'x' } })
    if (response.statusCode !== 401) t.fail(`${attempt} ${response.statusCode}`)
  }
})

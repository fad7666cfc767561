import t from 'tap'
import type { FastifyInstance } from 'fastify'
import { bearer, build, logIn, logInWithCookies, postForm } from '../helper.js'
import { assertProblem, claimsOf } from './support.js'

interface View {
  id: string
  client_id: string
  scope: string
  created_at: string
  last_used_at: string
  expires_at: string
  user_agent: string | null
  address: string | null
  current: boolean
}

async function list (app: FastifyInstance, headers: Record<string, string>): Promise<View[]> {
  const response = await app.inject({ url: '/sessions', headers })
  if (response.statusCode !== 200) throw new Error(response.body)
  return response.json().sessions
}

t.test('ASVS 7.5.2: a user sees the own live sessions, the last used first, and which one asks', async t => {
  const { app, clock } = await build(t)
  const start = clock()
  const first = await logIn(app)
  clock.move(60_000)
  const second = await logIn(app, 'alice', { scope: 'items:read' })
  await logIn(app, 'bob')
  const sessions = await list(app, bearer(first.access_token))
  t.strictSame(
    sessions.map(({ id, current }) => [id, current]),
    [[claimsOf(second.access_token).sid, false], [claimsOf(first.access_token).sid, true]]
  )
  t.strictSame(
    Object.keys(sessions[0] ?? {}).sort(),
    [
      'address', 'client_id', 'created_at', 'current', 'device', 'expires_at', 'id', 'last_used_at', 'scope',
      'user_agent'
    ]
  )
  t.match(
    sessions[0],
    {
      scope: 'items:read',
      address: '127.0.0.1',
      client_id: claimsOf(second.access_token).client_id,
      created_at: new Date(start + 60_000).toISOString()
    }
  )

  clock.move(60_000)
  await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: first.refresh_token })
  const [used] = await list(app, bearer(second.access_token))
  t.match(
    used,
    {
      id: claimsOf(first.access_token).sid,
      created_at: new Date(start).toISOString(),
      last_used_at: new Date(start + 120_000).toISOString(),
      current: false
    }
  )
})

t.test('nothing in the list can be used: no token, nonce or generation', async t => {
  const { app } = await build(t)
  const tokens = await logIn(app)
  const response = await app.inject({ url: '/sessions', headers: bearer(tokens.access_token) })
  t.notMatch(response.body, /nonce|generation|lkr_|rotated|token/)
})

t.test('ended and expired sessions are not in the list', async t => {
  const { app, clock } = await build(t)
  const ended = await logIn(app)
  await logIn(app)
  await postForm(app, '/revoke', { token: ended.refresh_token })
  clock.move(30 * 24 * 60 * 60 * 1_000)
  const fresh = await logIn(app)
  t.strictSame((await list(app, bearer(fresh.access_token))).map(({ id }) => id), [claimsOf(fresh.access_token).sid])
})

t.test('ASVS 7.5.2, ASVS 10.4.9: a user ends one of the own sessions, this one too', async t => {
  const { app } = await build(t)
  const [mine, other] = [await logIn(app), await logIn(app)]
  const remove = (id: unknown) => app.inject({
    method: 'DELETE', url: `/sessions/${id}`, headers: bearer(mine.access_token)
  })
  const response = await remove(claimsOf(other.access_token).sid)
  t.equal(response.statusCode, 204)
  t.equal(response.body, '')
  t.equal((await app.inject({ url: '/users/me', headers: bearer(other.access_token) })).statusCode, 401)
  assertProblem(t, await remove(claimsOf(other.access_token).sid), 404, 'not_found', 'a second time')
  t.equal((await remove(claimsOf(mine.access_token).sid)).statusCode, 204)
  assertProblem(t, await remove(claimsOf(mine.access_token).sid), 401, 'token_revoked', 'by a dead token')
})

t.test("somebody else's session and none at all look alike, and nothing of theirs ends", async t => {
  const { app } = await build(t)
  const [mine, bob] = [await logIn(app), await logIn(app, 'bob')]
  const answers = []
  for (const id of [claimsOf(bob.access_token).sid, '01890a5d-ac96-774b-bcce-b302099a8057']) {
    const response = await app.inject({ method: 'DELETE', url: `/sessions/${id}`, headers: bearer(mine.access_token) })
    assertProblem(t, response, 404, 'not_found')
    answers.push(response.body)
  }
  t.equal(answers[0], answers[1])
  t.equal((await app.inject({ url: '/users/me', headers: bearer(bob.access_token) })).statusCode, 200)
})

t.test('what is no id is refused, and without a token 401 comes first', async t => {
  const { app } = await build(t)
  const mine = await logIn(app)
  for (const id of ['x', '1', '%00', '%27%20or%201=1', '__proto__', '..%2f', 'a'.repeat(100), 'null']) {
    const response = await app.inject({ method: 'DELETE', url: `/sessions/${id}`, headers: bearer(mine.access_token) })
    t.ok([400, 404].includes(response.statusCode), `${id} ${response.statusCode}`)
    if (response.statusCode === 400) assertProblem(t, response, 400, 'invalid_request')
    const anonymous = await app.inject({ method: 'DELETE', url: `/sessions/${id}` })
    t.ok([401, 404].includes(anonymous.statusCode), `${id} ${anonymous.statusCode} without a token`)
  }
})

t.test('a client that names a content type and sends no body may delete', async t => {
  const { app } = await build(t)
  const [mine, other] = [await logIn(app), await logIn(app)]
  const response = await app.inject({
    method: 'DELETE',
    url: `/sessions/${claimsOf(other.access_token).sid}`,
    headers: { ...bearer(mine.access_token), 'content-type': 'application/json' }
  })
  t.equal(response.statusCode, 204)
})

t.test('the cookies do for reading from anywhere, and for ending only from here', async t => {
  const { app } = await build(t)
  const headers = await logInWithCookies(app)
  const [session] = await list(app, { ...headers, 'sec-fetch-site': 'cross-site' })
  const remove = (extra: Record<string, string>) => app.inject({
    method: 'DELETE', url: `/sessions/${session?.id}`, headers: { ...headers, ...extra }
  })
  assertProblem(t, await remove({ 'sec-fetch-site': 'cross-site' }), 403, 'cross_site_request')
  t.equal((await remove({ 'sec-fetch-site': 'same-origin' })).statusCode, 204)
})

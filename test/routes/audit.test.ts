import t from 'tap'
import { bearer, build, logIn, PASSWORD, postForm } from '../helper.js'
import { assertProblem } from './support.js'

t.test('GET /audit is for the scope audit:read', async t => {
  const { app } = await build(t)
  const { access_token: token } = await logIn(app)
  assertProblem(t, await app.inject('/audit'), 401, 'unauthenticated')
  assertProblem(t, await app.inject({ url: '/audit', headers: bearer(token) }), 403, 'insufficient_scope')
})

t.test('GET /audit pages through what happened, filtered', async t => {
  const { app, clock } = await build(t)
  await app.latchkey.users.add({ username: 'auditor', password: PASSWORD, scopes: ['audit:read'] })
  const { access_token: token } = await logIn(app, 'auditor')
  const get = (query: string) => app.inject({
    url: `/audit${query}`, headers: { ...bearer(token), 'user-agent': 'a browser' }
  })
  clock.move(1_000)
  const since = new Date(clock()).toISOString()
  for (let turn = 0; turn < 5; turn++) {
    await postForm(
      app, '/token', { grant_type: 'password', username: 'bob', password: 'wrong' }
    )
  }
  const bob = await app.latchkey.users.findByName('bob')

  const first = await get(`?type=login_failed&outcome=failure&subject=${bob?.id}&since=${since}&limit=3`)
  t.equal(first.statusCode, 200)
  const page = first.json()
  t.equal(page.events.length, 3)
  t.strictSame(
    Object.keys(page.events[0]).sort(),
    ['actor', 'at', 'client_id', 'details', 'id', 'outcome', 'session_id', 'subject', 'type']
  )
  t.match(
    page.events[0],
    {
      type: 'login_failed',
      outcome: 'failure',
      at: since,
      actor: { kind: 'anonymous', id: null, address: '127.0.0.1' },
      subject: bob?.id,
      session_id: null
    }
  )
  const second = (await get(`?type=login_failed&limit=3&cursor=${page.next}`)).json()
  t.equal(second.events.length, 2)
  t.equal(second.next, null)
  t.same((await get(`?until=${since}&type=login_failed`)).json(), { events: [], next: null })
  const [added] = (await get(`?type=user_added&subject=${bob?.id}`)).json().events
  t.same(added.details, { username: 'bob', scopes: ['items:read'] }, 'the details arrive whole')
})

t.test('GET /audit refuses what it does not know', async t => {
  const { app } = await build(t)
  await app.latchkey.users.add({ username: 'auditor', password: PASSWORD, scopes: ['audit:read'] })
  const { access_token: token } = await logIn(app, 'auditor')
  for (const query of ['type=x', 'outcome=x', 'limit=0', 'limit=1001', 'limit=-1', 'limit=1e2', 'limit=',
    'cursor=0', 'cursor=x', 'cursor=9999999999999999', 'cursor=-1', 'limit=007', 'limit=1e3',
    'since=2016-12-31T23:59:60Z', 'until=2026-02-30T00:00:00Z', 'since=2026-13-01T00:00:00Z',
    'since=2026-11-03T12:00:00%2B99:99', 'since=%2B275760-09-13T00:00:00Z', 'since=2026-11-03%2012:00:00Z',
    'since=yesterday', 'until=1', 'actor=', 'subject=', 'x=1', 'type=login&type=login', `actor=${'x'.repeat(257)}`]) {
    assertProblem(
      t, await app.inject({ url: `/audit?${query}`, headers: bearer(token) }), 400, 'invalid_request', query
    )
  }
  const detailOf = async (query: string): Promise<string> => (await app.inject({
    url: `/audit?${query}`, headers: bearer(token)
  })).json().detail
  t.equal(await detailOf('since=2016-12-31T23:59:60Z'),
    "'since' in the querystring must be a date and time as specified in RFC 3339, for example 2026-11-03T12:00:00Z.")
  t.equal(await detailOf('limit=007'), "'limit' in the querystring must be a whole number from 1 to 1000.")
  for (const query of [
    'since=0000-01-01T00:00:00Z', 'until=9999-12-31T23:59:59Z', 'since=1950-01-01T00:00:00z', 'cursor=999999999999999'
  ]) {
    t.equal((await app.inject({ url: `/audit?${query}`, headers: bearer(token) })).statusCode, 200, query)
  }
})

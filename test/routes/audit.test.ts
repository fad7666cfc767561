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
  const get = (query: string) => app.inject({ url: `/audit${query}`, headers: { ...bearer(token), 'user-agent': 'a browser' } })
  clock.move(1_000)
  const since = new Date(clock()).toISOString()
  for (let turn = 0; turn < 5; turn++) await postForm(app, '/token', { grant_type: 'password', username: 'bob', password: 'wrong' })
  const bob = await app.latchkey.users.findByName('bob')

  const first = await get(`?type=login_failed&outcome=failure&subject=${bob?.id}&since=${since}&limit=3`)
  t.equal(first.statusCode, 200)
  const page = first.json()
  t.equal(page.events.length, 3)
  t.strictSame(Object.keys(page.events[0]).sort(), ['actor', 'at', 'client_id', 'details', 'id', 'outcome', 'session_id', 'subject', 'type'])
  t.match(page.events[0], { type: 'login_failed', outcome: 'failure', at: since, actor: { kind: 'anonymous', id: null, address: '127.0.0.1' }, subject: bob?.id, session_id: null })
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
  for (const query of ['type=x', 'outcome=x', 'limit=0', 'limit=1001', 'limit=-1', 'limit=1e2', 'limit=', 'cursor=0', 'cursor=x', 'cursor=99999999999999999', 'since=yesterday', 'until=1', 'actor=', 'subject=', 'x=1', 'type=login&type=login', `actor=${'x'.repeat(257)}`]) {
    assertProblem(t, await app.inject({ url: `/audit?${query}`, headers: bearer(token) }), 400, 'invalid_request', query)
  }
})

import t from 'tap'
import { bearer, build, createTestClock, logIn, postForm } from '../helper.js'
import { buildHost, databaseFile, query, SECRET } from '../routes/support.js'
import { catchTimers, settle, until } from './purge-timers.js'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

t.test('expired rules and sessions go once a minute, in steps with pauses, while requests are answered', async t => {
  const timers = catchTimers(t)
  const file = databaseFile(t)
  const clock = createTestClock()
  const { app } = await build(t, { database: file, secret: SECRET, now: clock })
  t.strictSame(timers.map(({ delay }) => delay), [60_000])
  const live = await logIn(app)
  await postForm(app, '/revoke', { token: (await logIn(app)).access_token })
  const old = clock() - 2 * DAY
  query(file, `with recursive n(i) as (select 1 union all select i + 1 from n where i < 2500)
    insert into latchkey_rules (kind, value, issued_before, expires_at) select 'token', 'old' || i, null, ${old} from n`)
  query(file, `with recursive n(i) as (select 1 union all select i + 1 from n where i < 1200)
    insert into latchkey_sessions select 'old' || i, 'u', 'c', '', 'n', 1, ${old}, 0, ${old}, ${old}, ${old}, ${old}, null, null, ${old}, '', null, null, null, null, null, null from n`)
  t.equal((await app.inject({ url: '/protected-route', headers: bearer(live.access_token) })).statusCode, 200)

  settle(file, clock())
  const left: Array<[rules: number, sessions: number]> = []
  for (let step = 1; step <= 3; step++) {
    timers.shift()?.run()
    await until(() => timers.length === 1)
    left.push([query(file, 'select 1 from latchkey_rules').length, query(file, 'select 1 from latchkey_sessions').length])
    t.equal(timers[0]?.delay, step < 3 ? 50 : 60_000, `the pause after step ${step}`)
  }
  t.strictSame(
    left, [[1501, 702], [501, 202], [1, 2]], 'no more than 1,000 rules and 500 sessions in a step, and none that matter'
  )
  t.equal((await app.inject({ url: '/protected-route', headers: bearer(live.access_token) })).statusCode, 200)
  t.equal(
    (await app.inject({ method: 'POST', url: '/refresh', payload: { refresh_token: live.refresh_token } })).statusCode,
    200
  )
})

t.test('a purge that fails is logged and tried again in a minute', async t => {
  const timers = catchTimers(t)
  const { app, store } = await buildHost(t, {})
  const { transaction } = store
  store.transaction = async () => { throw new Error('the disk is full') }
  timers.shift()?.run()
  await until(() => timers.length === 1)
  t.equal(timers[0]?.delay, 60_000)
  store.transaction = transaction
  timers.shift()?.run()
  await until(() => timers.length === 1)
  t.equal((await app.inject({ url: '/health/ready' })).statusCode, 200)
})

t.test('an app that closes during a purge waits for the step, and starts no other', async t => {
  const timers = catchTimers(t)
  const { app } = await build(t, {})
  timers.shift()?.run()
  await app.close()
  t.equal(timers.length, 0)
})

t.test('a session is purged a day after it can no longer be refreshed and its last access token has expired, not before', async t => {
  const timers = catchTimers(t)
  const file = databaseFile(t)
  const { app, clock } = await build(t, { database: file, secret: SECRET })
  await logIn(app)
  const run = async (): Promise<number> => {
    settle(file, clock())
    timers.shift()?.run()
    await until(() => timers.length === 1)
    return query(file, 'select 1 from latchkey_sessions').length
  }
  clock.move(31 * DAY + 15 * MINUTE)
  t.equal(await run(), 1)
  clock.move(1)
  t.equal(await run(), 0)
})

t.test('while the clock is wrong, nothing is deleted, and all sessions work again afterwards', async t => {
  const timers = catchTimers(t)
  const file = databaseFile(t)
  const clock = createTestClock()
  const { app } = await build(t, { database: file, secret: SECRET, now: clock, keyRotation: '30d' })
  settle(file, clock())
  const tokens = await logIn(app)
  await postForm(app, '/revoke', { token: (await logIn(app, 'bob')).access_token })
  const rows = (): unknown[] => ['rules', 'sessions', 'keys', 'events'].map(table => query(file, `select * from latchkey_${table}`))
  const before = rows()
  clock.move(400 * DAY)
  for (let look = 0; look < 59; look++) {
    timers.shift()?.run()
    await until(() => timers.length === 1)
    clock.move(MINUTE)
  }
  t.equal((await app.inject({ url: '/protected-route', headers: bearer(tokens.access_token) })).statusCode, 401)
  t.strictSame(rows(), before)
  clock.move(-400 * DAY - 59 * MINUTE)
  t.equal((await app.inject({ url: '/protected-route', headers: bearer(tokens.access_token) })).statusCode, 200)
  const refreshed = await app.inject({ method: 'POST', url: '/refresh', payload: { refresh_token: tokens.refresh_token } })
  t.equal(refreshed.statusCode, 200)
})

t.test('an app that closes between two purges leaves no timer behind', async t => {
  const timers = catchTimers(t)
  const { app } = await build(t, {})
  t.equal(timers.length, 1)
  await app.close()
  t.equal(timers.length, 0)
})

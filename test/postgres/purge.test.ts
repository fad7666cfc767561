import pg from 'pg'
import t from 'tap'
import { build, createTestClock, SECRET } from '../helper.js'
import { catchTimers, settle, until } from '../plugins/purge-timers.js'
import { queryPostgres } from './databases.js'
import { makeDatabase } from './nodes.js'

const DAY = 24 * 60 * 60_000

t.setTimeout(120_000)

t.test('one node purges while the other looks on, and one that dies in the middle leaves the rest to the other', async t => {
  const database = await makeDatabase()
  const timers = catchTimers(t)
  const clock = createTestClock()
  const options = { database, secret: SECRET, now: clock }
  const { app: one } = await build(t, options)
  const { app: two } = await build(t, options)
  const [timerOfOne, timerOfTwo] = timers.splice(0)
  const old = clock() - 2 * DAY
  queryPostgres(
    database,
    "insert into latchkey_rules (kind, value, issued_before, expires_at) select 'token', 'old' || i, null, ?::bigint from generate_series(1, 1500) as i",
    [old]
  )
  settle(database, clock())
  const left = (): number => queryPostgres(database, 'select 1 from latchkey_rules', []).length

  const holder = new pg.Client(database)
  await holder.connect()
  t.teardown(() => holder.end())
  await holder.query('begin; lock table latchkey_rules in share mode')
  timerOfOne?.run()
  const isAtIt = (): boolean => queryPostgres(
    database,
    "select 1 from pg_locks where locktype = 'relation' and not granted and database = (select oid from pg_database where datname = current_database())",
    []
  ).length > 0
  await until(isAtIt)
  // It would wait for the table too, if it purged.
  timerOfTwo?.run()
  await until(() => timers.length === 1)
  t.equal(timers[0]?.delay, 60_000, 'the other looks again in a minute')
  t.equal(left(), 1500)
  await holder.query('commit')
  await until(() => timers.length === 2)
  t.equal(timers[1]?.delay, 50, 'the one has more to do')
  t.equal(left(), 500)

  // The next step dies: all connections of that node, in the middle of it.
  await holder.query('begin; lock table latchkey_rules in share mode')
  timers.pop()?.run()
  await until(isAtIt)
  await holder.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'latchkey'"
  )
  await holder.query('commit')
  await until(() => timers.length === 2)
  t.equal(timers[1]?.delay, 60_000, 'it tries again in a minute')
  t.equal(left(), 500)
  // The connections of the other are gone too: it may take a minute more until it has noticed.
  for (let minute = 0; minute < 3 && left() > 0; minute++) {
    timers.shift()?.run()
    await until(() => timers.length === 2)
    timers.unshift(...timers.splice(1))
  }
  t.equal(left(), 0)
  for (const app of [one, two]) t.equal(app.latchkey.revocations.size, 0)
})

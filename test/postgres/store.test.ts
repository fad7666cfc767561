import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { sql } from 'kysely'
import type { Kysely, Transaction } from 'kysely'
import t from 'tap'
import type { Test } from 'tap'
import type { LatchkeyError } from '../../lib/errors.js'
import { exclusive } from '../../lib/store/lock.js'
import { openStore } from '../../lib/store/open.js'
import { numberOf } from '../../lib/store/postgres/locks.js'
import type { OpenOptions, Store } from '../../lib/store/store.js'
import { raiseMeta, readMeta } from '../../lib/store/meta.js'
import type { Tables } from '../../lib/store/tables.js'
import { makeDatabase, until } from './nodes.js'
import { startPostgres } from './server.js'

// What the server may be configured for, and what other connections may do, and how the store takes it.

t.jobs = 4
t.setTimeout(120_000)

async function open (t: Test, database: string, options: Partial<OpenOptions> = {}): Promise<Store> {
  const store = await openStore(database, { bound: 1_000, log () {}, ...options })
  t.teardown(() => store.close())
  return store
}

const raise = (trx: Transaction<Tables>): Promise<number> => raiseMeta(trx, 'access_token_ttl', 1)

const readLatest = (db: Kysely<Tables>): Promise<number> => readMeta(db, 'access_token_ttl')

/** A connection of somebody else. */
async function connect (t: Test, database: string): Promise<pg.Client> {
  const client = new pg.Client(database)
  await client.connect()
  t.teardown(() => client.end())
  return client
}

async function setting (store: Store, name: string): Promise<string | undefined> {
  const { rows } = await store.transaction(
    trx => sql<{ value: string }>`select current_setting(${name}) as value`.execute(trx)
  )
  return rows[0]?.value
}

/** Sets it for all connections from now on. */
async function configure (database: string, name: string, value: string): Promise<void> {
  const client = new pg.Client(database)
  await client.connect()
  await client.query(`alter database ${new URL(database).pathname.slice(1)} set ${name} = ${value}`)
  await client.end()
}

// One server for all: before they run side by side.
await makeDatabase()

t.test('more writers than connections wait for one lock: they get 503 in time, and writes work when it is free', async t => {
  const database = await makeDatabase()
  const store = await open(t, database)
  const holder = await connect(t, database)
  const lock = numberOf('public', { on: 'user', id: 'u' })
  await holder.query(`select pg_advisory_lock(${lock})`)
  const begun = performance.now()
  const outcomes = await Promise.all(Array.from(
    { length: 40 },
    async () => await store.transaction(trx => raiseMeta(trx, 'access_token_ttl', 1), [exclusive('user', 'u')]).then(
      () => 'done', (error: unknown) => (error as { code?: string }).code
    )
  ))
  t.same(new Set(outcomes), new Set(['store_unavailable']))
  // Five seconds for a connection, and five for a statement; the rest is for a machine that is busy.
  t.ok(performance.now() - begun < 25_000, 'in time')
  await holder.query(`select pg_advisory_unlock(${lock})`)
  const all = Array.from(
    { length: 40 },
    async (_, index) => await store.transaction(
      trx => raiseMeta(trx, 'access_token_ttl', index), [exclusive('user', 'u')]
    )
  )
  await Promise.all(all)
  t.equal(await store.read(db => readMeta(db, 'access_token_ttl')), 39)
})

t.test('the waits of one operation have one limit: for a connection, for locks and for answers', async t => {
  const database = await makeDatabase()
  const store = await open(t, database, { timeout: 800 })
  const waits: number[] = []
  const measured = await open(t, database, { timeout: 800, onWait: wait => { waits.push(wait) } })
  const holder = await connect(t, database)
  await holder.query('begin; lock table latchkey_meta in access exclusive mode')
  const begun = performance.now()
  const failed = await Promise.all(Array.from({ length: 40 }, async (_, index) => await t.rejects(
    index === 0 ? measured.transaction(raise) : index % 2 === 0 ? store.transaction(raise) : store.read(readLatest),
    { code: 'store_unavailable', retryAfter: 1 }
  )))
  const milliseconds = performance.now() - begun
  t.equal(failed.length, 40)
  t.ok(milliseconds > 700 && milliseconds < 1_500, `all after ${milliseconds.toFixed(0)} ms`)
  await t.rejects(store.proveWritable(), { code: 'store_unavailable' })
  await holder.query('rollback')
  await Promise.all([store, measured].map(async one => await one.transaction(raise)))
  await Promise.all([store.read(readLatest), store.proveWritable()])
  t.equal(waits.length, 2, 'each transaction has waited once')
})

t.test('work on one node may take longer than an operation', async t => {
  const store = await open(t, await makeDatabase(), { timeout: 300, patience: 5_000 })
  t.equal(await store.onOneNode(async () => {
    await delay(600)
    return 'done'
  }), 'done')
})

t.test('more operations than the server can complete in time: some are overloaded, and later ones at once', async t => {
  const database = await makeDatabase()
  const store = await open(t, database, { timeout: 1_000, longestQueue: 300 })
  const sleep = async (): Promise<string> => await store.read(db => sql`select pg_sleep(0.1)`.execute(db)).then(
    () => 'done', (error: LatchkeyError) => `${error.code}: ${error.message}`
  )
  const overloaded = 'overloaded: Too many requests are waiting for the database: try again in a moment.'
  await sleep()
  const early = Array.from({ length: 150 }, sleep)
  await delay(500)
  const asked = performance.now()
  t.equal(await sleep(), overloaded)
  t.ok(performance.now() - asked < 200, 'at once')
  t.same(new Set(await Promise.all(early)), new Set(['done', overloaded]))
  t.equal(await sleep(), 'done', 'and it works again')
})

t.test('a commit is durable where the server is configured for less, and as much more as it is configured for', async t => {
  for (const [configured, expected] of [['off', 'on'], ['on', 'on'], ['remote_apply', 'remote_apply']] as const) {
    const database = await makeDatabase()
    await configure(database, 'synchronous_commit', configured)
    const { rows } = await (await connect(t, database)).query<{ synchronous_commit: string }>('show synchronous_commit')
    t.equal(rows[0]?.synchronous_commit, configured, 'what others get')
    const store = await open(t, database)
    t.same(
      new Set(await Promise.all(Array.from({ length: 5 }, () => setting(store, 'synchronous_commit')))),
      new Set([expected])
    )
  }
})

t.test('writers see what was committed before, where the server is configured for a stricter isolation', async t => {
  const database = await makeDatabase()
  await configure(database, 'default_transaction_isolation', 'serializable')
  const store = await open(t, database)
  await Promise.all(Array.from({ length: 20 }, () => store.transaction(async trx => {
    await raiseMeta(trx, 'access_token_ttl', await readMeta(trx, 'access_token_ttl') + 1)
  }, [exclusive('accounts')])))
  t.equal(await store.read(db => readMeta(db, 'access_token_ttl')), 20)
})

t.test('what one node runs alone another does not, until the first is done or its connection is gone', async t => {
  const database = await makeDatabase()
  const [one, two] = [await open(t, database), await open(t, database)]
  let begin = (): void => {}
  let finish = (): void => {}
  const begun = new Promise<void>(resolve => { begin = resolve })
  const finished = new Promise<void>(resolve => { finish = resolve })
  const running = one.onOneNode(async () => {
    begin()
    await finished
    return 'one'
  })
  await begun
  t.equal(await two.onOneNode(async () => 'two'), undefined)
  finish()
  t.equal(await running, 'one')
  t.equal(await two.onOneNode(async () => 'two'), 'two')
  await t.rejects(two.onOneNode(async () => { throw new Error('it failed') }), { message: 'it failed' })
  t.equal(await one.onOneNode(async () => 'one'), 'one', 'also after a failure')

  const other = await connect(t, database)
  let kill = (): void => {}
  let end = (): void => {}
  const killed = new Promise<void>(resolve => { kill = resolve })
  const ended = new Promise<void>(resolve => { end = resolve })
  const dying = one.onOneNode(async () => {
    await other.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and state = 'idle in transaction'"
    )
    kill()
    await ended
  })
  await killed
  await until('that the lock is free', async () => await two.onOneNode(async () => 'two') === 'two')
  end()
  await t.rejects(dying, { code: 'store_unavailable' })
  t.equal(await one.onOneNode(async () => 'one'), 'one')
})

t.test('a standby is not believed: what it says may be any time old', async t => {
  const server = await startPostgres()
  t.teardown(() => server.stop())
  const store = await open(t, server.url)
  await store.poll()
  t.equal(await store.read(db => readMeta(db, 'access_token_ttl')), 0)
  await server.demote()
  t.ok(
    (await (await connect(t, server.url)).query<{ standby: boolean }>(
      'select pg_is_in_recovery() as standby'
    )).rows[0]?.standby
  )
  await until('that it is noticed', async () => await store.poll().then(() => false, () => true))
  await t.rejects(store.poll(), { code: 'store_unavailable' })
  await t.rejects(store.read(db => readMeta(db, 'access_token_ttl')), { code: 'store_unavailable' })
  await t.rejects(
    openStore(server.url, { bound: 1_000, log () {} }), { message: /cannot be opened: The server is a standby/ }
  )
})

t.test('connections that are lost are replaced, those that were idle too', async t => {
  const database = await makeDatabase()
  const store = await open(t, database)
  await Promise.all(Array.from({ length: 10 }, () => store.read(db => readMeta(db, 'access_token_ttl'))))
  const other = await connect(t, database)
  await other.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name like 'latchkey%'"
  )
  await until(
    'an answer', async () => await store.read(db => readMeta(db, 'access_token_ttl')).then(() => true, () => false)
  )
  t.same(
    new Set(await Promise.all(Array.from({ length: 10 }, () => store.read(db => readMeta(db, 'access_token_ttl'))))),
    new Set([0])
  )
})

import { sql } from 'kysely'
import t from 'tap'
import { openPostgres } from '../../../../lib/store/postgres/open.js'
import { createDatabase, queryPostgres } from '../../../postgres/databases.js'
import { createGate, createWorld, openStore } from '../../support.js'
import type { World } from '../../support.js'
import { names, testContract, UNAVAILABLE, write } from '../contract.js'
import { revokeToken } from '../../../revoke-token.js'

t.setTimeout(120_000)

testContract(t, { connect: () => createDatabase(), duplicate: '23505', mistake: '42P01' })

const QUIET = { bound: 1_000, log: () => {} }

t.test('a URL that cannot be opened stops the boot with one sentence that names the option, and never the password', async t => {
  const url = new URL(createDatabase())
  url.password = 'the-password'
  const table: Array<[change: Partial<URL>, says: RegExp]> = [
    [{ port: '1' }, /cannot be opened: .*ECONNREFUSED/],
    [{ pathname: '/nowhere' }, /cannot be opened: database "nowhere" does not exist/],
    [{ username: 'nobody-here' }, /cannot be opened: role "nobody-here" does not exist/],
    [{ hostname: 'localhost', port: '1' }, /cannot be opened: .*ECONNREFUSED/]
  ]
  for (const [change, says] of table) {
    const wrong = Object.assign(new URL(url), change)
    const error: unknown = await openPostgres(wrong.href, QUIET).catch((error: unknown) => error)
    t.ok(error instanceof Error)
    const { message } = error as Error
    t.match(message, /^The option database \(LATCHKEY_DATABASE\) names postgres:\/\/[^:]+@/)
    t.match(message, says)
    t.notMatch(message, /the-password/)
    t.match(message, /give the URL of a PostgreSQL database/)
  }
})

t.test('ten stores that are opened at once migrate once', async t => {
  const url = createDatabase()
  const stores = await Promise.all(Array.from({ length: 10 }, () => openStore(t, url)))
  await Promise.all(stores.map((store, index) => write(store, `w${index}`)))
  for (const store of stores) t.equal((await names(store)).length, 10)
  t.equal(
    queryPostgres(url, 'select name from latchkey_migration', []).length,
    queryPostgres(url, 'select distinct name from latchkey_migration', []).length
  )
})

t.test('a commit is durable whatever the server is configured for, and a stricter setting stays', async t => {
  for (const [configured, effective] of [
    ['off', 'on'], ['local', 'local'], ['remote_apply', 'remote_apply']
  ] as const) {
    const url = createDatabase()
    queryPostgres(url, `alter database ${new URL(url).pathname.slice(1)} set synchronous_commit = ${configured}`, [])
    const store = await openStore(t, url)
    const { rows } = await store.read(
      db => sql<{ setting: string }>`select current_setting('synchronous_commit') as setting`.execute(db)
    )
    t.same(rows, [{ setting: effective }], configured)
  }
})

t.test('only one does what is done alone; the others do nothing, and do it when it is free again', async t => {
  const url = createDatabase()
  const [one, two] = [await openStore(t, url), await openStore(t, url)]
  const gate = createGate()
  let isRunning = (): void => {}
  const running = new Promise<void>(resolve => { isRunning = resolve })
  const first = one.onOneNode(async () => {
    isRunning()
    await gate.pass()
    return 'one'
  })
  await running
  t.equal(await two.onOneNode(async () => 'two'), undefined)
  gate.open()
  t.equal(await first, 'one')
  t.equal(await two.onOneNode(async () => 'two'), 'two')
})

t.test('a connection that is killed in the middle of a transaction: 503, nothing of it, and the next one works', async t => {
  const url = createDatabase()
  const store = await openStore(t, url)
  await t.rejects(store.transaction(async trx => {
    await trx.insertInto('latchkey_meta').values({ name: 'half', value: 1 }).execute()
    queryPostgres(
      url,
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'latchkey' and datname = current_database() and state = 'idle in transaction'",
      []
    )
    await trx.insertInto('latchkey_meta').values({ name: 'other half', value: 1 }).execute()
  }), UNAVAILABLE)
  t.same((await names(store)).filter(name => name.includes('half')), [])
  await write(store, 'after')
})

t.test('what cannot be undone is not half done: a standby that refuses to write is no outage for good', async t => {
  const url = createDatabase()
  const store = await openStore(t, url)
  await write(store, 'before')
  const database = new URL(url).pathname.slice(1)
  queryPostgres(url, `alter database ${database} set default_transaction_read_only = on`, [])
  queryPostgres(
    url,
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'latchkey' and datname = current_database()",
    []
  )
  await t.rejects(write(store, 'refused'), UNAVAILABLE)
  queryPostgres(new URL('postgres', url).href, `alter database ${database} set default_transaction_read_only = off`, [])
  // The connection that was refused is not used again: a primary that has become a standby stays one.
  await t.resolves(write(store, 'after'))
})

t.test('what a role without rights may say on the channel is not believed: it is only asked sooner', async t => {
  const url = createDatabase()
  const store = await openStore(t, url)
  await store.poll()
  store.changed()
  const epoch = store.epoch()
  for (let round = 0; round < 8; round++) queryPostgres(url, `notify latchkey, '${9_007_199_254_740_000 + round}'`, [])
  await store.poll()
  t.equal(store.changed(), false)
  t.equal(store.epoch(), epoch)
})

t.test('a database that is set back beneath a node: what is revoked after that is seen, however far back it went', async t => {
  const url = createDatabase()
  const openTolerant = async (): Promise<World> => {
    const store = await openPostgres(url, { ...QUIET, acceptLostCommits: true })
    t.teardown(() => store.close())
    return await createWorld(t, { store })
  }
  const [one, two] = [await openTolerant(), await openTolerant()]
  const fill = (kind: string): unknown => queryPostgres(
    url,
    `insert into latchkey_rules (kind, value, expires_at) select 'token', '${kind}-' || n, 9000000000000000 from generate_series(1, 12000) as n`,
    []
  )
  fill('before')
  const hear = async (): Promise<void> => {
    await two.store.poll()
    await two.follower.refresh()
  }
  await hear()
  t.equal(two.revocations.size, 12_000)
  queryPostgres(url, 'truncate latchkey_rules restart identity', [])
  queryPostgres(url, "update latchkey_meta set value = 0 where name = 'changes'", [])
  await hear()
  await revokeToken(one.revocations, 'after', Number.MAX_SAFE_INTEGER)
  await hear()
  t.ok(two.revocations.isRevoked({ tokenId: 'after', sessionId: undefined, userId: 'a', clientId: 'b', issuedAt: 0 }))
  t.ok(
    two.revocations.isRevoked({ tokenId: 'before-1', sessionId: undefined, userId: 'a', clientId: 'b', issuedAt: 0 }),
    'what was dead here stays so'
  )

  t.equal(two.revocations.isTokenRevoked('before-1'), false, 'but is not taken for durable')
  await revokeToken(two.revocations, 'before-1', Number.MAX_SAFE_INTEGER)
  t.same(
    queryPostgres(url, 'select value from latchkey_rules order by seq', []), [{ value: 'after' }, { value: 'before-1' }],
    'it is written again'
  )
})

t.test('writers that wait for their turn keep no reader from asking', async t => {
  const url = createDatabase()
  const store = await openStore(t, url)
  const gate = createGate()
  let isWriting = (): void => {}
  const writing = new Promise<void>(resolve => { isWriting = resolve })
  const first = store.transaction(async () => {
    isWriting()
    await gate.pass()
  })
  await writing
  const waiting = Array.from(
    { length: 30 }, () => store.transaction(async trx => await trx.selectFrom('latchkey_meta').selectAll().execute())
  )
  await store.poll()
  t.same(await store.read(db => db.selectFrom('latchkey_users').selectAll().execute()), [])
  gate.open()
  await first
  t.equal((await Promise.all(waiting)).length, 30)
})

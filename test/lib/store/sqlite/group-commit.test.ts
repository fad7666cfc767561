import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { sql } from 'kysely'
import t from 'tap'
import type { Test } from 'tap'
import type { Store } from '../../../../lib/store/store.js'
import { names, UNAVAILABLE, write } from '../contract.js'
import {
  connectTo, createGate, createStopwatch, databaseIn, isPending, libUrl, openCaptured, openStore, startScript
} from '../../support.js'

/**
 * The commits in the log of a database: its frames that say how large the database is after them
 * (https://sqlite.org/fileformat2.html#walformat).
 */
function countCommits (file: string): number {
  const log = readFileSync(`${file}-wal`)
  const frameSize = 24 + log.readUInt32BE(8)
  let commits = 0
  for (let at = 32; at < log.length; at += frameSize) {
    const isOfThisLog = log.subarray(at + 8, at + 16).equals(log.subarray(16, 24))
    if (isOfThisLog && log.readUInt32BE(at + 4) > 0) commits++
  }
  return commits
}

async function openFresh (t: Test) {
  const file = databaseIn(t)
  const stopwatch = createStopwatch(t)
  const { store, connection } = await openCaptured(t, file)
  const before = countCommits(file)
  return { file, store, connection, stopwatch, commits: () => countCommits(file) - before }
}

/** Writes the number of rows that it finds. */
async function writeNext (store: Store, name: string): Promise<number> {
  return await store.transaction(async trx => {
    const value = (await trx.selectFrom('latchkey_meta').selectAll().execute()).length
    await trx.insertInto('latchkey_meta').values({ name, value }).execute()
    return value
  })
}

t.test('what is asked for in one turn of the event loop is one commit, in the order of the asking', async t => {
  const { file, store, commits } = await openFresh(t)
  t.same(
    await Promise.all(Array.from({ length: 8 }, (_, index) => writeNext(store, `a${index}`))), [0, 1, 2, 3, 4, 5, 6, 7]
  )
  t.equal(commits(), 1)
  await writeNext(store, 'b')
  await writeNext(store, 'c')
  t.equal(commits(), 3, 'what is asked for after an answer is another')
  t.same(
    connectTo(t, file).prepare('select name from latchkey_meta order by value').pluck().all(),
    ['a0', 'a1', 'a2', 'a3', 'a4', 'a5', 'a6', 'a7', 'b', 'c']
  )
})

t.test('one that throws is undone alone, whatever it throws', async t => {
  const { store, commits } = await openFresh(t)
  const failure = new Error('never mind')
  const results = await Promise.allSettled([
    write(store, 'first'),
    store.transaction(async trx => {
      await trx.insertInto('latchkey_meta').values({ name: 'half', value: 1 }).execute()
      await trx.deleteFrom('latchkey_meta').where('name', '=', 'first').execute()
      throw failure
    }),
    write(store, 'first', 2),
    store.transaction(() => { throw failure }),
    writeNext(store, 'last')
  ])
  t.match(results, [
    { status: 'fulfilled' },
    { status: 'rejected', reason: failure },
    { status: 'rejected', reason: { code: 'SQLITE_CONSTRAINT_PRIMARYKEY' } },
    { status: 'rejected', reason: failure },
    { status: 'fulfilled', value: 1 }
  ])
  t.same(await names(store), ['first', 'last'])
  t.equal(commits(), 1)
})

t.test('a group of which nothing is left is not committed', async t => {
  const { store, commits } = await openFresh(t)
  const fail = async (): Promise<void> => await store.transaction(async trx => {
    await trx.insertInto('latchkey_meta').values({ name: 'half', value: 1 }).execute()
    throw new Error('never mind')
  })
  for (const result of await Promise.allSettled([fail(), fail()])) {
    t.match(
      result, { status: 'rejected', reason: { message: 'never mind' } }
    )
  }
  t.same(await names(store), [])
  t.equal(commits(), 0)
})

t.test('nobody hears of an outcome, and nobody sees a row, before the commit', async t => {
  const { file, store } = await openFresh(t)
  const gate = createGate()
  const other = connectTo(t, file).prepare('select count(*) from latchkey_meta').pluck()
  const done = write(store, 'done')
  const failed = write(store, 'done', 2)
  const waiting = store.transaction(async trx => {
    await gate.pass()
    await trx.insertInto('latchkey_meta').values({ name: 'late', value: 1 }).execute()
  })
  const settled = Promise.race([done, failed.catch(() => {}), waiting])
  t.ok(await isPending(settled))
  const reading = names(store)
  t.ok(await isPending(Promise.race([settled, reading])), 'a reader of this process waits')
  t.equal(other.get(), 0, 'one of another process sees what was there')
  gate.open()
  await Promise.all([done, waiting])
  await t.rejects(failed, { code: 'SQLITE_CONSTRAINT_PRIMARYKEY' })
  t.same(await reading, ['done', 'late'])
  t.equal(other.get(), 2)
})

t.test('a commit that fails is told to all of its group, and leaves nothing', async t => {
  const { file, store, connection, commits } = await openFresh(t)
  connection.exec(
    'create table parents (id integer primary key); create table children (parent integer references parents (id) deferrable initially deferred)'
  )
  const before = commits()
  const results = await Promise.allSettled([
    write(store, 'first'),
    // It failed for what might not have been there.
    write(store, 'first', 2),
    store.transaction(trx => sql`insert into children values (1)`.execute(trx)),
    write(store, 'last')
  ])
  for (const result of results) {
    t.match(
      result, { status: 'rejected', reason: { code: 'SQLITE_CONSTRAINT_FOREIGNKEY' } }
    )
  }
  t.equal(connection.inTransaction, false)
  t.equal(commits(), before)
  t.same(connectTo(t, file).prepare('select name from latchkey_meta').all(), [])
  await write(store, 'after')
  t.same(await names(store), ['after'])
})

t.test('a full disk, where SQLite undoes a statement of one: it alone is refused', async t => {
  const { store, connection } = await openFresh(t)
  connection.pragma(`max_page_count = ${Number(connection.pragma('page_count', { simple: true }))}`)
  const rows = Array.from(
    { length: 500 },
    (_, i) => ({ kind: 'token' as const, value: 'x'.repeat(100) + i, issued_before: null, expires_at: i })
  )
  const results = await Promise.allSettled([
    write(store, 'first'),
    store.transaction(async trx => {
      await trx.insertInto('latchkey_meta').values({ name: 'half', value: 1 }).execute()
      await trx.insertInto('latchkey_rules').values(rows).execute()
    }),
    write(store, 'last')
  ])
  t.match(
    results,
    [
      { status: 'fulfilled' }, { status: 'rejected', reason: { ...UNAVAILABLE, cause: { code: 'SQLITE_FULL' } } },
      { status: 'fulfilled' }
    ]
  )
  t.same(await names(store), ['first', 'last'])
})

t.test('a full disk, where SQLite undoes all that was begun: the group is refused, and the rest of the queue goes on', async t => {
  const { file, store, connection } = await openFresh(t)
  connection.pragma(`max_page_count = ${Number(connection.pragma('page_count', { simple: true }))}`)
  // Of a single row it keeps nothing by which it could undo that alone.
  const large = (): Promise<void> => write(store, 'x'.repeat(100_000))
  const results = await Promise.allSettled([
    write(store, 'first'), write(store, 'first', 2), large(), write(store, 'last')
  ])
  for (const result of results.slice(0, 3)) {
    t.match(
      result, { status: 'rejected', reason: { ...UNAVAILABLE, cause: { code: 'SQLITE_FULL' } } }
    )
  }
  t.match(results[3], { status: 'fulfilled' })
  t.equal(connection.inTransaction, false)
  t.same(connectTo(t, file).prepare('select name from latchkey_meta').pluck().all(), ['last'])

  const swallowed = await Promise.allSettled([
    write(store, 'first'),
    store.transaction(
      trx => trx.insertInto('latchkey_meta').values({ name: 'x'.repeat(100_000), value: 1 }).execute().catch(() => {})
    ),
    write(store, 'more')
  ])
  t.same(
    swallowed.map(({ status }) => status), ['rejected', 'rejected', 'fulfilled'],
    'also where the one that met it does not tell'
  )
  t.same(await names(store), ['last', 'more'])
})

t.test('a group that has taken long is committed, and the event loop goes on before the next', async t => {
  const { store, stopwatch, commits } = await openFresh(t)
  let hasTurned = false
  const first = store.transaction(async trx => {
    stopwatch.move(2)
    nextTurn().then(() => { hasTurned = true }, t.fail)
    await trx.insertInto('latchkey_meta').values({ name: 'long', value: 1 }).execute()
  })
  const second = store.transaction(async () => hasTurned)
  await first
  t.equal(commits(), 1)
  t.equal(await second, true)
})

t.test('while another process holds the file each waits for as long as its own patience, and those that are left are one group', async t => {
  const { file, store, stopwatch, commits } = await openFresh(t)
  const other = connectTo(t, file)
  other.exec('begin immediate')
  const early = [write(store, 'early 1'), write(store, 'early 2')]
  const refused = Promise.all(early.map(
    writing => t.rejects(writing, { ...UNAVAILABLE, cause: { code: 'SQLITE_BUSY' } })
  ))
  t.ok(await isPending(Promise.race(early)))
  stopwatch.move(6_000)
  const late = [write(store, 'late 1'), write(store, 'late 2')]
  await refused
  t.ok(await isPending(Promise.race(late)))
  other.exec('rollback')
  await Promise.all(late)
  t.same(await names(store), ['late 1', 'late 2'])
  t.equal(commits(), 1)
})

t.test('two processes that write in groups take turns, and nothing is lost', async t => {
  const file = databaseIn(t)
  const store = await openStore(t, file)
  await write(store, 'counter', 0)
  const script = `
    const { openSqlite } = await import(${libUrl('store/sqlite/open.js')})
    const store = await openSqlite(${JSON.stringify(file)})
    process.stdout.write('ready')
    await new Promise(resolve => process.stdin.once('data', resolve))
    async function client () {
      for (let round = 0; round < 25; round++) {
        await store.transaction(async trx => {
          const { value } = await trx.selectFrom('latchkey_meta').select('value').where('name', '=', 'counter').executeTakeFirstOrThrow()
          await trx.updateTable('latchkey_meta').set({ value: value + 1 }).where('name', '=', 'counter').execute()
        })
      }
    }
    await Promise.all(Array.from({ length: 10 }, client))
    await store.close()
    process.exit()`
  const processes = [startScript(t, script), startScript(t, script)]
  await Promise.all(processes.map(({ child }) => once(child.stdout ?? child, 'data')))
  for (const { child } of processes) child.stdin?.write('go')
  for (const { result } of processes) t.match(await result, { code: 0, stderr: '' })
  t.same(await store.read(db => db.selectFrom('latchkey_meta').selectAll().execute()), [{ name: 'counter', value: 500 }])
})

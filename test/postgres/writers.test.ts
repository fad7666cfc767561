import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import type { Test } from 'tap'
import { exclusive, shared } from '../../lib/store/lock.js'
import type { Lock } from '../../lib/store/lock.js'
import { openStore } from '../../lib/store/open.js'
import type { Store } from '../../lib/store/store.js'
import { isPending } from '../lib/support.js'
import { makeDatabase } from './nodes.js'

// Which transactions of several nodes wait for each other, and what readers can rely on.

t.jobs = 4
t.setTimeout(120_000)

interface Nodes {
  one: Store
  two: Store
  /** A connection of a person who looks. */
  observer: pg.Client
}

async function openNodes (t: Test): Promise<Nodes> {
  const database = await makeDatabase()
  const observer = new pg.Client(database)
  await observer.connect()
  t.teardown(() => observer.end())
  const [one, two] = [
    await openStore(database, { bound: 1_000, log () {} }), await openStore(database, { bound: 1_000, log () {} })
  ]
  t.teardown(() => Promise.all([one.close(), two.close()]))
  return { one, two, observer }
}

/** A transaction that has its locks, and ends when it may. */
async function hold (store: Store, locks: Lock[]): Promise<{ end: () => Promise<void> }> {
  let begin = (): void => {}
  let finish = (): void => {}
  const begun = new Promise<void>(resolve => { begin = resolve })
  const finished = new Promise<void>(resolve => { finish = resolve })
  const ended = store.transaction(async () => {
    begin()
    await finished
  }, locks)
  await begun
  return {
    async end () {
      finish()
      await ended
    }
  }
}

await makeDatabase()

t.test('transactions wait for each other only if they name the same thing and one of them changes it', async t => {
  const { one, two } = await openNodes(t)
  const table: Array<[held: Lock[], asked: Lock[], waits: boolean]> = [
    [[exclusive('session', 'a')], [exclusive('session', 'b')], false],
    [[exclusive('session', 'a')], [exclusive('session', 'a')], true],
    [[exclusive('session', 'a')], [exclusive('user', 'a')], false],
    [[shared('user', 'u')], [shared('user', 'u')], false],
    [[shared('user', 'u')], [exclusive('user', 'u')], true],
    [[exclusive('user', 'u')], [shared('user', 'u')], true],
    [[shared('user', 'u'), exclusive('session', 'a')], [exclusive('session', 'b'), shared('user', 'u')], false],
    [[exclusive('accounts')], [exclusive('keys')], false],
    [[exclusive('accounts')], [exclusive('accounts')], true],
    [[exclusive('user', 'u')], [], false],
    [[exclusive('user', 'u'), shared('user', 'u')], [shared('user', 'u')], true]
  ]
  for (const [held, asked, waits] of table) {
    const holder = await hold(one, held)
    const asking = two.transaction(async () => 'done', asked)
    if (waits) {
      await delay(20)
      t.ok(await isPending(asking), JSON.stringify([held, asked]))
    } else t.equal(await asking, 'done', JSON.stringify([held, asked]))
    await holder.end()
    t.equal(await asking, 'done')
  }
})

t.test('many transactions that name the same things in different orders all end', async t => {
  const { one, two } = await openNodes(t)
  const locks = ['a', 'b', 'c', 'd'].map(id => exclusive('session', id))
  const all = Array.from({ length: 60 }, (_, index) => {
    const rotated = [...locks.slice(index % 4), ...locks.slice(0, index % 4)]
    return (index % 2 === 0 ? one : two).transaction(async () => index, index % 3 === 0 ? rotated.reverse() : rotated)
  })
  t.strictSame(await Promise.all(all), all.map((_, index) => index))
})

t.test('the time of a transaction is read after its locks: later than that of the one it waited for', async t => {
  const { one, two } = await openNodes(t)
  const times: number[] = []
  const work = async (_: unknown, now: number): Promise<void> => {
    times.push(now)
    await delay(2)
  }
  await Promise.all(Array.from(
    { length: 20 }, (_, index) => (index % 2 === 0 ? one : two).transaction(work, [exclusive('user', 'u')])
  ))
  t.strictSame(times, [...times].sort((a, b) => a - b))
  t.equal(new Set(times).size, times.length, 'each is a later millisecond')
})

t.test('a rule with a lower number is visible before, or with, each rule with a higher one', async t => {
  const { one, two, observer } = await openNodes(t)
  async function write (store: Store, name: string): Promise<void> {
    for (let index = 0; index < 60; index++) {
      await store.transaction(async trx => {
        await trx.insertInto('latchkey_rules')
          .values({ kind: 'token', value: `${name}${index}`, session_id: null, issued_before: null, expires_at: 1 }).execute()
        // Others get their chance between the insert and the commit.
        if (index % 7 === 0) await delay(1)
      })
    }
  }
  const writing = Promise.all(['a', 'b', 'c', 'd'].map((name, index) => write(index % 2 === 0 ? one : two, name)))
  // Follows the numbers as a node does.
  const seen: string[] = []
  let last = 0
  while (await isPending(writing)) {
    const { rows } = await observer.query<{ seq: string, value: string }>(
      'select seq, value from latchkey_rules where seq > $1 order by seq', [last]
    )
    for (const { seq, value } of rows) {
      last = Number(seq)
      seen.push(value)
    }
  }
  await writing
  const { rows } = await observer.query<{ value: string }>('select value from latchkey_rules where seq > $1 order by seq', [last])
  seen.push(...rows.map(({ value }) => value))
  t.equal(new Set(seen).size, 240, 'no rule was passed over')
})

t.test('a transaction that PostgreSQL ends because of a deadlock is run again', async t => {
  const { one, two } = await openNodes(t)
  for (const name of ['a', 'b']) {
    await one.transaction(trx => trx.insertInto('latchkey_meta').values({ name, value: 0 }).execute())
  }
  let runs = 0
  const increment = (store: Store, names: string[]): Promise<void> => store.transaction(async trx => {
    runs++
    for (const name of names) {
      await trx.updateTable('latchkey_meta').set(eb => ({ value: eb('value', '+', 1) })).where('name', '=', name).execute()
      await delay(30)
    }
  })
  await Promise.all([increment(one, ['a', 'b']), increment(two, ['b', 'a'])])
  t.equal(runs, 3)
  t.match(
    await one.read(db => db.selectFrom('latchkey_meta').select('value').where('name', 'in', ['a', 'b']).execute()),
    [{ value: 2 }, { value: 2 }]
  )
})

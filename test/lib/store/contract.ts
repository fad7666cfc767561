import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Test } from 'tap'
import { LatchkeyError } from '../../../lib/errors.js'
import { exclusive } from '../../../lib/store/lock.js'
import { raiseMeta, readMeta } from '../../../lib/store/meta.js'
import { openStore as openAnyStore } from '../../../lib/store/open.js'
import { createStatement } from '../../../lib/store/statement.js'
import type { Store } from '../../../lib/store/store.js'
import { createGate, openStore } from '../support.js'

export const UNAVAILABLE = {
  name: 'LatchkeyError',
  code: 'store_unavailable',
  statusCode: 503,
  retryAfter: 1,
  message: 'The database is not available: try again in a moment.'
}

export async function write (store: Store, name: string, value = 1): Promise<void> {
  await store.transaction(trx => trx.insertInto('latchkey_meta').values({ name, value }).execute())
}

export async function names (store: Store): Promise<string[]> {
  const rows = await store.read(db => db.selectFrom('latchkey_meta').select('name').orderBy('name').execute())
  return rows.map(({ name }) => name)
}

export interface Engine {
  /** What to open: a database that is new. */
  connect (t: Test): string
  /** The codes of the engine's own errors. */
  duplicate: string
  mistake: string
}

/** What `Store` promises, on each engine. */
export function testContract (t: Test, { connect, duplicate, mistake }: Engine): void {
  t.test('a transaction that throws writes nothing, and its own error comes out', async t => {
    const store = await openStore(t, connect(t))
    const error = new LatchkeyError('invalid_scope')
    await t.rejects(store.transaction(async trx => {
      await trx.insertInto('latchkey_meta').values({ name: 'half', value: 1 }).execute()
      throw error
    }), error)
    await t.rejects(store.transaction(async trx => {
      await trx.insertInto('latchkey_meta').values({ name: 'half', value: 1 }).execute()
      await trx.insertInto('latchkey_meta').values({ name: 'half', value: 2 }).execute()
    }), { code: duplicate }, 'a constraint is no outage')
    t.same(await names(store), [])
    await write(store, 'after')
    t.same(await names(store), ['after'])
  })

  t.test('transactions on one thing run one after the other, however long each takes, in one process and in two', async t => {
    const database = connect(t)
    const stores = [await openStore(t, database), await openStore(t, database)] as const
    await write(stores[0], 'counter', 0)
    await Promise.all(Array.from({
      length: 30
    }, (_, index) => stores[index % 2 === 0 ? 0 : 1].transaction(async trx => {
      const { value } = await trx.selectFrom('latchkey_meta').select('value').where(
        'name', '=', 'counter'
      ).executeTakeFirstOrThrow()
      await nextTurn()
      await trx.updateTable('latchkey_meta').set({ value: value + 1 }).where('name', '=', 'counter').execute()
    }, [exclusive('keys')])))
    for (const store of stores) {
      t.same(
        await store.read(db => db.selectFrom('latchkey_meta').select('value').execute()), [{ value: 30 }]
      )
    }
  })

  t.test('a reader never sees the inside of a transaction of the same process', async t => {
    const store = await openStore(t, connect(t))
    const gate = createGate()
    const writing = store.transaction(async trx => {
      await trx.insertInto('latchkey_meta').values({ name: 'half', value: 1 }).execute()
      await gate.pass()
      throw new Error('never mind')
    })
    const reading = names(store)
    gate.open()
    await t.rejects(writing, /never mind/)
    t.same(await reading, [])
  })

  t.test('what another process commits to rules and keys is told once, where it is asked for', async t => {
    const database = connect(t)
    const [one, two] = [await openStore(t, database), await openStore(t, database)]
    const hears = async (): Promise<boolean | undefined> => {
      await two.poll()
      return two.changed()
    }
    await hears()
    t.equal(await hears(), false, 'nothing')
    const rule = { kind: 'token', value: 'a', issued_before: null, expires_at: 1 } as const
    await one.transaction(trx => trx.insertInto('latchkey_rules').values(rule).execute())
    t.equal(await hears(), true, 'a rule')
    t.equal(await hears(), false, 'once')
    await one.transaction(trx => trx.insertInto('latchkey_rules').values([rule, rule]).execute())
    await one.transaction(trx => trx.insertInto('latchkey_rules').values(rule).execute())
    t.equal(await hears(), true, 'two commits')
    t.equal(await hears(), false, 'are told as one')
    const key = {
      kid: 'a',
      algorithm: 'ES256',
      sealed: '',
      created_at: 0,
      activates_at: null,
      retires_at: null,
      expires_at: null,
      revoked_at: null,
      issuer: null,
      audience: null,
      scope: null
    }
    await one.transaction(trx => trx.insertInto('latchkey_keys').values(key).execute())
    t.equal(await hears(), true, 'a key')
    await one.transaction(trx => trx.updateTable('latchkey_keys').set({ revoked_at: 1 }).execute())
    t.equal(await hears(), true, 'a key that is revoked')
    await one.transaction(trx => trx.deleteFrom('latchkey_keys').execute())
    t.equal(await hears(), true, 'a key that is removed')
    await t.rejects(one.transaction(async trx => {
      await trx.insertInto('latchkey_rules').values(rule).execute()
      throw new Error('never mind')
    }))
    t.equal(await hears(), false, 'what was rolled back')
    const before = performance.now()
    await hears()
    t.ok(two.asOf() >= before, 'and is known as of when it was asked')
  })

  t.test('a change that was committed between opening and asking is told', async t => {
    const database = connect(t)
    const first = await openStore(t, database)
    const second = await openStore(t, database)
    await second.transaction(
      trx => trx.insertInto('latchkey_rules').values({ kind: 'token', value: 'a', issued_before: null, expires_at: 1 }).execute()
    )
    await first.poll()
    t.equal(first.changed(), true)
  })

  t.test('what is done after close rejects with store_unavailable', async t => {
    const store = await openAnyStore(connect(t), { bound: 1_000, log: () => {} })
    await store.close()
    await t.rejects(names(store), UNAVAILABLE, 'read')
    await t.rejects(write(store, 'late'), UNAVAILABLE, 'transaction')
    await t.rejects(async () => {
      if (store.changed() === undefined) await store.poll()
    }, UNAVAILABLE, 'changed')
    await t.resolves(store.close(), 'closing twice')
  })

  t.test('what is under way while the store closes ends, one way or the other', async t => {
    const store = await openStore(t, connect(t))
    const writing = Promise.allSettled(Array.from({ length: 10 }, (_, i) => write(store, `w${i}`)))
    await store.close()
    for (const result of await writing) {
      if (result.status === 'rejected') t.match(result.reason, UNAVAILABLE)
    }
  })

  t.test('a statement that is made once takes its values by name, in every store and in and out of transactions', async t => {
    let made = 0
    const insert = createStatement((db, { value, name }: { name: string, value: number }) => {
      made++
      return db.insertInto('latchkey_meta').values({ name, value }).returningAll()
    })
    const find = createStatement((
      db, { least, most }: { least: number, most: number }
    ) => db.selectFrom('latchkey_meta').select('name')
      .where('value', '<=', most).where('value', '>=', least).where('value', '<', 100).orderBy('name'))
    const stores = [await openStore(t, connect(t)), await openStore(t, connect(t))] as const
    for (const [index, store] of stores.entries()) {
      for (let value = 0; value < 3; value++) {
        t.same(
          (await store.transaction(trx => insert(trx, { value, name: `${index}-${value}` }))).rows,
          [{ name: `${index}-${value}`, value }]
        )
      }
      t.same(
        (await store.read(db => find(db, { most: 2, least: 1 }))).rows, [{ name: `${index}-1` }, { name: `${index}-2` }]
      )
      t.same((await store.transaction(trx => find(trx, { most: 1, least: 2 }))).rows, [])
    }
    t.equal(made, 2, 'once for each store')
  })

  t.test('a mistake in a query is no outage', async t => {
    const store = await openStore(t, connect(t))
    await t.rejects(store.read(db => db.selectFrom('nothing' as 'latchkey_meta').selectAll().execute()), { code: mistake })
    await t.rejects(
      store.transaction(async trx => await trx.selectFrom('nothing' as 'latchkey_meta').selectAll().execute()), { code: mistake }
    )
    await write(store, 'after')
  })

  t.test('numbers of rules are never given twice, not even after the last was deleted', async t => {
    const store = await openStore(t, connect(t))
    const insert = (): Promise<{ seq: number }> => store.transaction(trx => trx.insertInto('latchkey_rules')
      .values({
        kind: 'token', value: 'a', issued_before: null, expires_at: 1
      }).returning('seq').executeTakeFirstOrThrow())
    const first = await insert()
    const second = await insert()
    await store.transaction(trx => trx.deleteFrom('latchkey_rules').execute())
    const third = await insert()
    t.ok(first.seq < second.seq && second.seq < third.seq)
  })

  t.test('times of today and the largest integers come back as they went in', async t => {
    const store = await openStore(t, connect(t))
    for (const value of [0, 1, 2 ** 31, 2 ** 32 + 1, Date.UTC(2026, 1, 1), Number.MAX_SAFE_INTEGER]) {
      await write(store, `value ${value}`, value)
      t.same(
        await store.read(
          db => db.selectFrom('latchkey_meta').select('value').where('name', '=', `value ${value}`).executeTakeFirst()
        ),
        { value }
      )
    }
  })

  t.test('texts come back as they went in, and are ordered by their bytes', async t => {
    const store = await openStore(t, connect(t))
    const texts = [
      '', ' ', '%', '_', "'", '"', '\\', '$1', '?', 'A', 'B', 'Z', 'a', 'b', 'é', 'ß', 'ﬀ', '日本', '😀',
      'x'.repeat(10_000)
    ]
    await store.transaction(
      trx => trx.insertInto('latchkey_meta').values(texts.map((name, value) => ({ name, value }))).execute()
    )
    t.strictSame(await names(store), [...texts].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))))
    for (const [value, name] of texts.entries()) {
      t.same(
        await store.read(db => db.selectFrom('latchkey_meta').select('value').where('name', '=', name).executeTakeFirst()),
        { value }, name.slice(0, 10)
      )
    }
    t.equal(
      await store.read(db => db.selectFrom('latchkey_meta').select('value').where('name', '=', 'a\0').executeTakeFirst()),
      undefined, 'a NUL is found nowhere'
    )
  })

  t.test('a number of `meta` only grows, whoever raises it', async t => {
    const database = connect(t)
    const stores = [await openStore(t, database), await openStore(t, database)] as const
    await Promise.all(Array.from(
      { length: 20 },
      (_, index) => stores[index % 2 === 0 ? 0 : 1].transaction(trx => raiseMeta(trx, 'access_token_ttl', index * 7 % 20))
    ))
    t.equal(await stores[0].read(db => readMeta(db, 'access_token_ttl')), 19)
  })

  t.test('work that is done alone gives its result, its error, and its place to the next', async t => {
    const store = await openStore(t, connect(t))
    t.equal(await store.onOneNode(async () => 'done'), 'done')
    await t.rejects(store.onOneNode(async () => { throw new Error('not done') }), { message: 'not done' })
    t.equal(
      await store.onOneNode(
        async () => await store.transaction(async trx => (await trx.selectFrom('latchkey_meta').selectAll().execute()).length)
      ),
      0
    )
  })
}

import t from 'tap'
import { raiseHorizon, raiseMeta, readHorizon, readMeta } from '../../../lib/store/meta.js'
import { ON_POSTGRES } from '../../helper.js'
import { connectTo, databaseIn, DAY, openStore } from '../support.js'

t.test('a number is 0 before it is raised, and never falls', async t => {
  const store = await openStore(t)
  t.equal(await store.read(db => readMeta(db, 'horizon')), 0)
  const table: Array<[value: number, expected: number]> = [
    [5, 5], [3, 5], [5, 5], [6, 6], [0, 6], [Date.UTC(2026, 1, 1), Date.UTC(2026, 1, 1)], [7, Date.UTC(2026, 1, 1)]
  ]
  for (const [value, expected] of table) {
    t.equal(await store.transaction(trx => raiseMeta(trx, 'horizon', value)), expected, `after ${value}`)
    t.equal(await store.read(db => readMeta(db, 'horizon')), expected, `read after ${value}`)
  }
  t.equal(await store.read(db => readMeta(db, 'access_token_ttl')), 0, 'the other one is another')
})

const ON_SQLITE = { skip: ON_POSTGRES ? 'its columns have types' : false }

t.test('a damaged number is 0, and is replaced when it is raised', ON_SQLITE, async t => {
  const file = databaseIn(t)
  const store = await openStore(t, file)
  const other = connectTo(t, file)
  await store.transaction(trx => raiseMeta(trx, 'access_token_ttl', 5))
  for (const value of ['yesterday', Buffer.from('x'), '', 9e15]) {
    other.prepare("update latchkey_meta set value = ? where name = 'access_token_ttl'").run(value)
    t.equal(await store.read(db => readMeta(db, 'access_token_ttl')), 0, String(value))
    t.equal(await store.transaction(trx => raiseMeta(trx, 'access_token_ttl', 7)), 7, String(value))
  }
})

t.test('a horizon that is more than ten years ahead is damaged, and is replaced', async t => {
  const store = await openStore(t)
  const now = Date.UTC(2026, 10, 3)
  const years = (count: number): number => now + count * 365 * DAY
  const keep = async (time: number): Promise<void> => {
    await store.transaction(trx => trx.deleteFrom('latchkey_meta').execute())
    await store.transaction(trx => raiseMeta(trx, 'horizon', time))
  }
  for (const time of [now, years(-1), years(1), years(9)]) {
    await keep(time)
    t.equal(await store.read(db => readHorizon(db, now)), time)
    t.equal(await store.transaction(trx => raiseHorizon(trx, time - 1, now)), time, 'it only grows')
  }
  for (const time of [years(11), years(200), 8.64e15]) {
    await keep(time)
    t.equal(await store.read(db => readHorizon(db, now)), 0)
    t.equal(await store.transaction(trx => raiseHorizon(trx, now, now)), now, 'and it is replaced')
  }
})

import t from 'tap'
import { raiseMeta, readMeta } from '../../../lib/store/meta.js'
import { openStore } from '../support.js'

t.test('a number is 0 before it is raised, and never falls', async t => {
  const store = await openStore(t)
  t.equal(await store.read(db => readMeta(db, 'latest_time')), 0)
  const table: Array<[value: number, expected: number]> = [[5, 5], [3, 5], [5, 5], [6, 6], [0, 6], [Date.UTC(2026, 1, 1), Date.UTC(2026, 1, 1)], [7, Date.UTC(2026, 1, 1)]]
  for (const [value, expected] of table) {
    t.equal(await store.transaction(trx => raiseMeta(trx, 'latest_time', value)), expected, `after ${value}`)
    t.equal(await store.read(db => readMeta(db, 'latest_time')), expected, `read after ${value}`)
  }
  t.equal(await store.read(db => readMeta(db, 'access_token_ttl')), 0, 'the other one is another')
})

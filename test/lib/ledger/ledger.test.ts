import t from 'tap'
import { createEvents, HOST } from '../../../lib/ledger/events.js'
import { createLedger } from '../../../lib/ledger/ledger.js'
import { createClock } from '../../../lib/time/clock.js'
import { createWall, HOUR, openStore } from '../support.js'

async function build (t: Parameters<typeof openStore>[0]) {
  const store = await openStore(t)
  const wall = createWall()
  const events = createEvents()
  const order: string[] = []
  events.on(({ type }) => order.push(type))
  let writes = 0
  const counted: typeof store = {
    ...store,
    async transaction (work) {
      writes++
      return await store.transaction(work)
    }
  }
  const clock = createClock(wall, () => 0)
  return {
    store,
    wall,
    clock,
    events,
    order,
    ledger: createLedger({ store: counted, clock, events }),
    writes: () => writes
  }
}

t.test('after the commit a write is put in force first, and then the listeners are called', async t => {
  const { ledger, order, store } = await build(t)
  const result = await ledger.write(async ({ record }) => {
    await record({ type: 'login_failed', actor: HOST })
    order.push('work')
    return 7
  }, () => order.push('in force'))
  t.equal(result, 7)
  t.same(order, ['work', 'in force', 'login_failed'])
  t.match(await store.read(db => db.selectFrom('latchkey_events').select('type').execute()), [{ type: 'login_failed' }])
})

t.test('a write that throws keeps nothing, is not put in force, and calls no listener', async t => {
  const { ledger, order, store } = await build(t)
  await t.rejects(ledger.write(async ({ record }) => {
    await record({ type: 'login_failed', actor: HOST })
    throw new Error('no')
  }, () => order.push('in force')), /no/)
  t.same(order, [])
  t.same(await store.read(db => db.selectFrom('latchkey_events').selectAll().execute()), [])
})

t.test('a write that cannot be put in force stays committed, and its caller gets the error', async t => {
  const { ledger, order, store } = await build(t)
  const writing = ledger.write(async ({ record }) => await record({ type: 'login_failed', actor: HOST }), () => {
    throw new Error('no memory')
  })
  await t.rejects(writing, /no memory/)
  t.same(order, [])
  t.equal((await store.read(db => db.selectFrom('latchkey_events').selectAll().execute())).length, 1)
})

t.test('the time of a write is never before that of another ledger on the same store', async t => {
  const { store, ledger, wall, clock, events } = await build(t)
  const other = createLedger({ store, clock: createClock(() => wall() + HOUR, () => 0), events })
  const ahead = await other.write(async ({ now }) => now)
  t.equal(await ledger.write(async ({ now }) => now), ahead)
  t.equal(clock.now(), ahead)
})

t.test('keepTime() writes only if the store does not have that time yet', async t => {
  const { ledger, wall, writes } = await build(t)
  await ledger.keepTime(wall())
  t.equal(writes(), 1)
  await ledger.keepTime(wall())
  t.equal(writes(), 1)
  await ledger.keepTime()
  t.equal(writes(), 2)
  await ledger.keepTime(wall() + HOUR)
  t.equal(writes(), 3)
})

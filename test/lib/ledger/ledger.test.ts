import t from 'tap'
import { createEvents, HOST } from '../../../lib/ledger/events.js'
import { createLedger } from '../../../lib/ledger/ledger.js'
import { createStoreClock } from '../../../lib/time/clock.js'
import { createWall, HOUR, openStore } from '../support.js'

async function build (t: Parameters<typeof openStore>[0]) {
  const wall = createWall()
  const store = await openStore(t, undefined, wall)
  const events = createEvents()
  const order: string[] = []
  events.on(({ type }) => order.push(type))
  let writes = 0
  const counted: typeof store = {
    ...store,
    async transaction (work, locks) {
      writes++
      return await store.transaction(work, locks)
    }
  }
  const clock = createStoreClock(store.now)
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
  const result = await ledger.write([], async ({ record }) => {
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
  await t.rejects(ledger.write([], async ({ record }) => {
    await record({ type: 'login_failed', actor: HOST })
    throw new Error('no')
  }, () => order.push('in force')), /no/)
  t.same(order, [])
  t.same(await store.read(db => db.selectFrom('latchkey_events').selectAll().execute()), [])
})

t.test('a write that cannot be put in force stays committed, and its caller gets the error', async t => {
  const { ledger, order, store } = await build(t)
  const writing = ledger.write([], async ({ record }) => await record({ type: 'login_failed', actor: HOST }), () => {
    throw new Error('no memory')
  })
  await t.rejects(writing, /no memory/)
  t.same(order, [])
  t.equal((await store.read(db => db.selectFrom('latchkey_events').selectAll().execute())).length, 1)
})

t.test('the time of a write is the time of the store, unless this process has just passed a later one', async t => {
  const { ledger, wall } = await build(t)
  const timeOf = (): Promise<number> => ledger.write([], async ({ now }) => now)
  t.equal(await timeOf(), wall())
  await ledger.write([], async ({ pass }) => pass(wall() + 1))
  t.equal(await timeOf(), wall() + 1)
  wall.move(-HOUR)
  t.equal(await timeOf(), wall(), 'a clock that is set back sets the time back')
})

t.test('tell() calls the listeners and writes nothing', async t => {
  const { ledger, order, writes, wall } = await build(t)
  ledger.tell({ type: 'refresh', actor: HOST }, wall())
  t.same(order, ['refresh'])
  t.equal(writes(), 0)
})

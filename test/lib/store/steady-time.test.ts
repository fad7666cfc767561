import t from 'tap'
import { isSteady, lookAtTime } from '../../../lib/store/steady-time.js'
import { createWall, DAY, HOUR, MINUTE, openStore } from '../support.js'

async function build (t: Parameters<typeof openStore>[0]) {
  const store = await openStore(t)
  const wall = createWall()
  async function look (): Promise<boolean> {
    const looked = await store.transaction(trx => lookAtTime(trx, wall()))
    t.equal(await store.read(db => isSteady(db, wall())), looked, 'the result is stored')
    return looked
  }
  return {
    store,
    wall,
    look,
    /** Looks once a minute. */
    async pass (minutes: number): Promise<boolean> {
      for (let minute = 1; minute < minutes; minute++) {
        wall.move(MINUTE)
        await look()
      }
      wall.move(MINUTE)
      return await look()
    }
  }
}

t.test('time is steady after a look each minute for an hour', async t => {
  const { store, wall, look, pass } = await build(t)
  t.equal(await store.read(db => isSteady(db, wall())), false, 'before the first look')
  t.equal(await look(), false)
  t.equal(await pass(59), false)
  t.equal(await pass(1), true)
  t.equal(await pass(1), true)
})

t.test('a leap, forwards or back, starts the hour again, and so does a long pause', async t => {
  const { wall, look, pass } = await build(t)
  await look()
  t.equal(await pass(60), true)
  for (const leap of [400 * DAY, -400 * DAY, 10 * MINUTE, -HOUR]) {
    wall.move(leap)
    t.equal(await look(), false, `${leap} ms`)
    t.equal(await pass(59), false)
    t.equal(await pass(1), true)
  }
})

t.test('a short pause, or a clock that is corrected a little, changes nothing', async t => {
  const { wall, look, pass } = await build(t)
  await look()
  await pass(60)
  for (const step of [4 * MINUTE, -MINUTE, 5 * MINUTE]) {
    wall.move(step)
    t.equal(await look(), true, `${step} ms`)
  }
})

t.test('two processes whose clocks differ never agree that the time is steady', async t => {
  const { wall, look } = await build(t)
  for (let minute = 0; minute < 130; minute++) {
    wall.move(400 * DAY)
    t.equal(await look(), false)
    wall.move(MINUTE - 400 * DAY)
    t.equal(await look(), false)
  }
})

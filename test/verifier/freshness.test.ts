import t from 'tap'
import { createFreshness } from '../../verifier/freshness.js'
import { readMoment } from '../../lib/time/elapsed-time.js'
import { createMachineClocks } from './support.js'

function build () {
  const clocks = createMachineClocks()
  const time = { wall: clocks.options.now, stopwatch: clocks.options.stopwatch }
  return { clocks, freshness: createFreshness(time, 1_000), now: () => readMoment(time) }
}

t.test('it counts from the moment at which was asked, less what two clocks may run apart', async t => {
  const { clocks, freshness, now } = build()
  t.equal(freshness.age(), Infinity)
  t.equal(freshness.isFresh(), false)
  const sent = now()
  clocks.pass(10_000)
  t.match(freshness.learn(sent, 9_000), { isNewest: true })
  t.equal(freshness.age(), 1_000 + 4.5)
  t.equal(freshness.isFresh(), false)
  freshness.learn(sent, 9_005)
  t.equal(freshness.isFresh(), true)
})

t.test('a moment before the request came is taken off in full, and more', async t => {
  const { freshness, now } = build()
  freshness.learn(now(), -100)
  t.ok(Math.abs(freshness.age() - 100.05) < 0.01)
})

t.test('what is older than what is known is told apart, and changes nothing', async t => {
  const { clocks, freshness, now } = build()
  const sent = now()
  clocks.pass(500)
  const later = now()
  t.equal(freshness.learn(later, 0).isNewest, true)
  const { isNewest, age } = freshness.learn(sent, 100)
  t.equal(isNewest, false)
  t.ok(age > 400)
  t.equal(freshness.age(), 0)
  t.equal(freshness.learn(later, 0).isNewest, true, 'the same again is as new')
})

t.test('nothing is known of the future: a stopwatch that stood still does not keep it fresh', async t => {
  const { clocks, freshness, now } = build()
  const sent = now()
  clocks.sleep(600_000)
  // The service has counted on.
  freshness.learn(sent, 600_000)
  t.ok(freshness.isFresh())
  clocks.setWall(-3_600_000)
  clocks.pass(1_001)
  t.equal(freshness.isFresh(), false)
})

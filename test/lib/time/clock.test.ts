import t from 'tap'
import { createClock } from '../../../lib/time/clock.js'

t.test('time never runs backwards, whatever the wall clock says', async t => {
  let wall = 100
  const clock = createClock(() => wall, () => 0)
  const table: Array<[wall: number, expected: number]> = [
    [100, 100], [101, 101], [50, 101], [0, 101], [-5, 101], [101, 101], [102, 102], [NaN, 102], [103, 103]
  ]
  for (const [time, expected] of table) {
    wall = time
    t.equal(clock.now(), expected, `wall clock ${time}`)
  }
})

t.test('advanceTo only moves forwards, and the wall clock takes over again', async t => {
  let wall = 100
  const clock = createClock(() => wall, () => 0)
  clock.advanceTo(500)
  t.equal(clock.now(), 500)
  clock.advanceTo(400)
  t.equal(clock.now(), 500)
  clock.advanceTo(NaN)
  t.equal(clock.now(), 500)
  wall = 499
  t.equal(clock.now(), 500)
  wall = 501
  t.equal(clock.now(), 501)
})

t.test('two clocks are two', async t => {
  const one = createClock(() => 1, () => 0)
  const two = createClock(() => 1, () => 0)
  one.advanceTo(9)
  t.equal(two.now(), 1)
})

t.test('while the wall clock is behind, time goes on: standing still, nothing would ever expire', async t => {
  let wall = 1_000
  let passed = 0
  const clock = createClock(() => wall, () => passed)
  clock.advanceTo(1_000_000)
  t.equal(clock.now(), 1_000_000)
  passed += 400.25
  wall += 400
  t.equal(clock.now(), 1_000_400)
  passed += 0.75
  t.equal(clock.now(), 1_000_401)
  wall = 2_000_000
  t.equal(clock.now(), 2_000_000, 'the wall clock has caught up, and rules again')
  passed += 1_000
  t.equal(clock.now(), 2_000_000)
  wall = 1_500_000
  t.equal(clock.now(), 2_000_000, 'stepped back')
  passed += 5
  t.equal(clock.now(), 2_000_005)
})

import t from 'tap'
import { createStoreClock } from '../../../lib/time/clock.js'
import { createFollowedClock } from '../../../lib/time/followed-clock.js'

t.test('the clock of a process shows the time of its store, forwards and back', async t => {
  let time = 100
  const clock = createStoreClock(() => time)
  for (time of [100, 101, 50, 0, 1_000_000, 102]) t.equal(clock.now(), time)
})

t.test('a time that has passed stays passed, unless the store is set back', async t => {
  let time = 100_000
  const clock = createStoreClock(() => time)
  clock.pass(100_001)
  t.equal(clock.now(), 100_001)
  t.equal(clock.from(100_000), 100_001, 'a time that was read from the store, too')
  time = 100_002
  t.equal(clock.now(), 100_002)
  time = 99_001
  t.equal(clock.now(), 100_001, 'a second back at most')
  time = 99_000
  t.equal(clock.now(), 99_000, 'a larger step is followed')
})

t.test('a clock that follows another goes on at the pace of the stopwatch, and steps with it', async t => {
  let passed = 0
  const clock = createFollowedClock(() => passed)
  const before = Date.now()
  t.ok(clock.now() >= before && clock.now() <= Date.now(), 'before it knows the other clock, it is the wall clock')
  clock.set(5_000)
  t.equal(clock.now(), 5_000)
  passed += 400.75
  t.equal(clock.now(), 5_400)
  clock.set(1_000)
  t.equal(clock.now(), 1_000, 'back')
  passed += 1
  t.equal(clock.now(), 1_001)
})

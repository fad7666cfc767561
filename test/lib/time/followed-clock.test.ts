import t from 'tap'
import { createFollowedClock } from '../../../lib/time/followed-clock.js'

t.test('before the first time arrives, it shows the clock of this machine', async t => {
  let wall = 1_000.5
  const clock = createFollowedClock(() => 0, () => wall)
  t.equal(clock.now(), 1_000)
  wall = 500
  t.equal(clock.now(), 500)
  const before = Date.now()
  t.ok(createFollowedClock(() => 0).now() >= before)
})

t.test('it shows the last time of the other clock plus the time since then, and ignores the wall clock', async t => {
  let passed = 7
  let wall = 1_000
  const clock = createFollowedClock(() => passed, () => wall)
  clock.set(50_000)
  t.equal(clock.now(), 50_000)
  wall = 900_000
  passed += 400.5
  t.equal(clock.now(), 50_400)
  clock.set(50_410)
  t.equal(clock.now(), 50_410)
  passed += 1
  t.equal(clock.now(), 50_411)
})

t.test('one wrong time lasts until the next one arrives', async t => {
  let passed = 0
  const clock = createFollowedClock(() => passed, () => 0)
  clock.set(1_000)
  clock.set(90_000_000)
  passed += 200
  t.equal(clock.now(), 90_000_200)
  clock.set(1_200)
  t.equal(clock.now(), 1_200)
  passed += 5
  t.equal(clock.now(), 1_205)
})

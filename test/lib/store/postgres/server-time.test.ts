import t from 'tap'
import { createServerTime } from '../../../../lib/store/postgres/server-time.js'
import { WrongClock } from '../../../../lib/store/store.js'
import { MACHINE, readMoment } from '../../../../lib/time/elapsed-time.js'

function build () {
  const logged: string[] = []
  const time = createServerTime((error, message) => { logged.push(`${(error as Error).message}: ${message}`) })
  return { time, logged, take: (ahead: number) => time.take(Date.now() + ahead, readMoment(MACHINE)) }
}

t.test('the time is that of the last answer plus the time since then', async t => {
  const { time, take } = build()
  for (const ahead of [0, 400 * 86_400_000, -86_400_000]) {
    take(ahead)
    const now = time.now() - ahead
    t.ok(Math.abs(now - Date.now()) < 1_000, `${ahead} ms`)
  }
})

t.test('a node whose clock is more than a minute off refuses to serve, and logs each change once', async t => {
  const { time, logged, take } = build()
  const steps: Array<[ahead: number, isRefused: boolean, lines: number]> = [
    [0, false, 0], [4_000, false, 0], [-4_000, false, 0], [20_000, false, 1], [59_000, false, 1], [62_000, true, 1],
    [90_000, true, 1], [-90_000, true, 1], [-20_000, false, 1], [0, false, 2], [0, false, 2], [-3_600_000, true, 3]
  ]
  for (const [ahead, isRefused, lines] of steps) {
    take(ahead)
    if (isRefused) t.throws(() => time.assertRight(), WrongClock, `${ahead} ms`)
    else t.doesNotThrow(() => time.assertRight(), `${ahead} ms`)
    t.equal(logged.length, lines, `${ahead} ms`)
  }
  t.match(logged, [
    /^The clock of this machine is 20 s behind the clock of the database server: /,
    /^The clock of this machine agrees with the clock of the database: /,
    /^The clock of this machine is 3600 s ahead of the clock of the database server: /
  ])
})

t.test('a slow answer does not make a right clock look wrong', async t => {
  const { time, logged } = build()
  const asked = readMoment(MACHINE)
  for (const ago of [0, 90_000]) {
    // The server read its clock some time between the question and the answer.
    time.take(Date.now() - ago, { ...asked, wall: asked.wall - 90_000 })
    t.doesNotThrow(() => time.assertRight())
  }
  t.same(logged, [])
})

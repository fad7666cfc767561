import t from 'tap'
import { createTimelines } from '../../../../lib/store/postgres/timeline.js'
import type { Timelines } from '../../../../lib/store/postgres/timeline.js'
import { UnfitServer } from '../../../../lib/store/store.js'

type Row = Parameters<Timelines['judge']>[0]

const FIRST: Row = {
  standby: false, started: 1_000, pid: 1, system: 'a', file: '000000020000000000000001', flushed: '0/5000000', number: 7
}
const PROMOTED: Row = { ...FIRST, started: 2_000, file: '000000030000000000000001' }

function create (acceptLostCommits = false): { timelines: Timelines, logged: string[], judge: (row: Row) => void } {
  const logged: string[] = []
  const timelines = createTimelines({ acceptLostCommits, log: error => { logged.push((error as Error).message) } })
  return { timelines, logged, judge: row => timelines.judge(row, performance.now()) }
}

t.test('a server is refused if this process has seen a later state', async t => {
  const table: Array<[name: string, seen: Row[], row: Row, reason: RegExp]> = [
    ['lower timeline', [FIRST, PROMOTED], { ...FIRST, flushed: '1/0' }, /previous primary, on timeline 2, .*timeline 3/],
    ['lower timeline, restarted', [PROMOTED], { ...FIRST, started: 3_000, number: 9 }, /previous primary/],
    ['timeline 9 before 10', [{ ...FIRST, file: '0000000A0000000000000001' }], { ...FIRST, started: 2, file: '00000009F' },
      /timeline 9, and this node has seen timeline 10/],
    ['shorter log', [FIRST], { ...FIRST, started: 3_000, flushed: '0/4FFFFFF' }, /its log ends at 0\/4FFFFFF/],
    ['shorter log of the same server', [FIRST], { ...FIRST, flushed: '0/4000000' }, /its log ends/],
    ['shorter log, by its upper half', [{ ...FIRST, flushed: '10/0' }], { ...FIRST, started: 3_000, flushed: 'F/FF' },
      /its log ends/],
    ['promoted without the last change', [FIRST], { ...PROMOTED, number: 6 }, /number 6, and this node knows number 7/],
    ['promoted and empty', [FIRST], { ...PROMOTED, number: null }, /number 0, and/],
    ['another cluster without the last change', [FIRST], { ...PROMOTED, system: 'b', number: 6 }, /lacks changes/],
    ['restored in place', [FIRST], { ...FIRST, number: 6 }, /lacks changes/],
    ['a cluster that was left', [FIRST, { ...PROMOTED, system: 'b' }], { ...FIRST, flushed: '2/0', number: 9 },
      /has moved from its cluster/]
  ]
  for (const [name, seen, row, reason] of table) {
    const { judge, logged } = create()
    for (const earlier of seen) judge(earlier)
    for (let time = 0; time < 2; time++) t.throws(() => judge(row), { message: reason, name: 'UnfitServer' }, name)
    t.equal(logged.length, 1, 'it is logged once')
    const [last = row] = seen.slice(-1)
    if (last.started !== row.started) judge(last)
  }
})

t.test('a refused server stays refused after it has caught up', async t => {
  const { judge } = create()
  judge(FIRST)
  const copy = { ...FIRST, started: 3_000, flushed: '0/4000000' }
  t.throws(() => judge(copy), UnfitServer)
  t.throws(() => judge({ ...copy, flushed: '0/6000000', number: 99 }), UnfitServer)
  judge({ ...FIRST, flushed: '0/6000000' })
})

t.test('a server is accepted if nothing is missing', async t => {
  for (const row of [
    FIRST, PROMOTED, { ...FIRST, started: 2_000 }, { ...FIRST, system: 'b', file: '000000010', flushed: '0/1' },
    { ...PROMOTED, number: 8, flushed: '0/1' }, { ...FIRST, number: undefined }
  ]) {
    const { judge, logged } = create()
    judge(FIRST)
    judge(row)
    t.same(logged, [])
  }
})

t.test('answers of one server may overtake each other', async t => {
  const { timelines, judge } = create()
  const asked = performance.now()
  judge({ ...FIRST, flushed: '0/6000000', number: 8 })
  timelines.judge(FIRST, asked)
  t.throws(() => timelines.judge({ ...FIRST, started: 3_000 }, asked), UnfitServer, 'another server is compared')
})

t.test('each other server is compared by the number of its last change before it is used', async t => {
  const { timelines, judge } = create()
  t.notOk(timelines.mustCompare(FIRST), 'there may be no tables yet')
  judge(FIRST)
  t.notOk(timelines.mustCompare(FIRST))
  t.ok(timelines.mustCompare(PROMOTED))
  judge({ ...PROMOTED, number: undefined })
  t.ok(timelines.mustCompare(PROMOTED))
  judge(PROMOTED)
  t.notOk(timelines.mustCompare(PROMOTED))
})

t.test('with acceptLostCommits a loss is logged, and a previous primary is still refused', async t => {
  const { judge, logged } = create(true)
  judge(FIRST)
  judge({ ...PROMOTED, number: 5 })
  t.match(logged, [/lacks changes/])
  judge({ ...PROMOTED, number: 6 })
  t.equal(logged.length, 1)
  t.throws(() => judge(FIRST), UnfitServer)
})

t.test('a server that hides its log is compared by the number only', async t => {
  const { timelines, judge, logged } = create()
  t.ok(timelines.hide(new Error('not supported')))
  t.match(timelines.columns, /null::pg_catalog.text as flushed/)
  t.notOk(timelines.hide(new Error('not supported')), 'once')
  const hidden = { ...FIRST, system: null, file: null, flushed: null }
  judge(hidden)
  judge({ ...hidden, started: 2_000 })
  t.throws(() => judge({ ...hidden, started: 3_000, number: 6 }), UnfitServer)
  t.equal(logged.length, 2)

  const { timelines: shown } = create()
  shown.judge(FIRST, performance.now())
  t.notOk(shown.hide(new Error('not supported')), 'a server that has shown its log cannot hide it later')
})

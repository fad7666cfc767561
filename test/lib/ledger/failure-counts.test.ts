import t from 'tap'
import { anonymous } from '../../../lib/ledger/events.js'
import type { NewEvent } from '../../../lib/ledger/events.js'
import { createFailureCounts } from '../../../lib/ledger/failure-counts.js'
import { MINUTE } from '../support.js'

/** How many failures are recorded one by one. */
const RECORDED = 20

function failureOf (subject: string | null, address = '203.0.113.9'): NewEvent {
  return { type: 'client_authentication_failed', actor: anonymous(address), subject }
}

t.test('the first failures are recorded at once, and the others become one entry at the end of the minute', async t => {
  const counts = createFailureCounts()
  for (let turn = 0; turn < RECORDED; turn++) t.strictSame(counts.count(failureOf(null), 'x', turn), [failureOf(null)])
  for (let turn = 0; turn < 1_000; turn++) t.strictSame(counts.count(failureOf(null), 'x', MINUTE - 1), [])
  t.strictSame(counts.collect(MINUTE - 1, false), [], 'the minute is not over')
  t.strictSame(counts.collect(MINUTE, false), [{ ...failureOf(null), details: { count: 1_000 } }])
  t.strictSame(counts.collect(2 * MINUTE, false), [], 'once')
})

t.test('while failures go on, each minute is one entry; after a quiet minute they are recorded again', async t => {
  const counts = createFailureCounts()
  for (let turn = 0; turn < RECORDED + 5; turn++) counts.count(failureOf(null), 'x', 0)
  t.match(counts.collect(MINUTE, false), [{ details: { count: 5 } }])
  for (let turn = 0; turn < 100; turn++) t.strictSame(counts.count(failureOf(null), 'x', MINUTE + 1), [])
  t.match(counts.collect(2 * MINUTE, false), [{ details: { count: 100 } }])
  t.strictSame(counts.collect(3 * MINUTE, false), [])
  t.strictSame(counts.count(failureOf(null), 'x', 3 * MINUTE), [failureOf(null)])
})

t.test('types and targets are counted apart, and an address is named if there was only one', async t => {
  const counts = createFailureCounts()
  for (let turn = 0; turn < RECORDED + 3; turn++) {
    counts.count(failureOf('a'), 'x', 0)
    counts.count(failureOf('b', `10.0.0.${turn}`), 'y', 0)
    counts.count({ ...failureOf('a'), type: 'login_failed' }, 'x', 0)
  }
  t.strictSame(counts.collect(0, true), [
    { ...failureOf('a'), details: { count: 3 } },
    { ...failureOf('b'), actor: anonymous(null), details: { count: 3 } },
    { ...failureOf('a'), type: 'login_failed', details: { count: 3 } }
  ], 'even in the middle of a minute, if the process ends')
})

t.test('what is recorded depends on the target, not on whether it exists', async t => {
  const counts = createFailureCounts()
  for (let turn = 0; turn < 2 * RECORDED; turn++) {
    const known = counts.count(failureOf('a'), 'known', 0).length
    t.equal(counts.count(failureOf(null), 'unknown', 0).length, known)
  }
})

t.test('made-up targets fill nothing: all together have 200 entries a minute, and none while a flood goes on', async t => {
  const counts = createFailureCounts()
  function flood (now: number, times: number): number {
    let recorded = 0
    for (let turn = 0; turn < times; turn++) recorded += counts.count(failureOf(null), `${now} ${turn}`, now).length
    return recorded
  }
  t.equal(flood(0, 5_000), 200)
  for (let minute = 1; minute < 20; minute++) {
    t.match(counts.collect(minute * MINUTE, false), [{ subject: null, details: { count: Number } }], 'one entry')
    t.equal(flood(minute * MINUTE, 5_000), 0)
  }
  counts.collect(20 * MINUTE, false)
  t.equal(flood(20 * MINUTE, 5), 0)
  counts.collect(21 * MINUTE, false)
  t.equal(flood(21 * MINUTE, 5), 5, 'and then again')
})

t.test('the memory is bounded: subjects above a thousand share one count', async t => {
  const counts = createFailureCounts()
  for (let subject = 0; subject < 5_000; subject++) counts.count(failureOf(`subject ${subject}`), `${subject}`, 0)
  const entries = counts.collect(0, true)
  t.equal(entries.length, 1_001)
  t.match(entries.at(-1), { subject: null, details: { count: 5_000 - 200 - 1_000 } })
})

import t from 'tap'
import { anonymous } from '../../lib/events.js'
import type { NewEvent } from '../../lib/events.js'
import { createFailureCounts } from '../../lib/failure-counts.js'
import { MINUTE } from './support.js'

/** How many failures are recorded one by one. */
const RECORDED = 20

function failureOf (subject: string | null, address = '203.0.113.9'): NewEvent {
  return { type: 'client_authentication_failed', actor: anonymous(address), subject }
}

t.test('the first failures are recorded at once, and the others become one entry at the end of the minute', async t => {
  const counts = createFailureCounts()
  for (let turn = 0; turn < RECORDED; turn++) t.strictSame(counts.count(failureOf(null), turn), [failureOf(null)])
  for (let turn = 0; turn < 1_000; turn++) t.strictSame(counts.count(failureOf(null), MINUTE - 1), [])
  t.strictSame(counts.collect(MINUTE - 1, false), [], 'the minute is not over')
  t.strictSame(counts.collect(MINUTE, false), [{ ...failureOf(null), details: { count: 1_000 } }])
  t.strictSame(counts.collect(2 * MINUTE, false), [], 'once')
})

t.test('while failures go on, each minute is one entry; after a quiet minute they are recorded again', async t => {
  const counts = createFailureCounts()
  for (let turn = 0; turn < RECORDED + 5; turn++) counts.count(failureOf(null), 0)
  t.match(counts.count(failureOf(null), MINUTE), [{ details: { count: 5 } }], 'even without a timer')
  for (let turn = 0; turn < 99; turn++) t.strictSame(counts.count(failureOf(null), MINUTE + 1), [])
  t.match(counts.collect(2 * MINUTE, false), [{ details: { count: 100 } }])
  t.strictSame(counts.collect(3 * MINUTE, false), [])
  t.strictSame(counts.count(failureOf(null), 3 * MINUTE), [failureOf(null)])
})

t.test('types and subjects are counted apart, and an address is named if there was only one', async t => {
  const counts = createFailureCounts()
  for (let turn = 0; turn < RECORDED + 3; turn++) {
    counts.count(failureOf('a'), 0)
    counts.count(failureOf('b', `10.0.0.${turn}`), 0)
    counts.count({ ...failureOf('a'), type: 'login_failed' }, 0)
  }
  t.strictSame(counts.collect(0, true), [
    { ...failureOf('a'), details: { count: 3 } },
    { ...failureOf('b'), actor: anonymous(null), details: { count: 3 } },
    { ...failureOf('a'), type: 'login_failed', details: { count: 3 } }
  ], 'even in the middle of a minute, if the process ends')
})

t.test('memory is bounded, because subjects beyond a thousand share one count', async t => {
  const counts = createFailureCounts()
  for (let subject = 0; subject < 5_000; subject++) counts.count(failureOf(`subject ${subject}`), 0)
  t.match(counts.collect(0, true), [{ subject: null, details: { count: 4_000 - RECORDED } }])
})

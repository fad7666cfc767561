import t from 'tap'
import { begin, expiryOf, settle, waitAfter } from '../../../lib/throttle/attempts.js'
import type { Attempts, Outcome } from '../../../lib/throttle/attempts.js'
import { createRandom, DAY, HOUR, MINUTE, SECOND } from '../support.js'

const NOW = Date.UTC(2026, 10, 3)

/** The attempts with one more under way. */
function start (before: Attempts | undefined, now: number): Attempts {
  const begun = begin(before, now)
  if ('wait' in begun) throw new Error(`It must wait for ${begun.wait} ms`)
  return begun.attempts
}

/** One attempt from its beginning to its end. */
function attempt (before: Attempts | undefined, outcome: Outcome, now: number): Attempts | undefined {
  return settle(start(before, now), { begunAt: now, outcome, now })
}

function waitOf (attempts: Attempts | undefined, now: number): number {
  const begun = begin(attempts, now)
  return 'wait' in begun ? begun.wait : 0
}

t.test('NIST 3.2.2: ten failures in a row cost nothing, then the wait doubles from a second to an hour, and a hundred close for a day', async t => {
  const waits: number[] = []
  let attempts: Attempts | undefined
  let now = NOW
  for (let failure = 1; failure <= 100; failure++) {
    attempts = attempt(attempts, 'failed', now)
    const wait = waitOf(attempts, now)
    waits.push(wait)
    t.equal(wait, waitAfter(failure))
    if (wait > 0) t.equal(waitOf(attempts, now + wait - 1), 1, 'to the millisecond')
    now += wait
  }
  t.strictSame(waits.slice(0, 10), Array(10).fill(0))
  t.strictSame(
    waits.slice(10, 24).map(wait => wait / SECOND), [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]
  )
  t.strictSame([...new Set(waits.slice(22, 99))], [HOUR])
  t.equal(waits[99], DAY)
  t.strictSame(attempt(attempts, 'failed', now)?.failures, 1, 'then it begins anew')
})

t.test('a day without an attempt forgets all, a shorter time nothing', async t => {
  let attempts: Attempts | undefined
  for (let failure = 1; failure <= 10; failure++) attempts = attempt(attempts, 'failed', NOW)
  t.equal(attempts === undefined ? 0 : expiryOf(attempts), NOW + DAY)
  t.equal(waitOf(attempt(attempts, 'failed', NOW + DAY - 1), NOW + DAY - 1), SECOND)
  t.equal(attempt(attempts, 'failed', NOW + DAY)?.failures, 1)
})

t.test('a success forgets the failures, and leaves nothing where nothing else is under way', async t => {
  let attempts: Attempts | undefined
  for (let failure = 1; failure <= 9; failure++) attempts = attempt(attempts, 'failed', NOW)
  t.equal(attempt(attempts, 'succeeded', NOW), undefined)
  t.equal(attempt(undefined, 'void', NOW), undefined)
  t.equal(attempt(attempts, 'void', NOW)?.failures, 9, 'what said nothing of the password changes nothing')
})

t.test('attempts under way are no failures: 64 at once, and none of them waits', async t => {
  let attempts: Attempts | undefined
  for (let one = 0; one < 64; one++) attempts = start(attempts, NOW)
  t.equal(waitOf(attempts, NOW), SECOND, 'the next one does')
  for (let one = 0; one < 64; one++) attempts = settle(attempts, { begunAt: NOW, outcome: 'succeeded', now: NOW })
  t.equal(attempts, undefined)
})

t.test('once waits have begun there is one at a time: the end of a wait is one guess, not a burst of them', async t => {
  let attempts: Attempts | undefined
  for (let failure = 1; failure <= 11; failure++) attempts = attempt(attempts, 'failed', NOW)
  const now = NOW + SECOND
  const begun = start(attempts, now)
  t.equal(waitOf(begun, now), SECOND)
  t.equal(waitOf(settle(begun, { begunAt: now, outcome: 'failed', now }), now), 2 * SECOND)
})

t.test('an attempt whose process died counts as a failure after five minutes, once', async t => {
  const begun = start(undefined, NOW)
  const late = NOW + 5 * MINUTE
  t.equal(settle(begun, { begunAt: late, outcome: 'void', now: late })?.failures, 1)
  const next = attempt(begun, 'failed', late)
  t.equal(next?.failures, 2)
  t.equal(
    settle(next, { begunAt: NOW, outcome: 'failed', now: late })?.failures, 2,
    'it was only slow: it is not counted twice'
  )
  t.equal(settle(next, { begunAt: NOW, outcome: 'succeeded', now: late }), undefined, 'it was only slow, and right')
  t.equal(
    settle(undefined, { begunAt: NOW, outcome: 'failed', now: late })?.failures, 1,
    'somebody forgave the rest in the meantime'
  )

  let attempts: Attempts | undefined
  let now = NOW
  for (let failure = 1; failure <= 99; failure++) {
    attempts = attempt(attempts, 'failed', now)
    now += waitOf(attempts, now)
  }
  t.equal(
    waitOf(start(attempts, now), now + 5 * MINUTE), DAY - 5 * MINUTE, 'the last of all closes the bucket, dead or alive'
  )
})

t.test('whatever is sent in whatever order, no more than a hundred guesses fail in a row, and whoever waits gets on', async t => {
  const random = createRandom(11)
  for (let round = 0; round < 100; round++) {
    let attempts: Attempts | undefined
    let now = NOW
    let inRow = 0
    const inFlight: number[] = []
    const isAttack = round % 2 === 0
    for (let step = 0; step < 600; step++) {
      const choice = random.below(10)
      if (choice < 5) {
        const begun = begin(attempts, now)
        if ('attempts' in begun) {
          attempts = begun.attempts
          inFlight.push(now)
        } else if (!(begun.wait > 0 && begun.wait <= DAY)) t.fail(`a wait of ${begun.wait}`)
      } else if (choice < 8 && inFlight.length > 0) {
        const [begunAt = 0] = inFlight.splice(random.below(inFlight.length), 1)
        const outcome = isAttack ? 'failed' : random.pick<Outcome>(['failed', 'failed', 'failed', 'succeeded', 'void'])
        attempts = settle(attempts, { begunAt, outcome, now })
        if (outcome === 'succeeded') inRow = 0
        if (outcome === 'failed') inRow++
        if (inRow > 100) t.fail(`${inRow} failures in a row`)
      } else if (inFlight.length === 0) {
        now += random.pick([0, 1, SECOND, MINUTE, HOUR])
        if (attempts === undefined || now >= expiryOf(attempts)) inRow = 0
      }
    }
    for (const begunAt of inFlight) attempts = settle(attempts, { begunAt, outcome: 'failed', now })
    t.ok(attempts === undefined || 'attempts' in begin(attempts, now + DAY))
  }
})

import t from 'tap'
import type { Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import latchkey from '../../app.js'
import { hashPassword } from '../../lib/passwords/hashing.js'
import { createRandom } from '../lib/support.js'
import { createTestClock, PASSWORD, TEST_OPTIONS } from '../helper.js'
import { createHost, databaseFile, query, SECRET, visible } from '../routes/support.js'

// Whether an account exists, and whether it is disabled, must not show in the time of the answer. No time is compared
// with a number here: a statistical test compares the times with each other, and is shown to find a difference that is
// put there on purpose.

// A machine that is busy with other things takes its time.
t.setTimeout(180_000)

const DAY = 86_400_000
const WRONG = 'a wrong password'
const KINDS = ['unknown', 'wrong', 'disabled'] as const
type Kind = typeof KINDS[number]

/** What chance makes of equal times less often than once in a million runs is a difference. */
const CERTAIN = 1e-6

/**
 * The two-sided p-value of Wilcoxon's signed-rank test of pairs that were measured next to each other, in random order:
 * that the machine gets slower over time says nothing. Normal approximation, good for more than 30 pairs.
 */
function signedRank (first: readonly number[], second: readonly number[]): number {
  const differences = first.map((value, index) => value - (second[index] ?? 0)).filter(difference => difference !== 0)
    .sort((a, b) => Math.abs(a) - Math.abs(b))
  const n = differences.length
  const sum = differences.reduce((total, difference, index) => total + Math.sign(difference) * (index + 1), 0)
  const z = Math.abs(sum) / Math.sqrt(n * (n + 1) * (2 * n + 1) / 6)
  return n === 0 ? 1 : complementaryError(z / Math.SQRT2)
}

/** Abramowitz and Stegun 7.1.26: the error is less than 2e-7. */
function complementaryError (x: number): number {
  const u = 1 / (1 + 0.3275911 * x)
  return Math.max(
    0,
    u * (0.254829592 + u * (-0.284496736 + u * (1.421413741 + u * (-1.453152027 + u * 1.061405429)))) * Math.exp(-x * x)
  )
}

const COST = 5

/** An app with the throttle on, an account that is in order, whose hash has this cost, and one that is disabled. */
async function buildApp (t: Test, cost = COST): Promise<{
  app: FastifyInstance, clock: ReturnType<typeof createTestClock>
}> {
  const file = databaseFile(t)
  const clock = createTestClock()
  const app = createHost(t)
  await app.register(
    latchkey, { ...TEST_OPTIONS, bcryptCost: COST, rateLimit: true, database: file, secret: SECRET, now: clock }
  )
  await app.ready()
  for (const username of ['wrong', 'disabled']) await app.latchkey.users.add({ username, password: PASSWORD })
  query(file, "update latchkey_users set disabled_at = 1 where username = 'disabled'")
  query(file, "update latchkey_users set password_hash = ? where username = 'wrong'", hashPassword(PASSWORD, cost))
  return { app, clock }
}

/** Times of one kind each, measured in turns whose order is random. */
async function measure (
  app: FastifyInstance, rounds: number, beforeRound: () => void
): Promise<Record<Kind, number[]>> {
  const random = createRandom(19)
  const times: Record<Kind, number[]> = { unknown: [], wrong: [], disabled: [] }
  for (let round = -5; round < rounds; round++) {
    beforeRound()
    const order = [...KINDS].map(kind => ({ kind, at: random.next() })).sort((a, b) => a.at - b.at)
    const seen = new Set<string>()
    for (const [index, { kind }] of order.entries()) {
      const remoteAddress = `10.${index}.${(round + 5) >> 8}.${(round + 5) & 255}`
      const start = performance.now()
      const response = await app.inject({
        method: 'POST', url: '/login', remoteAddress, payload: { username: kind, password: WRONG }
      })
      const time = performance.now() - start
      // The seconds that are left of the minute go on by themselves.
      seen.add(JSON.stringify(visible(response)).replace(/;t=\d+/, ''))
      if (round >= 0) times[kind].push(time)
    }
    if (seen.size !== 1) throw new Error(`Not the same answer: ${[...seen].join('\n')}`)
  }
  return times
}

function median (times: readonly number[]): number {
  return [...times].sort((a, b) => a - b)[times.length >> 1] ?? 0
}

function compare (times: Record<Kind, number[]>): Array<{ pair: string, p: number }> {
  const pairs: Array<[Kind, Kind]> = [['unknown', 'wrong'], ['unknown', 'disabled'], ['wrong', 'disabled']]
  return pairs.map(
    ([first, second]) => ({
      pair: `${first} ${median(times[first])}, ${second} ${median(times[second])}`,
      p: signedRank(times[first], times[second])
    })
  )
}

/** So many rounds find the difference on this machine, as busy as it is: as many must find none where there is none. */
let needed = 120

t.test('a difference is found: the hash of one account costs more than that of the others', async t => {
  const { app, clock } = await buildApp(t, COST + 2)
  const times: Record<Kind, number[]> = { unknown: [], wrong: [], disabled: [] }
  const isFound = (): boolean => compare(times).every(({ pair, p }) => !pair.includes('wrong') || p < CERTAIN)
  for (let batch = 0; batch < 10 && !isFound(); batch++) {
    const more = await measure(app, 60, () => clock.move(DAY))
    for (const kind of KINDS) times[kind].push(...more[kind])
  }
  for (const { pair, p } of compare(times)) {
    t.ok(
      pair.includes('wrong') ? p < CERTAIN : p > CERTAIN, `${pair}: p = ${p}`
    )
  }
  needed = Math.max(needed, times.wrong.length)
})

t.test('unknown user, wrong password and disabled user get the same answer in the same time', async t => {
  const { app, clock } = await buildApp(t)
  // Each round is a day after the other: the throttle has forgotten.
  const times = await measure(app, needed, () => clock.move(DAY))
  for (const { pair, p } of compare(times)) t.ok(p > CERTAIN, `${pair}: p = ${p}`)

  // The rounds that do not count are eleven failures, and more, on the same day.
  for (let round = 0; round < 3; round++) await measure(app, 0, () => {})
  t.equal(
    (await app.inject({ method: 'POST', url: '/login', payload: { username: 'unknown', password: WRONG } })).statusCode,
    429
  )
  const blocked = await measure(app, 200, () => {})
  for (const { pair, p } of compare(blocked)) t.ok(p > CERTAIN, `blocked: ${pair}: p = ${p}`)
})

t.test('a hash of another system does not tell its account from one that does not exist', async t => {
  // Each of the two costs more than bcrypt does here, and something else than the other.
  const [imported, costliest] = [2_000, 20_000].map(
    iterations => `$pbkdf2-sha256$${iterations}$${'A'.repeat(22)}$${'A'.repeat(43)}`
  )
  for (const kinds of [{ wrong: costliest }, { wrong: imported, disabled: costliest }]) {
    const { app, clock } = await buildApp(t)
    for (const [username, hash] of Object.entries(kinds)) {
      const take = app.latchkey.users.startImport({ update: true })
      t.match(await take([{ line: 1, value: { username, password_hash: hash } }]), [{ status: 'updated' }])
    }
    const times = await measure(app, needed, () => clock.move(DAY))
    for (const { pair, p } of compare(times)) t.ok(p > CERTAIN, `${pair}: p = ${p}`)
  }
})

t.test('the statistical test finds what is there and nothing else', async t => {
  const random = createRandom(7)
  // Times as they are: most alike, a few far out, slower towards the end.
  const draw = (
    round: number
  ): number => 5 + round / 100 + random.next() + (random.next() < 0.05 ? 50 * random.next() : 0)
  const sample = (shift: number): number[] => Array.from({ length: 200 }, (_, round) => draw(round) + shift)
  let alarms = 0
  for (let run = 0; run < 500; run++) if (signedRank(sample(0), sample(0)) < 0.01) alarms++
  t.ok(alarms <= 20, `${alarms} false alarms of 500 at 1 in 100`)
  for (let run = 0; run < 20; run++) t.ok(signedRank(sample(0.4), sample(0)) < CERTAIN)
  t.equal(signedRank([], []), 1)
})

import fc from 'fast-check'
import t from 'tap'
import { createRuleTable } from '../../../lib/revocation/rule-table.js'
import type { RuleTable } from '../../../lib/revocation/rule-table.js'
import { SEED } from '../../model/seed.js'

/** More slots than any table here has: one full round. */
const ALL = 100_000

const FIRST = 1_000

/**
 * A hash that puts all into the first part, and there into the slot that the first word says: so runs are long, cross,
 * and go round the end.
 */
const poorHash = (words: Int32Array, offset: number): number => words[offset] as number

const keyOf = (home: number, number: number): Int32Array => Int32Array.of(home, 0, number, -1)

/** Homes at both ends of 8, 16, 32 and 64 slots. */
const KEYS = [0, 1, 6, 7, 14, 15, 31, 63].flatMap(home => [1, 2, 3, 4, 5, 6, 7].map(number => keyOf(home, number)))

interface Entry { issuedBefore: number, expiresAt: number }

type Operation =
  { add: number, issuedBefore: number, expiresIn: number } |
  { sweep: number, limit: number }

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      add: fc.nat({ max: KEYS.length - 1 }),
      issuedBefore: fc.constantFrom(Infinity, Infinity, Infinity, 500, 700),
      expiresIn: fc.nat({ max: 20 })
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({ sweep: fc.nat({ max: 3 }), limit: fc.oneof(fc.nat({ max: 12 }), fc.constant(ALL)) })
  }
)

function check (table: RuleTable, model: Map<number, Entry>): void {
  if (table.size !== model.size) throw new Error(`${table.size} rules, not ${model.size}`)
  for (const [number, key] of KEYS.entries()) {
    const entry = model.get(number)
    const before = entry?.issuedBefore ?? -Infinity
    if (table.has(key) !== (entry !== undefined)) {
      throw new Error(`${entry === undefined ? 'still' : 'no longer'} a rule for ${key}`)
    }
    for (const issuedAt of [499, 500, 699, 700, 1e15]) {
      if (table.kills(key, issuedAt) !== (issuedAt < before)) {
        throw new Error(`${key}, issued at ${issuedAt}, is killed by what was issued before ${before}`)
      }
    }
  }
}

t.test('whatever is added, swept in steps, and added again: as a plain map does it', async () => {
  fc.assert(fc.property(fc.array(operation, { maxLength: 150 }), operations => {
    const table = createRuleTable(poorHash)
    const model = new Map<number, Entry>()
    let now = FIRST
    for (const operation of operations) {
      if ('add' in operation) {
        const known = model.get(operation.add)
        const rule = { issuedBefore: operation.issuedBefore, expiresAt: now + operation.expiresIn * 1_000 }
        table.add(KEYS[operation.add] as Int32Array, { issuedBefore: rule.issuedBefore, expiresAt: rule.expiresAt })
        model.set(operation.add, {
          issuedBefore: Math.max(rule.issuedBefore, known?.issuedBefore ?? -Infinity),
          expiresAt: Math.max(rule.expiresAt, known?.expiresAt ?? -Infinity)
        })
      } else {
        now += operation.sweep * 1_000
        table.sweep(now, operation.limit)
        // A step may leave what has expired, and must forget nothing else.
        for (const [number, { expiresAt }] of model) {
          if (expiresAt < now && !table.has(KEYS[number] as Int32Array)) model.delete(number)
        }
      }
      check(table, model)
    }
    // What a step missed, because it was moved, the next round finds.
    for (let round = 0; round < 2; round++) table.sweep(now, ALL)
    for (const [number, { expiresAt }] of model) if (expiresAt < now) model.delete(number)
    check(table, model)
    table.sweep(Infinity, ALL)
    table.sweep(Infinity, ALL)
    return table.size === 0
  }), { seed: SEED, numRuns: 1_000 })
})

t.test('one round of small steps forgets all that has expired, where nothing is added meanwhile', async t => {
  for (const limit of [1, 2, 3, 7, 64]) {
    const table = createRuleTable(poorHash)
    for (const [number, key] of KEYS.entries()) {
      table.add(key, { issuedBefore: Infinity, expiresAt: number % 3 === 0 ? 9_000 : 1_000 })
    }
    const kept = KEYS.filter((_, number) => number % 3 === 0)
    for (let step = 0; step < Math.ceil(2_000 / limit); step++) {
      const before = table.size
      table.sweep(5_000, limit)
      t.ok(before - table.size <= limit)
    }
    t.equal(table.size, kept.length)
    t.ok(kept.every(key => table.has(key)))
  }
})

t.test('the expiry is rounded up to a second, and what does not fit is never forgotten', async t => {
  const year2106 = 0xffffffff * 1_000
  const cases: Array<[expiresAt: number, last: number | undefined]> = [
    [1_000, 1_000],
    [1_001, 2_000],
    [1_000.5, 2_000],
    [999, 1_000],
    [0, 0],
    [-5_000, 0],
    [year2106 - 1_000, year2106 - 1_000],
    [year2106 - 999, undefined],
    [year2106, undefined],
    [Number.MAX_SAFE_INTEGER, undefined],
    [Infinity, undefined],
    [NaN, undefined]
  ]
  for (const [expiresAt, last] of cases) {
    const table = createRuleTable(poorHash)
    table.add(keyOf(3, 3), { issuedBefore: Infinity, expiresAt })
    table.sweep(last ?? Infinity, ALL)
    t.equal(table.has(keyOf(3, 3)), true, `${expiresAt} is kept`)
    if (last !== undefined) {
      table.sweep(last + 1, ALL)
      t.equal(table.has(keyOf(3, 3)), false, `${expiresAt} is forgotten after ${last}`)
    }
  }
})

t.test('the first rule with a time leaves those without one as they were, through growth, removal and shrinking', async t => {
  const table = createRuleTable(poorHash)
  const forever = (number: number): Int32Array => keyOf(number, 1)
  const timed = (number: number): Int32Array => keyOf(number, 2)
  for (let number = 0; number < 5; number++) table.add(forever(number), { issuedBefore: Infinity, expiresAt: 9_000 })
  for (let number = 0; number < 500; number++) {
    table.add(timed(number), { issuedBefore: number, expiresAt: number < 10 ? 9_000 : 1_000 })
  }
  for (let round = 0; round < 2; round++) {
    for (let number = 0; number < 5; number++) t.equal(table.kills(forever(number), 1e15), true)
    for (let number = 0; number < 10; number++) {
      t.equal(table.kills(timed(number), number - 1), true)
      t.equal(table.kills(timed(number), number), false)
    }
    table.sweep(5_000, ALL)
    table.sweep(5_000, ALL)
    t.equal(table.size, 15)
  }
})

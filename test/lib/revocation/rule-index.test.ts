import fc from 'fast-check'
import t from 'tap'
import { createId } from '../../../lib/identity/ids.js'
import { createRevocationIndex } from '../../../lib/revocation/rule-index.js'
import type { Revocable, RevocationIndex, Rule } from '../../../lib/revocation/rule-index.js'
import { SEED } from '../../model/seed.js'

const TOKEN: Revocable = { tokenId: 't', sessionId: 's', userId: 'u', clientId: 'c', roles: ['q', 'r'], issuedAt: 1_000 }

const KINDS = ['token', 'session', 'user', 'client', 'role'] as const

t.test('which rule kills which token', async t => {
  const table: Array<[name: string, rule: Partial<Rule>, isDead: boolean]> = [
    ['its jti', { kind: 'token', value: 't' }, true],
    ['its session', { kind: 'session', value: 's' }, true],
    ['its user', { kind: 'user', value: 'u' }, true],
    ['its client', { kind: 'client', value: 'c' }, true],
    ['one of its roles', { kind: 'role', value: 'r' }, true],
    ['another role', { kind: 'role', value: 'R' }, false],
    ['a role of the name of the user', { kind: 'role', value: 'u' }, false],
    ['issued before the role', { kind: 'role', value: 'q', issuedBefore: 1_001 }, true],
    ['issued after the role', { kind: 'role', value: 'q', issuedBefore: 1_000 }, false],
    ['another jti', { kind: 'token', value: 'T' }, false],
    ['the jti as a session', { kind: 'session', value: 't' }, false],
    ['the session as a jti', { kind: 'token', value: 's' }, false],
    ['the user as a client', { kind: 'client', value: 'u' }, false],
    ['the client as a user', { kind: 'user', value: 'c' }, false],
    ['a name of Object.prototype', { kind: 'user', value: '__proto__' }, false],
    ['issued a millisecond before', { kind: 'user', value: 'u', issuedBefore: 1_001 }, true],
    ['issued in that millisecond', { kind: 'user', value: 'u', issuedBefore: 1_000 }, false],
    ['issued after', { kind: 'user', value: 'u', issuedBefore: 999 }, false],
    ['before 0', { kind: 'user', value: 'u', issuedBefore: 0 }, false]
  ]
  for (const [name, rule, isDead] of table) {
    const index = createRevocationIndex()
    t.equal(index.isRevoked(TOKEN), false, `${name}: nothing before`)
    index.add({ kind: 'token', value: 'x', issuedBefore: null, expiresAt: 1, ...rule })
    t.equal(index.isRevoked(TOKEN), isDead, name)
    t.equal(index.size, 1)
    t.equal(index.hasToken('t'), rule.kind === 'token' && rule.value === 't', `${name}: hasToken`)
  }
})

t.test('names that objects have are names like others', async t => {
  const index = createRevocationIndex()
  for (const value of ['__proto__', 'constructor', 'toString', '']) {
    t.equal(index.isRevoked({ ...TOKEN, tokenId: value }), false)
    index.add({ kind: 'token', value, issuedBefore: null, expiresAt: 1 })
    t.equal(index.isRevoked({ ...TOKEN, tokenId: value }), true)
  }
})

t.test('a weaker or an older rule never replaces a stronger one, in whatever order they come', async t => {
  const rules: Rule[] = [
    { kind: 'user', value: 'u', issuedBefore: 2_000, expiresAt: 50 },
    { kind: 'user', value: 'u', issuedBefore: 500, expiresAt: 90 },
    { kind: 'user', value: 'u', issuedBefore: 1_500, expiresAt: 10 }
  ]
  for (const order of [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]]) {
    const index = createRevocationIndex()
    for (const position of order) index.add(rules[position] as Rule)
    t.equal(index.isRevoked({ ...TOKEN, issuedAt: 1_999 }), true)
    t.equal(index.isRevoked({ ...TOKEN, issuedAt: 2_000 }), false)
    index.sweep(90, 10)
    t.equal(index.size, 1, 'lives as long as the longest')
    index.sweep(91, 10)
    index.sweep(91, 10)
    t.equal(index.size, 0)
  }
  const index = createRevocationIndex()
  index.add({ kind: 'session', value: 's', issuedBefore: null, expiresAt: 1 })
  index.add({ kind: 'session', value: 's', issuedBefore: 5, expiresAt: 1 })
  t.equal(index.isRevoked(TOKEN), true, 'whenever it was issued stays that')
})

t.test('a sweep forgets what expired before the time, not at it, and looks at no more than the limit', async t => {
  const index = createRevocationIndex()
  for (let i = 0; i < 100; i++) index.add({ kind: 'token', value: `t${i}`, issuedBefore: null, expiresAt: i })
  index.sweep(50, 10)
  t.equal(index.size, 90, 'one step')
  index.sweep(50, 10)
  t.equal(index.size, 80, 'goes on where it stopped')
  for (let step = 0; step < 12; step++) index.sweep(50, 10)
  t.equal(index.size, 50)
  t.equal(index.hasToken('t49'), false)
  t.equal(index.hasToken('t50'), true)
  for (let step = 0; step < 12; step++) index.sweep(50, 10)
  t.equal(index.size, 50, 'and round again')
  index.sweep(1_000, 0)
  t.equal(index.size, 50, 'a limit of nothing')
})

t.test('a sweep in steps forgets nothing that is added, or lives, between the steps', async t => {
  const index = createRevocationIndex()
  for (let i = 0; i < 50; i++) index.add({ kind: 'token', value: `dead${i}`, issuedBefore: null, expiresAt: 1 })
  for (let i = 0; i < 30; i++) {
    index.add({ kind: 'token', value: `live${i}`, issuedBefore: null, expiresAt: 100 })
    index.add({ kind: 'token', value: `dead${i}`, issuedBefore: null, expiresAt: 100 })
    index.sweep(50, 7)
  }
  for (let i = 0; i < 30; i++) {
    t.equal(index.hasToken(`live${i}`), true)
  }
  // Added again before or after it was swept: either way its rule is there now.
  for (let i = 0; i < 30; i++) t.equal(index.hasToken(`dead${i}`), true, `dead${i} was revoked again`)
  for (let i = 30; i < 50; i++) t.equal(index.hasToken(`dead${i}`), false)
})

t.test('a token is dated after the rules of its user, of its client and of all roles', async t => {
  const index = createRevocationIndex()
  t.equal(index.clearFrom({ userId: 'u', clientId: 'c' }), 0)
  index.add({ kind: 'role', value: 'r', issuedBefore: 2_000, expiresAt: 1 })
  index.add({ kind: 'role', value: 'q', issuedBefore: 1_000, expiresAt: 1 })
  t.equal(index.clearFrom({ userId: 'u', clientId: 'c' }), 2_000)
  t.equal(index.clearFrom({ userId: 'lkc_1', clientId: 'lkc_1' }), 0, "a client's own token")
  index.add({ kind: 'user', value: 'u', issuedBefore: 3_000, expiresAt: 1 })
  t.equal(index.clearFrom({ userId: 'u', clientId: 'c' }), 3_000)
  index.add({ kind: 'role', value: 'r', issuedBefore: null, expiresAt: 1 })
  index.add({ kind: 'role', value: 'r', issuedBefore: 8e15, expiresAt: 1 })
  t.equal(index.clearFrom({ userId: 'v', clientId: 'c' }), 2_000, 'a damaged rule dates no token')
})

t.test('each kind is swept', async t => {
  const index = createRevocationIndex()
  for (const kind of KINDS) {
    for (let i = 0; i < 3; i++) index.add({ kind, value: String(i), issuedBefore: null, expiresAt: i })
  }
  index.sweep(2, 10)
  t.equal(index.size, KINDS.length)
})

t.test('a rule that was not swept yet still kills: expiry is for forgetting, not for forgiving', async t => {
  const index = createRevocationIndex()
  index.add({ kind: 'token', value: 't', issuedBefore: null, expiresAt: 0 })
  t.equal(index.isRevoked(TOKEN), true)
})

/** More places than any index here has: one full round. */
const ALL = 1_000_000

/** The same rules in plain maps: what the index must agree with, where expiries are whole seconds. */
function createModel (): Pick<RevocationIndex, 'add' | 'isRevoked' | 'hasToken' | 'size'> & {
  forget: (time: number) => void
} {
  const rules = new Map<string, { issuedBefore: number, expiresAt: number }>()
  const kills = (kind: Rule['kind'], value: string | undefined, issuedAt: number): boolean =>
    issuedAt < (rules.get(`${kind} ${value}`)?.issuedBefore ?? -Infinity)
  return {
    add ({ kind, value, issuedBefore, expiresAt }) {
      const known = rules.get(`${kind} ${value}`)
      rules.set(`${kind} ${value}`, {
        issuedBefore: Math.max(issuedBefore ?? Infinity, known?.issuedBefore ?? -Infinity),
        expiresAt: Math.max(expiresAt, known?.expiresAt ?? -Infinity)
      })
    },
    isRevoked: ({ tokenId, sessionId, userId, clientId, roles = [], issuedAt }) =>
      roles.some(name => kills('role', name, issuedAt)) ||
      kills('token', tokenId, issuedAt) || kills(
        'session', sessionId, issuedAt
      ) || kills('user', userId, issuedAt) || kills('client', clientId, issuedAt),
    hasToken: tokenId => rules.has(`token ${tokenId}`),
    forget (time) {
      for (const [name, { expiresAt }] of rules) if (expiresAt < time) rules.delete(name)
    },
    get size () {
      return rules.size
    }
  }
}

const UUID = '01934a5c-7e00-7abc-8def-0123456789ab'

/** UUIDs that differ in one place only, other spellings of them, and texts that are none. */
const VALUES = [
  UUID,
  UUID.toUpperCase(),
  UUID.replace('b', 'B'),
  `{${UUID}}`,
  ` ${UUID}`,
  `${UUID} `,
  UUID.replaceAll('-', ''),
  UUID.replace('-', '_'),
  '',
  ...[0, 7, 9, 14, 19, 24, 28, 35].map(at => UUID.slice(0, at) + (UUID[at] === 'f' ? 'e' : 'f') + UUID.slice(at + 1)),
  'x'.repeat(100_000),
  UUID.repeat(2_778),
  'alice',
  '__proto__',
  '42'
]

t.test('whatever is added and swept: as plain maps do it', async () => {
  const value = fc.constantFrom(...VALUES)
  const rule: fc.Arbitrary<Rule> = fc.record({
    kind: fc.constantFrom(...KINDS),
    value,
    issuedBefore: fc.option(fc.nat({ max: 5 })),
    expiresAt: fc.nat({ max: 9 }).map(seconds => seconds * 1_000)
  })
  const token: fc.Arbitrary<Revocable> = fc.record({
    tokenId: value,
    sessionId: fc.option(value, { nil: undefined }),
    userId: value,
    clientId: value,
    roles: fc.option(fc.array(value, { maxLength: 3 }), { nil: undefined }),
    issuedAt: fc.nat({ max: 5 })
  })
  const operation = fc.oneof({ weight: 4, arbitrary: rule }, { weight: 1, arbitrary: fc.nat({ max: 9_000 }) })
  fc.assert(fc.property(fc.array(operation, { maxLength: 100 }), fc.array(
    token,
    { minLength: 20, maxLength: 20 }
  ), fc.uint8Array({ minLength: 8, maxLength: 8 }), (operations, tokens, seed) => {
    const index = createRevocationIndex(Buffer.from(seed))
    const model = createModel()
    for (const operation of operations) {
      if (typeof operation === 'number') {
        // The second round finds what the first one missed because it was moved.
        index.sweep(operation, ALL)
        index.sweep(operation, ALL)
        model.forget(operation)
      } else {
        index.add(operation)
        model.add(operation)
      }
      if (index.size !== model.size) return false
    }
    return (
      tokens.every(token => index.isRevoked(token) === model.isRevoked(token)) &&
      VALUES.every(value => index.hasToken(value) === model.hasToken(value))
    )
  }), { seed: SEED, numRuns: 500 })
})

t.test('which rule kills which token, where all are UUIDs, and a text is only ever itself', async t => {
  for (const kind of KINDS) {
    for (const value of VALUES) {
      const index = createRevocationIndex()
      index.add({ kind, value, issuedBefore: 1_001, expiresAt: 1 })
      const tokenOf = (value: string): Revocable => ({
        tokenId: 't',
        sessionId: undefined,
        userId: 'u',
        clientId: 'c',
        issuedAt: 1_000,
        ...(kind === 'role' ? { roles: [value] } : { [`${kind}Id`]: value })
      })
      t.strictSame(VALUES.filter(value => index.isRevoked(tokenOf(value))), [value], `${kind} ${value.slice(0, 40)}`)
      t.equal(index.isRevoked({ ...tokenOf(value), issuedAt: 1_001 }), false, 'issued in that millisecond')
      index.add({ kind, value, issuedBefore: null, expiresAt: 1 })
      t.equal(index.isRevoked({ ...tokenOf(value), issuedAt: 1e15 }), true, 'whenever it was issued')
      t.equal(index.size, 1)
    }
  }
})

t.test('a hundred thousand rules, through growth, sweeps in steps and shrinking', async t => {
  const index = createRevocationIndex()
  const count = 100_000
  // Every other one expires early, every third one names a time.
  const rules = Array.from({ length: count }, (_, at): Rule => ({
    kind: at % 2 === 0 ? 'session' : 'user',
    value: createId(at),
    issuedBefore: at % 3 === 0 ? at : null,
    expiresAt: at % 4 < 2 ? 1_000 : 2_000
  }))
  const kills = ({ kind, value }: Rule, issuedAt: number): boolean =>
    index.isRevoked({ tokenId: 't', sessionId: undefined, userId: 'u', clientId: 'c', issuedAt, [`${kind}Id`]: value })
  const isRight = (rule: Rule): boolean =>
    rule.issuedBefore === null
      ? kills(rule, 1e15)
      : kills(rule, rule.issuedBefore - 1) && !kills(rule, rule.issuedBefore)

  for (const rule of rules) index.add(rule)
  t.equal(index.size, count)
  t.equal(rules.filter(isRight).length, count)
  t.equal(
    rules.some(({ kind, value }) =>
      kills({ kind: kind === 'user' ? 'session' : 'user', value, issuedBefore: null, expiresAt: 0 }, -1)
    ),
    false,
    'the other kind knows none of them'
  )

  let steps = 0
  for (let before = count; index.size > count / 2; before = index.size) {
    index.sweep(1_001, 1_000)
    if (before - index.size > 2_000) t.fail('no more than the limit of each kind')
    if (++steps > 10_000) throw new Error('What has expired is not forgotten')
  }
  const live = rules.filter(({ expiresAt }) => expiresAt === 2_000)
  t.equal(live.filter(isRight).length, live.length, 'all that has not is there')

  for (let round = 0; round < 2; round++) index.sweep(2_001, ALL)
  t.equal(index.size, 0)
  t.equal(rules.some(rule => kills(rule, -1)), false)
  for (const rule of rules) index.add(rule)
  t.equal(rules.filter(isRight).length, count, 'and grows again')
})

t.test('ids that differ in one word only are as quickly found as others', async t => {
  const hex = (number: number): string => number.toString(16).padStart(8, '0')
  const spell = (words: number[]): string =>
    words
      .map(hex)
      .join('')
      .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
  for (const step of [1, 0x10000]) {
    for (let word = 0; word < 4; word++) {
      const index = createRevocationIndex()
      const values = Array.from({ length: 50_000 }, (_, at) =>
        spell([7, 7, 7, 7].map((other, place) => (place === word ? at * step : other)))
      )
      // Were they all in one run, this would be more than a thousand million steps, and the test would not end in time.
      for (const value of values) index.add({ kind: 'token', value, issuedBefore: null, expiresAt: 1 })
      t.equal(index.size, values.length)
      t.equal(values.every(value => index.hasToken(value)), true)
      t.equal(index.hasToken(spell([7, 7, 7, 8])), word === 3 && step === 1)
    }
  }
})

import t from 'tap'
import { createRevocationIndex } from '../../lib/revocation-index.js'
import type { Revocable, Rule } from '../../lib/revocation-index.js'

const TOKEN: Revocable = { tokenId: 't', sessionId: 's', userId: 'u', clientId: 'c', issuedAt: 1_000 }

t.test('which rule kills which token', async t => {
  const table: Array<[name: string, rule: Partial<Rule>, isDead: boolean]> = [
    ['its jti', { kind: 'token', value: 't' }, true],
    ['its session', { kind: 'session', value: 's' }, true],
    ['its user', { kind: 'user', value: 'u' }, true],
    ['its client', { kind: 'client', value: 'c' }, true],
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

t.test('each kind is swept', async t => {
  const index = createRevocationIndex()
  for (const kind of ['token', 'session', 'user', 'client'] as const) {
    for (let i = 0; i < 3; i++) index.add({ kind, value: String(i), issuedBefore: null, expiresAt: i })
  }
  index.sweep(2, 10)
  t.equal(index.size, 4)
})

t.test('a rule that was not swept yet still kills: expiry is for forgetting, not for forgiving', async t => {
  const index = createRevocationIndex()
  index.add({ kind: 'token', value: 't', issuedBefore: null, expiresAt: 0 })
  t.equal(index.isRevoked(TOKEN), true)
})

import t from 'tap'
import { createRevocationIndex } from '../../../lib/revocation/rule-index.js'
import { isSoundRule, toRules } from '../../../lib/revocation/rule-rows.js'
import type { RuleRow } from '../../../lib/revocation/rule-rows.js'
import { LAST_MOMENT } from '../../../lib/store/columns.js'

const SOUND: RuleRow = { seq: 1, kind: 'user', value: 'alice', issued_before: 5_000, reason: null, expires_at: 9_000 }
const ALICE = { tokenId: 't', sessionId: 's', userId: 'alice', clientId: 'c', roles: ['r'] }

function damage (change: Partial<Record<keyof RuleRow, unknown>>): RuleRow {
  return { ...SOUND, ...change } as RuleRow
}

t.test('a sound row is one rule', async t => {
  t.ok(isSoundRule(SOUND))
  t.strictSame(toRules(SOUND), [{ kind: 'user', value: 'alice', issuedBefore: 5_000, expiresAt: 9_000 }])
})

t.test('a damaged row kills everything that it may have meant, for good', async t => {
  const damages = [
    { kind: 'what' },
    { kind: Buffer.from('user') },
    { issued_before: 'x' },
    { issued_before: 1.5 },
    { expires_at: 'x' },
    { expires_at: 9e15 },
    { kind: '', issued_before: Buffer.alloc(1), expires_at: null }
  ]
  for (const change of damages) {
    const row = damage(change)
    t.notOk(isSoundRule(row))
    const index = createRevocationIndex()
    for (const rule of toRules(row)) index.add(rule)
    t.ok(index.isRevoked({ ...ALICE, issuedAt: 4_999 }), JSON.stringify(change))
    t.notOk(index.isRevoked({ ...ALICE, userId: 'bob', issuedAt: 0 }), 'and no other user')
  }
  t.equal(toRules(damage({ kind: 'what' })).length, 5, 'everything that the value may name')
  t.match(toRules(damage({ expires_at: 'x' })), [{ expiresAt: LAST_MOMENT }])
  t.match(toRules(damage({ issued_before: 'x' })), [{ issuedBefore: null }])
})

t.test('a row that names nothing kills nothing', async t => {
  for (const value of [null, Buffer.from('alice'), 5]) t.strictSame(toRules(damage({ value })), [])
})

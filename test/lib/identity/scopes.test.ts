import t from 'tap'
import {
  assertKnownScopes, assertMayGrant, BUILT_IN_SCOPES, formatScope, narrowScope, parseScope
} from '../../../lib/identity/scopes.js'

t.test('parsing: sorted, each once, by single blanks only', async t => {
  const table: Array<[text: string, scopes: string[]]> = [
    ['', []], [' ', []], ['a', ['a']], ['b a', ['a', 'b']], ['  a   b ', ['a', 'b']], ['a a a', ['a']],
    ['A a', ['A', 'a']], ['a\tb', ['a\tb']], ['a,b', ['a,b']], ['__proto__ a', ['__proto__', 'a']]
  ]
  for (const [text, scopes] of table) {
    t.same(parseScope(text), scopes, JSON.stringify(text))
    t.same(parseScope(formatScope(scopes)), scopes)
  }
})

t.test('narrowing: what is asked for, if it was granted, and never more', async t => {
  const granted = ['admin', 'items:read']
  const table: Array<[requested: string | undefined, scopes: string[] | undefined]> = [
    [undefined, granted], ['', granted], ['   ', granted], ['admin', ['admin']], [
      'items:read admin', granted
    ], ['admin admin', ['admin']],
    [
      'admin items:write', undefined
    ], ['items:write', undefined], ['Admin', undefined], ['admi', undefined], ['admin*', undefined], ['*', undefined],
    ['admin,items:read', undefined], [
      'admin\titems:read', undefined
    ], ['__proto__', undefined], ['length', undefined], ['0', undefined]
  ]
  for (const [requested, scopes] of table) {
    const name = JSON.stringify(requested) ?? 'nothing'
    if (scopes === undefined) {
      t.throws(
        () => narrowScope(granted, requested),
        { code: 'invalid_scope', message: 'A requested scope is unknown or was not granted.' }, name
      )
    } else t.same(narrowScope(granted, requested), scopes, name)
  }
  t.same(narrowScope([], undefined), [])
  t.throws(() => narrowScope([], 'admin'), { code: 'invalid_scope' })
  const copy = narrowScope(granted, undefined)
  copy.push('root')
  t.same(granted, ['admin', 'items:read'], 'what was granted is not handed out to be changed')
})

t.test('an unknown scope is named, with those that there are', async t => {
  const catalogue = { ...BUILT_IN_SCOPES, admin: 'Administer' }
  assertKnownScopes([], catalogue)
  assertKnownScopes(['admin', 'users:read'], catalogue)
  for (const scope of ['Admin', '', 'toString', '__proto__', 'constructor', 'admin ']) {
    t.throws(
      () => assertKnownScopes(['admin', scope], catalogue),
      {
        name: 'RangeError',
        message:
          /^Unknown scope '.*': the catalogue has users:read, .*admin; add it through the option scopes \(LATCHKEY_SCOPES\)$/
      },
      scope
    )
  }
})

t.test('giving: a built-in scope only with the same in the own token, those of the app always', async t => {
  const table: Array<[own: string[], given: string[], lacking: string | undefined]> = [
    [[], [], undefined], [[], ['admin', 'items:read'], undefined], [['users:write'], ['users:write', 'admin'], undefined],
    [[], ['users:read'], 'users:read'], [['users:write'], ['admin', 'clients:write', 'users:write', 'audit:read'], 'clients:write audit:read'],
    [['Users:read'], ['users:read'], 'users:read'], [[], ['toString', '__proto__'], undefined]
  ]
  for (const [own, given, scope] of table) {
    const name = `${own.join()} gives ${given.join()}`
    if (scope === undefined) t.doesNotThrow(() => assertMayGrant(own, given), name)
    else t.throws(() => assertMayGrant(own, given), { code: 'insufficient_scope', statusCode: 403, scope }, name)
  }
})

t.test('the built-in scopes are those of the design, and cannot be changed', async t => {
  t.same(Object.keys(BUILT_IN_SCOPES).sort(), ['audit:read', 'clients:write', 'metrics:read', 'revocations:read', 'tokens:introspect', 'users:read', 'users:write'])
  t.ok(Object.isFrozen(BUILT_IN_SCOPES))
})

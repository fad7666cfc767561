import fc from 'fast-check'
import t from 'tap'
import { findUsernameProblem, keyOf, normaliseUsername } from '../../../lib/identity/usernames.js'

const named = (code: string, kind: string): string => `A username cannot contain U+${code} (${kind}).`
const SPACES = 'A username cannot begin or end with a space, or contain two spaces in a row.'
const DIRECTION =
  'A username with right-to-left letters must begin with one, end with one or a digit, and contain no other letters.'
const LENGTH = 'A username must have 1 to 254 characters.'
const mixed = (code: string): string => `A word of a username cannot mix scripts: U+${code} is from another script.`

t.test('a name that looks like another one is rejected, and the error names the character', async t => {
  const kinds: Array<[kind: string, codes: number[]]> = [
    ['a variation selector', [0xFE00, 0xFE0F, 0x180B, 0xE0100]],
    ['an invisible character', [
      0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x180E, 0x200B, 0x200D,
      0x202E, 0x2060, 0x2065, 0x3164, 0xFEFF, 0xFFA0, 0xFFF0, 0xE0001, 0xE0041
    ]],
    ['a blank character', [0x2800]],
    ['an unassigned character', [0x378, 0x2FFFF - 0x10, 0x40000]],
    ['a noncharacter', [0xFDD0, 0xFFFF, 0x10FFFF]],
    ['a private-use character', [0xE000, 0xF0000, 0x100000]],
    ['half of a surrogate pair', [0xD800, 0xDFFF]],
    ['a control character', [0, 7, 0x0A, 0x7F, 0x85]],
    ['a line separator', [0x2028, 0x2029]],
    ['a space other than U+0020', [0xA0, 0x1680, 0x2003, 0x202F, 0x3000]],
    ['a format character', [0x600, 0xFFF9, 0xFFFB]],
    ['a symbol', [0xA8, 0xB4, 0xFFFC, 0xFFFD, 0x2764, 0x1D159]],
    ['punctuation', [0xB7, 0x2019, 0x2013]],
    ['a letter', [0x640, 0x1100, 0x3131, 0xFDFA, 0x13441]],
    ['a combining mark', [0x20DD, 0x302E]]
  ]
  for (const [kind, codes] of kinds) {
    for (const code of codes) {
      const character = String.fromCodePoint(code)
      const message = named(code.toString(16).toUpperCase().padStart(4, '0'), kind)
      for (const name of [`alice${character}`, `al${character}ice`, `${character}alice`, character]) {
        t.equal(findUsernameProblem(name), message)
      }
    }
  }
})

t.test('a name cannot contain any invisible, unassigned or private-use character of Unicode', async t => {
  const unseen = /[\p{C}\p{Default_Ignorable_Code_Point}\p{Z}]/u
  for (let code = 0x80; code <= 0x10FFFF; code++) {
    const name = `a${String.fromCodePoint(code)}b`
    if (unseen.test(name) && findUsernameProblem(name) === undefined) t.fail(`U+${code.toString(16)}`)
  }
})

t.test('names of other rules', async t => {
  const table: Array<[name: string, problem: string | undefined]> = [
    ['', LENGTH], ['a'.repeat(254), undefined], ['a'.repeat(255), LENGTH], ['ﬀ'.repeat(128), LENGTH],
    [' alice', SPACES], ['alice ', SPACES], ['alice  smith', SPACES], ['alice smith', undefined],
    ['\u0301alice', 'A word of a username cannot begin with U+0301 (a combining mark).'],
    ['alice \u0301', 'A word of a username cannot begin with U+0301 (a combining mark).'],
    ['аlice', mixed('006C (a letter)')], ['alicе', mixed('0435 (a letter)')], ['Ωmega', mixed('006D (a letter)')],
    ['alice१', mixed('0967 (a number)')],
    ['bob\u0345', mixed('0345 (a combining mark)')], ['ᏣАб', mixed('0410 (a letter)')],
    ['שלוםabc', DIRECTION], ['1שלום', DIRECTION], ['שלום.', DIRECTION], ['alice٣', DIRECTION], ['محمد٣2', DIRECTION],
    ...[
      'alice', 'alice@example.com', 'a.b+c@x.de', "O'Brien", 'DOMAIN\\user', '123', 'José', 'Nguyễn', 'Hawaiʻi', 'gal·la',
      'иван', 'иван@example.com', 'иван_ivanov', 'Ωμέγα', 'ԱԲԳ', '山田たろう', '田中kana', 'ジョン・スミス', 'ﾊﾝ', '김철수',
      '김철수'.normalize(
        'NFD'
      ), 'שלום', 'ג׳ורג׳', 'שלום שלום2', 'محمد', 'عليّ', 'محمد٣', 'नमस्ते', '१२३', 'ไทย', 'ᏣᎳᎩ', 'ﬁona', '👩', 'zoe🔑'
    ].map((name): [string, undefined] => [name, undefined])
  ]
  for (const [name, problem] of table) t.equal(findUsernameProblem(name), problem, name)
})

t.test('usernames are stored in NFKC', async t => {
  t.equal(normaliseUsername('Ａｌｉｃｅ'), 'Alice')
  t.throws(
    () => normaliseUsername('alice\u200B'),
    { code: 'invalid_request', message: named('200B', 'an invisible character') }
  )
})

t.test('names that differ by width, case, form, a final sigma or a hidden dot have the same key', async t => {
  for (const names of [
    ['alice', 'ALICE', 'Ａlice', 'ａＬＩＣＥ'], ['josé', 'JOSE\u0301'], ['νικος', 'ΝΙΚΟΣ', 'νικοσ'], [
      'istanbul', 'ISTANBUL', 'İSTANBUL', 'i\u0307stanbul'
    ],
    ['fiona', 'ﬁona'], ['straße', 'STRAẞE']
  ]) t.strictSame(new Set(names.map(keyOf)).size, 1, names.join(' '))
  t.not(keyOf('straße'), keyOf('strasse'))
})

t.test('the key of a key is the same key, for any text', async t => {
  const marks = fc.constantFrom(
    '\u0307', '\u0301', '\u0323', '\u0345', 'İ', 'i', 'ς', 'Σ', 'ẞ', 'ﬁ', '\u1100', '\u1161'
  )
  const texts = fc.array(fc.oneof(fc.string({ unit: 'binary' }), marks)).map(parts => parts.join(''))
  fc.assert(fc.property(texts, text => keyOf(keyOf(text)) === keyOf(text)), { numRuns: 2_000 })
  for (let code = 0; code <= 0x10FFFF; code++) {
    const text = `i${String.fromCodePoint(code)}\u0307`
    if (keyOf(keyOf(text)) !== keyOf(text)) t.fail(`U+${code.toString(16)}`)
  }
})

t.test('a text that is too long for a username is never normalised, and has no key of a username', async t => {
  // Four units that NFKC composes into one: the longest text that becomes a username.
  const longest = '\u03B1\u0313\u0300\u0345'.repeat(254)
  t.equal(findUsernameProblem(longest), undefined)
  t.equal(keyOf(longest), keyOf('\u1F82'.repeat(254)))
  const calls = t.capture(String.prototype, 'normalize')
  for (const text of [`${longest}x`, 'i' + '\u0307\u0323'.repeat(50_000), 'x'.repeat(1_000_000)]) {
    t.equal(findUsernameProblem(text), LENGTH)
    t.equal(keyOf(text), text)
  }
  t.strictSame(calls(), [])
})

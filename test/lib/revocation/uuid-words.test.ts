import fc from 'fast-check'
import t from 'tap'
import { createId } from '../../../lib/identity/ids.js'
import { readUuid } from '../../../lib/revocation/uuid-words.js'
import { SEED } from '../../model/seed.js'

const options = { seed: SEED, numRuns: 2_000 }
const UUID = '01234567-89ab-7cde-8f01-fedcba987654'

/** The text that the words stand for, or undefined where it could not be read. */
function respell (text: string): string | undefined {
  const words = new Int32Array(4)
  if (!readUuid(text, words)) return undefined
  const hex = Array.from(words, word => (word >>> 0).toString(16).padStart(8, '0')).join('')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

t.test('a UUID comes back as it was, whatever its version', async t => {
  for (const text of [
    UUID,
    createId(Date.now()),
    '00000000-0000-0000-0000-000000000000',
    'ffffffff-ffff-ffff-ffff-ffffffffffff'
  ]) { t.equal(respell(text), text) }
  fc.assert(fc.property(fc.uuid(), text => respell(text) === text), options)
})

t.test('any other text is none: no two texts have the same words', async t => {
  const others: Array<[name: string, text: string]> = [
    ['empty', ''],
    ['upper case', UUID.toUpperCase()],
    ['one letter in upper case', UUID.replace('b', 'B')],
    ['in braces', `{${UUID}}`],
    ['as a URN', `urn:uuid:${UUID}`],
    ['without hyphens', UUID.replaceAll('-', '')],
    ['without hyphens, filled up', UUID.replaceAll('-', '').padEnd(36, '0')],
    ['a hyphen elsewhere', '0123456-789ab-7cde-8f01-fedcba987654'],
    ['hyphens only', '-'.repeat(36)],
    ['a space before', ` ${UUID.slice(1)}`],
    ['a line feed behind', `${UUID.slice(0, -1)}\n`],
    ['one character more', `${UUID}0`],
    ['one character less', UUID.slice(1)],
    ['100 kB', 'a'.repeat(100_000)],
    ['100 kB of it', UUID.repeat(2_778)]
  ]
  for (const [name, text] of others) t.equal(respell(text), undefined, name)
  // Each place in turn: digits of other scripts, what stands beside the digits in ASCII, and what looks like one in its
  // lower bits.
  for (let at = 0; at < UUID.length; at++) {
    for (const character of [
      '/',
      ':',
      '@',
      'A',
      'G',
      '`',
      'g',
      '\0',
      '_',
      '\x7f',
      '\x80',
      '\xad',
      '\xb0',
      '\u0130',
      '\u0660',
      '\u2010',
      '\uff10',
      '\uff41',
      '\uffff'
    ]) {
      const text = UUID.slice(0, at) + character + UUID.slice(at + 1)
      if (respell(text) !== undefined) t.fail(`${JSON.stringify(character)} at ${at}`)
    }
  }
  const text = fc.oneof(
    fc.string(),
    fc.string({ minLength: 36, maxLength: 36, unit: fc.constantFrom(...'0123456789abcdefABCDEF-') }),
    fc.mixedCase(fc.uuid())
  )
  fc.assert(fc.property(text, text => [undefined, text].includes(respell(text))), options)
})

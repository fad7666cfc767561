import t from 'tap'
import { findSizeProblem, generatePassword, MAX_PASSWORD_BYTES } from '../../../lib/passwords/policy.js'

const SHORT = 'It is shorter than 15 characters.'
const LONG = 'It is longer than 1,024 bytes.'
const NOT_UNICODE = 'It contains a character that is not valid Unicode.'

t.test('the size of a password', async (t) => {
  const table: Array<[password: string, reason: string | undefined, minLength?: number]> = [
    ['', SHORT],
    ['fourteen chars', SHORT],
    ['fifteen  chars!', undefined],
    ['🔑'.repeat(14), SHORT],
    ['e\u0301'.repeat(8) + 'abcdef', SHORT],
    ['short but ok', undefined, 12],
    ['x'.repeat(1024), undefined],
    ['x'.repeat(1025), LONG],
    ['é'.repeat(513), LONG],
    ['\ufdfa'.repeat(100), LONG],
    // Two units each, and one byte after NFKC.
    ['\u{1D41A}'.repeat(1024), undefined],
    ['\u{1D41A}'.repeat(1025), LONG],
    ['i' + '\u0307\u0323'.repeat(50_000), LONG],
    ['fifteen chars \ud800', NOT_UNICODE],
    ['\udc00 fifteen chars', NOT_UNICODE]
  ]
  for (const [password, reason, minLength = 15] of table) {
    t.equal(findSizeProblem(password, minLength), reason, password.slice(0, 40))
  }
  t.equal(MAX_PASSWORD_BYTES, 1024)
})

t.test('a text that is too long for a password is never normalised', async t => {
  const calls = t.capture(String.prototype, 'normalize')
  t.equal(findSizeProblem('x'.repeat(1_000_000), 15), LONG)
  t.strictSame(calls(), [])
})

t.test('generated passwords', async (t) => {
  const made = Array.from({ length: 50 }, generatePassword)
  for (const password of made) t.match(password, /^[A-Za-z0-9_-]{24}$/)
  t.equal(new Set(made).size, 50)
})

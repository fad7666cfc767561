import t from 'tap'
import { createId } from '../../../lib/identity/ids.js'
import { formatRefreshToken, readRefreshToken } from '../../../lib/sessions/refresh-token.js'

const KEY = Buffer.alloc(32, 1)
const NONCE = Buffer.alloc(18, 5).toString('base64url')
const SESSION = createId(Date.UTC(2026, 1, 1))
const PARTS = { key: KEY, nonce: NONCE, sessionId: SESSION }

function accepts (token: string, keys = [KEY]): boolean {
  return readRefreshToken(keys, token) !== undefined
}

t.test('what was formatted is parsed and authentic', async t => {
  for (const generation of [0, 1, 2, 255, 256, 2 ** 32, 2 ** 48 - 1]) {
    const token = formatRefreshToken({ ...PARTS, generation })
    t.match(token, /^lkr_[A-Za-z0-9_-]{96}$/)
    t.strictSame(readRefreshToken([KEY], token), { sessionId: SESSION, generation, nonce: NONCE })
    t.equal(accepts(token), true)
    t.equal(formatRefreshToken({ ...PARTS, generation }), token, 'and derived: the same each time')
  }
  t.throws(() => formatRefreshToken({ ...PARTS, generation: 2 ** 48 }), 'what does not fit')
})

t.test('each flipped bit of the decoded bytes makes it another token', async t => {
  const bytes = Buffer.from(formatRefreshToken({ ...PARTS, generation: 7 }).slice(4), 'base64url')
  let accepted = 0
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = Buffer.from(bytes)
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    if (accepts('lkr_' + flipped.toString('base64url'))) accepted++
  }
  t.equal(bytes.length * 8, 576)
  t.equal(accepted, 0)
})

t.test('each flipped bit of the text, and each other character, is refused', async t => {
  const token = formatRefreshToken({ ...PARTS, generation: 7 })
  const accepted: string[] = []
  for (let position = 0; position < token.length; position++) {
    for (let code = 0; code < 256; code++) {
      if (code === token.charCodeAt(position)) continue
      const other = token.slice(0, position) + String.fromCharCode(code) + token.slice(position + 1)
      if (accepts(other)) accepted.push(other)
    }
  }
  t.same(accepted, [])
})

t.test('no second spelling is parsed', async t => {
  // A token whose bytes give both characters in which the alphabets of base64 differ.
  const token = Array.from(
    { length: 200 }, (_, i) => formatRefreshToken({ ...PARTS, generation: i })
  ).find(text => /-/.test(text) && /_.*_/.test(text)) ?? ''
  const table: Array<[name: string, text: string]> = [
    ['base64 instead of base64url', 'lkr_' + token.slice(4).replaceAll('-', '+').replaceAll('_', '/')],
    ['only one of them', token.replace('-', '+')],
    ['padded', token + '='],
    ['a character less', token.slice(0, -1)],
    ['a character more', token + 'A'],
    ['a blank in it', token.slice(0, 20) + ' ' + token.slice(21)],
    ['a line break in it', token.slice(0, 20) + '\n' + token.slice(21)],
    ['a blank before it', ' ' + token.slice(0, -1)],
    ['upper-case prefix', 'LKR_' + token.slice(4)],
    ['another prefix', 'lka_' + token.slice(4)],
    ['a surrogate in it', token.slice(0, 20) + '\ud800' + token.slice(21)],
    ['NUL in it', token.slice(0, 20) + '\0' + token.slice(21)],
    ['nothing', ''],
    ['the prefix alone', 'lkr_']
  ]
  t.ok(accepts(token))
  for (const [name, text] of table) t.equal(accepts(text), false, name)
})

t.test('another key, another nonce or another session gives another MAC', async t => {
  const token = formatRefreshToken({ ...PARTS, generation: 1 })
  const other = Buffer.alloc(32, 2)
  t.equal(accepts(token, [other]), false)
  t.equal(accepts(token, []), false)
  t.equal(accepts(token, [other, KEY]), true, 'a list: each of them')
  const macs = [
    token,
    formatRefreshToken({ ...PARTS, generation: 2 }),
    formatRefreshToken({ ...PARTS, generation: 1, key: other }),
    formatRefreshToken({ ...PARTS, generation: 1, nonce: Buffer.alloc(18, 6).toString('base64url') }),
    formatRefreshToken({ ...PARTS, generation: 1, sessionId: createId(1) })
  ].map(text => text.slice(-43))
  t.equal(new Set(macs).size, macs.length)
})

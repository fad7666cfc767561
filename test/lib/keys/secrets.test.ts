import t from 'tap'
import { deriveKeys, seal, unseal } from '../../../lib/keys/secrets.js'

const SECRET = 'a secret of at least thirty-two bytes'
const [{ seal: KEY }] = deriveKeys([SECRET])

t.test('what is sealed opens, and each time it looks different', async t => {
  for (const text of ['', 'a', 'é🔑\0', 'x'.repeat(5_000)]) {
    const sealed = seal(KEY, text, 'context')
    t.match(sealed, /^[A-Za-z0-9_-]+$/)
    t.equal(unseal(KEY, sealed, 'context'), text)
    t.not(seal(KEY, text, 'context'), sealed)
  }
})

t.test('one flipped bit anywhere - nonce, tag, ciphertext - and it does not open', async t => {
  const bytes = Buffer.from(seal(KEY, 'the private key', 'context'), 'base64url')
  t.equal(bytes.length, 12 + 16 + 15)
  const opened: number[] = []
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = Buffer.from(bytes)
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    if (unseal(KEY, flipped.toString('base64url'), 'context') !== undefined) opened.push(bit)
  }
  t.same(opened, [])
})

t.test('no part of it opens, and nothing else does', async t => {
  const bytes = Buffer.from(seal(KEY, 'the private key', 'context'), 'base64url')
  for (let length = 0; length < bytes.length; length++) {
    if (unseal(
      KEY, bytes.subarray(0, length).toString('base64url'), 'context'
    ) !== undefined) t.fail(`${length} bytes open`)
  }
  t.equal(
    unseal(KEY, Buffer.concat([bytes, Buffer.alloc(1)]).toString('base64url'), 'context'), undefined, 'a byte more'
  )
  t.equal(unseal(KEY, '', 'context'), undefined)
  t.equal(unseal(KEY, 'not sealed at all, but long enough to look like it', 'context'), undefined)
})

t.test('another key and another context do not open', async t => {
  const sealed = seal(KEY, 'the private key', 'kid ES256')
  const [other] = deriveKeys([`${SECRET}.`])
  t.equal(unseal(other.seal, sealed, 'kid ES256'), undefined)
  t.equal(unseal(deriveKeys([SECRET])[0].refresh, sealed, 'kid ES256'), undefined, 'the key of the other purpose')
  for (const context of [
    '', 'kid', 'kid ES256 ', 'kid RS256', 'KID ES256'
  ]) t.equal(unseal(KEY, sealed, context), undefined, context)
})

t.test('derived keys: 256 bits, the same each time, different by purpose and by secret', async t => {
  const keys = deriveKeys([SECRET, `${SECRET}.`, SECRET.toUpperCase()])
  t.equal(keys.length, 3)
  const all = keys.flatMap(({ refresh, seal }) => [refresh, seal])
  for (const key of all) t.equal(key.length, 32)
  t.equal(new Set(all.map(key => key.toString('hex'))).size, 6)
  t.same(deriveKeys([SECRET])[0], keys[0], 'in the order given')
  t.notOk(all.some(key => key.includes(SECRET)))
  t.throws(() => deriveKeys([]), RangeError)
})

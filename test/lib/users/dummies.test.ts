import t from 'tap'
import { createDummyReader } from '../../../lib/users/dummies.js'
import { createWorld } from '../support.js'

t.test('many kinds of hashes of one family do not hide another family', async t => {
  const { users, store, clock } = await createWorld(t)
  const digest = Buffer.alloc(32, 7).toString('base64')
  const hashes = Array.from({ length: 40 }, (_, index) => `pbkdf2_sha256$${1_000 + index}$salt$${digest}`)
  hashes.push(`${'a'.repeat(32)}:${'b'.repeat(128)}`)
  const rows = hashes.map((password_hash, index) => ({
    line: index + 1, value: { username: `user ${index}`, password_hash }
  }))
  await users.startImport()(rows)

  const dummies = await createDummyReader({ store, clock })()
  t.match(dummies.map(hash => hash.split('$')[1]).sort(), ['pbkdf2-sha256', 'scrypt'])
})

import { createPrivateKey } from 'node:crypto'
import t from 'tap'
import { createClock } from '../../lib/clock.js'
import { loadKeys } from '../../lib/keys.js'
import type { SigningKey } from '../../lib/keys.js'
import { deriveKeys } from '../../lib/secrets.js'
import type { Store } from '../../lib/store/store.js'
import { ALGORITHMS } from '../../schemas/common.js'
import type { Algorithm } from '../../schemas/common.js'
import { connectTo, createWall, databaseIn, openStore, signatureOf, verifySignature } from './support.js'

const SECRET = 'a secret of at least thirty-two bytes'
const OTHER = 'another secret of thirty-two bytes or more'

function load (store: Store, algorithm: Algorithm = 'ES256', secrets = [SECRET], wall = createWall()): Promise<SigningKey[]> {
  const [first, ...others] = deriveKeys(secrets)
  return loadKeys({ store, clock: createClock(wall, () => 0), algorithm, sealKeys: [first.seal, ...others.map(({ seal }) => seal)] })
}

const MEMBERS: Record<Algorithm, string[] | null> = {
  ES256: ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'],
  EdDSA: ['alg', 'crv', 'kid', 'kty', 'use', 'x'],
  RS256: ['alg', 'e', 'kid', 'kty', 'n', 'use'],
  PS256: ['alg', 'e', 'kid', 'kty', 'n', 'use'],
  HS256: null
}

for (const algorithm of ALGORITHMS) {
  t.test(`${algorithm}: made once, kept sealed, public members only in the JWK`, async t => {
    const file = databaseIn(t)
    const store = await openStore(t, file)
    const [key, ...more] = await load(store, algorithm)
    t.same(more, [])
    if (key === undefined) throw new Error('no key')
    t.equal(key.algorithm, algorithm)
    t.equal(key.createdAt, createWall()())
    t.equal(verifySignature(key, 'text', signatureOf(key, 'text')), true, 'both halves belong together')
    t.same(key.jwk === null ? null : Object.keys(key.jwk).sort(), MEMBERS[algorithm])
    if (key.jwk !== null) t.match(key.jwk, { kid: key.kid, alg: algorithm, use: 'sig' })

    const row = connectTo(t, file).prepare('select * from keys').get() as Record<string, unknown>
    const shown = Object.values(row).map(String).join('\n')
    if (typeof key.private === 'string') {
      const { d, p, q } = createPrivateKey(key.private).export({ format: 'jwk' })
      for (const part of [d, p, q]) if (part !== undefined) t.notOk(shown.includes(part), 'no private member in the row')
      for (const line of key.private.trim().split('\n')) t.notOk(shown.includes(line.trim()), 'no line of the PEM')
      if (algorithm.endsWith('S256') && algorithm !== 'ES256') t.equal(createPrivateKey(key.private).asymmetricKeyDetails?.modulusLength, 2048)
    } else {
      t.ok(key.private.length >= 32)
      for (const encoding of ['base64url', 'base64', 'hex'] as const) t.notOk(shown.includes(key.private.toString(encoding)), encoding)
    }

    t.same(await load(store, algorithm), [key], 'the next start finds it')
    const second = await openStore(t, file)
    t.same(await load(second, algorithm), [key], 'and so does the next process')
  })
}

t.test('changing the algorithm makes one more key and keeps the others, oldest first', async t => {
  const store = await openStore(t)
  const wall = createWall()
  for (const [count, algorithm] of ALGORITHMS.entries()) {
    wall.move(1)
    const keys = await load(store, algorithm, [SECRET], wall)
    t.same(keys.map(key => key.algorithm), ALGORITHMS.slice(0, count + 1))
  }
  t.equal((await load(store, 'ES256')).length, ALGORITHMS.length, 'and back again makes none')
})

t.test('loads at once make one key, and all of them return it', async t => {
  const file = databaseIn(t)
  const stores = [await openStore(t, file), await openStore(t, file), await openStore(t, file)]
  const loaded = await Promise.all(stores.flatMap(store => [load(store), load(store), load(store)]))
  t.equal(new Set(loaded.map(keys => JSON.stringify(keys))).size, 1)
  t.equal(loaded[0]?.length, 1)
})

t.test('a wrong secret: one sentence that names the option, and nothing is made or changed', async t => {
  const file = databaseIn(t)
  const store = await openStore(t, file)
  const [key] = await load(store)
  const rows = connectTo(t, file).prepare('select * from keys')
  const before = rows.all()
  for (const algorithm of ALGORITHMS) {
    await t.rejects(load(store, algorithm, [OTHER]), {
      message: `The option secret (LATCHKEY_SECRET, or the .secret file beside the database) does not open the signing key ${key?.kid}: give the secret that this database was made with`
    }, algorithm)
  }
  t.same(rows.all(), before)
})

t.test('a secret in rotation: the old one opens what is there, the first one seals what is new', async t => {
  const store = await openStore(t)
  const [old] = await load(store, 'ES256', [SECRET])
  t.same(await load(store, 'ES256', [OTHER, SECRET]), [old])
  const keys = await load(store, 'HS256', [OTHER, SECRET])
  t.equal(keys.length, 2)
  await t.rejects(load(store, 'HS256', [SECRET]), /secret/, 'the new key is not sealed with the old secret')
})

t.test('a sealed key that is moved to another row, or given another algorithm, does not open', async t => {
  const file = databaseIn(t)
  const store = await openStore(t, file)
  await load(store, 'RS256')
  const other = connectTo(t, file)
  other.exec("update keys set algorithm = 'PS256'")
  await t.rejects(load(store, 'PS256'), /does not open the signing key/)
  other.exec("update keys set algorithm = 'RS256'")
  await t.resolves(load(store, 'RS256'))
  other.exec("update keys set kid = 'another'")
  await t.rejects(load(store, 'RS256'), /does not open the signing key another/)
})

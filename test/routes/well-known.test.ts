import { createPublicKey, verify } from 'node:crypto'
import t from 'tap'
import { bearer, build, logIn } from '../helper.js'
import { claimsOf, cryptoOf, databaseFile, headerOf, mint, openSigningKey, SECRET } from './support.js'

const PUBLIC_MEMBERS: Record<string, string[]> = {
  ES256: ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'],
  EdDSA: ['alg', 'crv', 'kid', 'kty', 'use', 'x'],
  RS256: ['alg', 'e', 'kid', 'kty', 'n', 'use'],
  PS256: ['alg', 'e', 'kid', 'kty', 'n', 'use']
}

for (const algorithm of ['ES256', 'RS256', 'PS256', 'EdDSA'] as const) {
  t.test(`a token of ${algorithm} is good here, and for whoever has nothing but the JWKS`, async t => {
    const { app } = await build(t, { algorithm })
    const { access_token: token } = await logIn(app)
    t.equal((await app.inject({ url: '/protected-route', headers: bearer(token) })).statusCode, 200)

    const response = await app.inject({ url: '/.well-known/jwks.json' })
    t.equal(response.statusCode, 200)
    t.match(response.headers['cache-control'], /^public, max-age=\d+$/)
    const { keys }: { keys: Array<Record<string, string>> } = response.json()
    const [jwk = {}] = keys
    t.equal(keys.length, 1)
    t.strictSame(Object.keys(jwk).sort(), PUBLIC_MEMBERS[algorithm], 'public members only')
    t.strictSame([jwk.alg, jwk.use, jwk.kid], [algorithm, 'sig', headerOf(token).kid])

    const [header, payload, signature = ''] = token.split('.')
    const { digest, options } = cryptoOf(algorithm)
    const key = { key: createPublicKey({ key: jwk, format: 'jwk' }), ...options }
    t.ok(verify(digest, Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, 'base64url')))
    t.notOk(verify(digest, Buffer.from(`${header}.${payload}x`), key, Buffer.from(signature, 'base64url')))
    if (algorithm.endsWith('S256') && algorithm !== 'ES256') {
      t.ok(
        Buffer.from(jwk.n ?? '', 'base64url').length >= 256, '2048 bits at least'
      )
    }
  })
}

t.test('a token of HS256 is good here, and the JWKS never shows a symmetric key', async t => {
  const file = databaseFile(t)
  const { app } = await build(t, { algorithm: 'HS256', database: file, secret: SECRET })
  const { access_token: token } = await logIn(app)
  t.equal((await app.inject({ url: '/protected-route', headers: bearer(token) })).statusCode, 200)
  t.strictSame((await app.inject({ url: '/.well-known/jwks.json' })).json(), { keys: [] })
  const { key } = openSigningKey(file)
  t.ok(Buffer.isBuffer(key) && key.length === 32)
  t.equal(mint('HS256', key, headerOf(token), claimsOf(token)), token, 'the signature is what node:crypto makes of it')
})

t.test('after a change of the algorithm the tokens of the old key go on, and both keys are shown', async t => {
  const file = databaseFile(t)
  const { app: before } = await build(t, { database: file, secret: SECRET })
  const { access_token: old } = await logIn(before)
  await before.close()
  const { app: after } = await build(t, { database: file, secret: SECRET, algorithm: 'EdDSA' })
  const { access_token: fresh } = await logIn(after)
  t.equal(headerOf(fresh).alg, 'EdDSA')
  for (const token of [old, fresh]) {
    t.equal(
      (await after.inject({ url: '/protected-route', headers: bearer(token) })).statusCode, 200
    )
  }
  const { keys } = (await after.inject({ url: '/.well-known/jwks.json' })).json()
  t.strictSame(keys.map((key: { alg: string }) => key.alg).sort(), ['ES256', 'EdDSA'].sort())
})

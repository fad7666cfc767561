import t from 'tap'
import { build, logIn } from '../helper.js'
import type { TokenBody } from '../helper.js'
import { claimsOf, databaseFile, headerOf, openSigningKey, SECRET } from '../routes/support.js'

// RFC 7515 to 7519, 8725, 9068: what no other test proves. See the table in docs/standards.md.

const ALGORITHMS = ['HS256', 'RS256', 'PS256', 'EdDSA', 'ES256'] as const

interface Jwk { kty: string, alg: string, n?: string }

// One database that has had a key of every algorithm.
const tokens: Record<string, string> = {}
let keys: Jwk[] = []

t.before(async () => {
  const file = databaseFile(t)
  for (const algorithm of ALGORITHMS) {
    const { app } = await build(t, { database: file, secret: SECRET, algorithm })
    tokens[algorithm] = (await logIn(app)).access_token
    keys = (await app.inject('/.well-known/jwks.json')).json().keys
    await app.close()
  }
})

t.test('RFC 9068 2.1: every token is signed and says its type, and RS256 is there to be chosen', async t => {
  for (const algorithm of ALGORITHMS) {
    const token = tokens[algorithm] ?? ''
    t.match(headerOf(token), { alg: algorithm, typ: 'at+jwt' })
    t.not(token.split('.')[2], '')
  }
})

t.test('RFC 7517 9.2: the JWKS has no private member and no symmetric key', async t => {
  t.strictSame(keys.map(({ alg }) => alg).sort(), ALGORITHMS.filter(algorithm => algorithm !== 'HS256').sort())
  for (const key of keys) {
    t.not(key.kty, 'oct')
    for (const secret of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']) {
      t.notOk(
        Object.hasOwn(key, secret), `${key.alg} has no ${secret}`
      )
    }
  }
})

t.test('RFC 7518 3.3, RFC 7518 3.5: an RSA key has 2048 bits', async t => {
  const rsa = keys.filter(({ kty }) => kty === 'RSA')
  t.equal(rsa.length, 2)
  for (const { alg, n = '' } of rsa) {
    t.ok(
      BigInt(`0x${Buffer.from(n, 'base64url').toString('hex')}`) >= 2n ** 2047n, alg
    )
  }
})

t.test('RFC 7518 3.2, RFC 8725 3.5: an HMAC key has 256 bits and is no password, and no secret of fewer is taken', async t => {
  const file = databaseFile(t)
  await build(t, { database: file, secret: SECRET, algorithm: 'HS256' })
  const { key } = openSigningKey(file)
  t.ok(Buffer.isBuffer(key) && key.length * 8 >= 256)
  for (const secret of [
    'marble otter sings at noon', 'x'.repeat(31), [SECRET, 'short']
  ]) await t.rejects(build(t, { secret }), /secret/, String(secret))
})

t.test('RFC 7519 4.1.7: no two access tokens have one jti, not even those that one refresh token gets at once', async t => {
  const { app } = await build(t)
  const { refresh_token: token } = await logIn(app)
  const answers = await Promise.all(Array.from(
    { length: 30 }, () => app.inject({ method: 'POST', url: '/refresh', payload: { refresh_token: token } })
  ))
  const tokens = answers.map(answer => answer.json<TokenBody>())
  t.equal(new Set(tokens.map(tokens => tokens.refresh_token)).size, 1, 'the same successor')
  t.equal(new Set(tokens.map(tokens => claimsOf(tokens.access_token).jti)).size, 30)
})

import { generateKeyPairSync } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import t from 'tap'
import { KEY_LEAD } from '../../../lib/keys/life.js'
import { parseSigningKey, parseVerifyOnlyKey } from '../../../lib/keys/import.js'
import type { Algorithm } from '../../../schemas/algorithms.js'
import { createWorld, databaseIn, openKeys } from '../support.js'

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const ed = generateKeyPairSync('ed25519')

function pem (key: KeyObject, type: 'pkcs8' | 'pkcs1' | 'sec1' | 'spki' = 'pkcs8'): string {
  return key.export({ type: type as 'pkcs8', format: 'pem' }).toString()
}

function jwk (key: KeyObject, members: object = {}): string {
  return JSON.stringify({ ...key.export({ format: 'jwk' }), ...members })
}

t.test('keys to sign with, in each form: pending like a rotation, or at once', async t => {
  const table: Array<[string, Algorithm, string]> = [
    ['PKCS #8', 'ES256', pem(ec.privateKey)], ['SEC 1', 'ES256', pem(ec.privateKey, 'sec1')],
    [
      'SEC 1 after its parameters, as openssl writes it', 'ES256',
      `-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n${pem(ec.privateKey, 'sec1')}`
    ],
    ['a JWK', 'ES256', jwk(ec.privateKey, { alg: 'ES256', use: 'sig', key_ops: ['sign'] })],
    ['PKCS #1', 'RS256', pem(rsa.privateKey, 'pkcs1')], ['RSA for PS256', 'PS256', pem(rsa.privateKey)], [
      'an RSA JWK that says PS256', 'PS256', jwk(rsa.privateKey, { alg: 'PS256' })
    ],
    ['Ed25519', 'EdDSA', pem(ed.privateKey)], ['an Ed25519 JWK', 'EdDSA', jwk(ed.privateKey)],
    ['an HMAC JWK', 'HS256', JSON.stringify({ kty: 'oct', k: Buffer.alloc(32, 3).toString('base64url'), alg: 'HS256' })]
  ]
  for (const [name, algorithm, text] of table) {
    const world = await createWorld(t, { file: databaseIn(t) })
    const { keys, tokens } = await openKeys(world, { algorithm })
    const key = await keys.importSigningKey(Buffer.from(`${text}\n`))
    t.match(key, { algorithm, state: 'pending', activatesAt: world.wall() + KEY_LEAD }, name)
    await t.rejects(
      keys.importSigningKey(Buffer.from(text)),
      { code: 'duplicate_key', message: `This key already exists as ${key.kid}: there is nothing to do` }, name
    )
    world.wall.move(KEY_LEAD)
    const token = await tokens.sign(await world.sessions.start(await world.addUser()))
    t.equal(JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid, key.kid, name)
    t.match(await tokens.verify(token), { clientId: 'latchkey' }, name)
  }
})

t.test('at once, under its own name, and what stands in the way', async t => {
  const world = await createWorld(t)
  const { keys } = await openKeys(world)
  t.match(
    await keys.importSigningKey(Buffer.from(jwk(ec.privateKey, { kid: 'mine' })), { immediately: true }),
    { kid: 'mine', state: 'active', signs: true }
  )
  const another = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  await t.rejects(
    keys.importSigningKey(Buffer.from(jwk(another, { kid: 'mine' }))),
    { code: 'duplicate_key', message: /give this one another kid/ }
  )
  t.match(
    await keys.importSigningKey(Buffer.from(jwk(another, { kid: 'mine' })), { kid: 'other' }),
    { kid: 'other', state: 'pending' }
  )
  for (const immediately of [true, false]) {
    await t.rejects(
      keys.importSigningKey(
        Buffer.from(pem(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)), { immediately }
      ),
      { code: 'pending_key', message: /^The key other is pending: wait/ }
    )
  }
  await keys.revoke('other')
  await t.rejects(
    keys.importSigningKey(Buffer.from(jwk(another)), { kid: 'other' }), { code: 'duplicate_key' }, 'revoked is revoked'
  )
  for (const kid of ['', 'a b', 'ä', 'x'.repeat(129), 'a\n']) {
    await t.rejects(
      keys.importSigningKey(Buffer.from(pem(another)), { kid }), { code: 'invalid_key', message: /its kid must have/ },
      JSON.stringify(kid)
    )
  }
  await t.rejects(
    keys.importVerifyOnlyKey(Buffer.from(pem(ec.publicKey, 'spki')), {}), { code: 'duplicate_key' },
    'a key signs or only verifies, never both'
  )
})

t.test('a key of another algorithm than the configured one: a sentence that says what to do', async t => {
  const { keys } = await openKeys(await createWorld(t))
  await t.rejects(keys.importSigningKey(Buffer.from(pem(rsa.privateKey))), {
    code: 'invalid_key',
    message:
      'The key is for RS256 or PS256, but the service signs with ES256: set the option algorithm (LATCHKEY_ALGORITHM) to RS256 or PS256, or give a key for ES256'
  })
  await t.rejects(keys.importSigningKey(Buffer.from(jwk(ed.privateKey, { alg: 'EdDSA' }))), { message: /The key is for EdDSA/ })
  t.equal((await keys.list()).length, 1)
})

t.test('RFC 7518 3.3: what is no key to sign with', async t => {
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey
  const encrypted = ec.privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }).toString()
  const oldStyle = rsa.privateKey.export({ type: 'pkcs1', format: 'pem', cipher: 'aes-128-cbc', passphrase: 'x' }).toString()
  const mismatched = { ...ec.privateKey.export({ format: 'jwk' }), ...(({ x, y }) => ({ x, y }))(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })) }
  const table: Array<[string, string | Buffer, RegExp]> = [
    ['a public PEM', pem(ec.publicKey, 'spki'), /it is a public key, which cannot sign: give the private one, or import it to verify only/],
    ['a public JWK', jwk(ec.publicKey), /it is a public key/],
    ['P-384', pem(p384), /its curve is secp384r1, and must be P-256/], ['a P-384 JWK', jwk(p384), /curve/],
    ['RSA of 1024 bits', pem(small), /RSA key of 1024 bits, and must have 2048 to 4096/],
    ['RSA with the exponent 3', pem(generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 }).privateKey), /exponent is 3/],
    ['RSA-PSS', pem(generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey), /its type is rsa-pss/],
    ['X25519', pem(generateKeyPairSync('x25519').privateKey), /its type is x25519/],
    ['an encrypted PEM', encrypted, /it is encrypted: decrypt it first/], ['an encrypted PEM of the old kind', oldStyle, /it is encrypted/],
    ['two keys', pem(ec.privateKey) + pem(ed.privateKey), /more than one key/],
    ['a certificate', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----', /openssl x509/],
    ['a damaged PEM', pem(ec.privateKey).replace(/\n[\w+/]{20}/, '\nAAAAAAAAAAAAAAAAAAAA'), /it cannot be read/],
    ['garbage', 'garbage', /neither a PEM file nor a JWK/], ['nothing', '', /neither/], ['bytes', Buffer.from([0xff, 0xfe, 0]), /the file is not UTF-8 text/],
    ['too much', 'x'.repeat(20_000), /more than 16384 bytes/],
    ['broken JSON', '{"kty":', /not valid JSON/], ['a set', JSON.stringify({ keys: [JSON.parse(jwk(ec.privateKey))] }), /it is a set of keys/],
    ['a JWK of no kind', '{}', /it has no kty/],
    ['a JWK of an unknown kind', JSON.stringify({ kty: 'XX', d: 'AA' }), /it cannot be read/],
    ['a JWK to encrypt with', jwk(ec.privateKey, { use: 'enc' }), /its use is 'enc'/], ['a JWK that may not sign', jwk(ec.privateKey, { key_ops: ['verify'] }), /key_ops do not include 'sign'/], ['key_ops that are no list', jwk(ec.privateKey, { key_ops: 'sign' }), /key_ops/],
    ['a JWK for ES384', jwk(ec.privateKey, { alg: 'ES384' }), /its alg must be one of/], ['an EC JWK that says RS256', jwk(ec.privateKey, { alg: 'RS256' }), /it is for ES256, and cannot be used with RS256/], ['a JWK whose kid is no text', jwk(ec.privateKey, { kid: 1 }), /its kid is not text/], ['a JWK whose kid is odd', jwk(ec.privateKey, { kid: 'a b' }), /its kid must have/],
    ['halves that do not belong together', JSON.stringify(mismatched), /halves do not match|cannot be read/],
    ['a short HMAC JWK', JSON.stringify({ kty: 'oct', k: 'AAAA' }), /the secret has 3 bytes, and must have at least 32/], ['an HMAC JWK without its k', JSON.stringify({ kty: 'oct' }), /its k, the secret itself, is missing/], ['an HMAC JWK that is no base64url', JSON.stringify({ kty: 'oct', k: '*' }), /not base64url/]
  ]
  for (const [name, content, says] of table) {
    t.throws(() => parseSigningKey(Buffer.from(content)), { name: 'KeyError', code: 'invalid_key', message: says }, name)
    const error = (() => {
      try { return parseSigningKey(Buffer.from(content)) } catch (error) { return error as Error }
    })()
    t.notMatch(String((error as Error).message), /PRIVATE KEY-----|"d"/, `${name}: nothing of the key is said`)
  }
  t.throws(() => parseSigningKey(Buffer.from(pem(ec.privateKey)), { algorithm: 'PS256' }), /it is for ES256, and cannot be used with PS256/)
  t.throws(() => parseSigningKey(Buffer.from(jwk(rsa.privateKey, { alg: 'RS256' })), { algorithm: 'PS256' }), /it is for RS256, and cannot be used with PS256/)
})

t.test('RFC 7518 3.2: secrets to verify with: text or base64url, never too short, never a file that was meant as something else', async t => {
  const text = 'x'.repeat(32)
  const secret = { algorithm: 'HS256' } as const
  t.equal(
    parseVerifyOnlyKey(Buffer.from(`${text}\n`), secret).text,
    Buffer.from(text).toString('base64url'),
    'without the line break'
  )
  t.equal(parseVerifyOnlyKey(Buffer.from(`${text}\r\n`), secret).identity, Buffer.from(text).toString('base64url'))
  const bytes = Buffer.alloc(40, 0xfb)
  for (const encoding of ['base64', 'base64url'] as const) {
    t.equal(
      parseVerifyOnlyKey(Buffer.from(bytes.toString(encoding)), { ...secret, base64url: true }).text,
      bytes.toString('base64url')
    )
  }
  t.match(parseVerifyOnlyKey(Buffer.from(text), secret), { algorithms: ['HS256'], kid: undefined })
  t.match(
    parseVerifyOnlyKey(Buffer.from(JSON.stringify({ kty: 'oct', k: bytes.toString('base64url') }))),
    { algorithms: ['HS256'] },
    'a JWK names its kind'
  )
  const table: Array<[string, string, object, RegExp]> = [
    ['short', 'x'.repeat(31), secret, /the secret has 31 bytes/],
    ['empty', '', secret, /0 bytes/],
    ['short in base64url', Buffer.alloc(31).toString('base64url'), { ...secret, base64url: true }, /31 bytes/],
    ['not base64url', 'not base64url, but long enough to be one', { ...secret, base64url: true }, /not base64url/],
    ['for RS256', text, { algorithm: 'RS256' }, /which is for HS256 and not for RS256/],
    ['not confirmed', text, {}, /if it is an HS256 secret, confirm that with --algorithm HS256/],
    ['not confirmed, in base64url', bytes.toString('base64url'), { base64url: true }, /with --algorithm HS256/],
    ['a broken PEM', `-----BEGIN PUBLIC KEY-----\n${text}\n-----END PUBLIC KEY-----`, secret, /cannot be read/],
    ['broken JSON', `{"k": "${text}"`, secret, /not valid JSON/],
    ['a JWK to encrypt with', jwk(ec.publicKey, { key_ops: ['encrypt'] }), {}, /key_ops do not include 'verify'/],
    ['UTF-16', text.split('').join('\0'), secret, /not UTF-8 text/]
  ]
  for (const [name, content, hints, says] of table) t.throws(() => parseVerifyOnlyKey(Buffer.from(content), hints), { code: 'invalid_key', message: says }, name)
  t.equal(parseVerifyOnlyKey(Buffer.from(pem(ec.privateKey))).text, pem(ec.publicKey, 'spki'), 'of a private key the public half is kept')
  t.same(parseVerifyOnlyKey(Buffer.from(pem(rsa.publicKey, 'spki'))).algorithms, ['RS256', 'PS256'])
})

import { generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import type { PublicJwk } from '../../lib/keys/material.js'
import { readJwks } from '../../verifier/jwks.js'
import { generateKey } from './support.js'

const PROFILE = { issuer: 'https://auth.example', audience: ['https://auth.example'] }
const used = (...keys: unknown[]): string[] => [...readJwks({ keys }, PROFILE).keys.keys()]

t.test('the keys of a JWKS: those that can be used are, the others are passed over', async t => {
  const ec = (await generateKey('ES256')).jwk as PublicJwk
  const ed = (await generateKey('EdDSA')).jwk as PublicJwk
  const rs = (await generateKey('RS256')).jwk as PublicJwk
  t.same(used(ec, ed, rs, { ...rs, alg: 'PS256', kid: 'ps' }), [ec.kid, ed.kid, rs.kid, 'ps'])
  const { use: _, ...noUse } = ec
  t.same(used(noUse), [ec.kid])
  t.same(used({ ...ec, key_ops: ['verify'] }), [ec.kid])
  t.same(used({ ...ec, x5u: 'https://evil.example', jku: 'https://evil.example', more: 1 }), [ec.kid])

  const rsa = (bits: number, exponent = 0x10001): object => generateKeyPairSync(
    'rsa', { modulusLength: bits, publicExponent: exponent }
  ).publicKey.export({ format: 'jwk' })
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'jwk' })
  const x25519 = generateKeyPairSync('x25519').publicKey.export({ format: 'jwk' })
  const table: Array<[name: string, jwk: unknown]> = [
    ['null', null], ['a text', 'key'], ['a list', [ec]], [
      'no kid', { ...ec, kid: undefined }
    ], ['an empty kid', { ...ec, kid: '' }], [
      'a kid that is a number', { ...ec, kid: 1 }
    ],
    ['no alg', { ...ec, alg: undefined }], ['none', { ...ec, alg: 'none' }], ['HS256', { ...ec, alg: 'HS256' }], [
      'a symmetric key', { kty: 'oct', kid: 'a', alg: 'HS256', k: 'A'.repeat(43) }
    ], [
      'a symmetric key that says ES256', { kty: 'oct', kid: 'a', alg: 'ES256', k: 'A'.repeat(43) }
    ],
    [
      'an algorithm of Object.prototype', { ...ec, alg: 'constructor' }
    ], [
      'RS256 with a key of a curve', { ...ec, alg: 'RS256' }
    ], [
      'ES256 with an RSA key', { ...rs, alg: 'ES256' }
    ], [
      'EdDSA with P-256', { ...ec, alg: 'EdDSA' }
    ], ['RS512', { ...rs, alg: 'RS512' }], ['alg a list', { ...ec, alg: ['ES256'] }],
    ['use enc', { ...ec, use: 'enc' }], ['use a list', { ...ec, use: ['sig'] }], [
      'key_ops without verify', { ...ec, key_ops: ['sign'] }
    ], ['key_ops a text', { ...ec, key_ops: 'verify' }],
    ['P-384', { ...p384, alg: 'ES256', kid: 'a' }], [
      'P-384 that says P-256', { ...p384, crv: 'P-256', alg: 'ES256', kid: 'a' }
    ], [
      'X25519', { ...x25519, alg: 'EdDSA', kid: 'a' }
    ], ['no point', { ...ec, x: undefined }], [
      'a point off its curve', { ...ec, x: ec.y }
    ], ['x a number', { ...ec, x: 1 }],
    [
      'RSA of 1,024 bits', { ...rsa(1_024), alg: 'RS256', kid: 'a' }
    ], [
      'RSA of 2,047 bits', { ...rsa(2_047), alg: 'PS256', kid: 'a' }
    ], ['RSA with exponent 1', { ...rs, e: 'AQ' }], ['RSA with exponent 0', { ...rs, e: 'AA' }], [
      'RSA of 16,384 bits', { ...rs, n: Buffer.alloc(2_048, 0xff).toString('base64url') }
    ]
  ]
  for (const [name, jwk] of table) t.same(used(jwk, ed), [ed.kid], name)
  t.same(used(ec, { ...ed, kid: ec.kid }), [], 'two of one name: neither')
  t.same(used(ec, { ...ed, kid: ec.kid }, ec), [], 'nor three')
  t.same(
    [...readJwks({ keys: [ec, { ...ed, alg: 'none' }] }, PROFILE).kids], [ec.kid, ed.kid], 'the names of all are known'
  )
})

t.test('what is no JWK set', async t => {
  for (const members of [{}, { keys: null }, { keys: {} }, { keys: 'keys' }, { keys: new Array(101).fill(null) }]) {
    t.throws(() => readJwks(members, PROFILE), /no list of keys/)
  }
  t.same(used(), [])
})

import { constants, createHash, createPrivateKey, createPublicKey, privateEncrypt, publicDecrypt } from 'node:crypto'
import t from 'tap'
import type { SigningKey } from '../../lib/keys/material.js'
import {
  assertDifferences, createPaths, createSignatureLayer, MISSING, range, readVectors, textOf, toSigningKey
} from './support.js'
import type { Difference, Group, Verdict, WycheproofFile } from './support.js'

const FILE = 'wycheproof/json_web_signature_test.json'

/** Where @fastify/jwt, set up as plugins/tokens.ts does, differs from the file's `result`. */
const AT_THE_SIGNATURE: readonly Difference[] = [
  {
    tcIds: [346, 350],
    because:
      'labelled valid, but the header says PS384 and the key PS256: a key has one algorithm (RFC 8725 section 3.1)'
  },
  {
    tcIds: [353, 354],
    because:
      'right signatures under a JWK with use "enc": our keys come as PEM out of our own store, where a use is not kept; no JWK is loaded'
  },
  { tcIds: [355, 356], because: 'right signatures under a JWK with key_ops for encryption: as for use' },
  { tcIds: [367, 370], because: 'labelled invalid for a padding that the file has lost: they are letter by letter case 357, which is valid' },
  { tcIds: [372, 373], because: 'labelled valid, but with a "?" inside: RFC 7515 section 2 has no such character in base64url' },
  { tcIds: [375], because: 'a payload with unused bits that are not zero, and the right signature over that very text: only the owner of the key can make it; a spelling that others change has a wrong signature (case 374)' }
]

/** Where createTokens() differs from the file's `result`. */
const ON_THE_WHOLE_PATH: readonly Difference[] = [
  {
    tcIds: [
      1, 18, 33, ...range(259, 275), 287, 288, ...range(320, 323), ...range(325, 328), 345, 347, 348, 349, 351, 352,
      357, 358, 359, 376, 377, 378
    ],
    because: 'valid signatures, but not over claims of ours, and the header has no typ "at+jwt" (RFC 9068 section 4)'
  },
  { tcIds: [346, 350, 372, 373], because: 'refused by their signatures already: see above' }
]

/** The algorithm that a key is pinned to: also those that are not among ours, so that the whole file is driven. */
function algorithmOf ({ private: { alg, kty } }: Group): string {
  // A slip of the file: there is no ES521, and the headers say ES512.
  if (alg === 'ES521') return 'ES512'
  // The keys for encryption name no algorithm: what their tokens say.
  return alg ?? (kty === 'RSA' ? 'RS256' : 'ES256')
}

const keyOf = (group: Group): SigningKey => toSigningKey(group.private, group.public, algorithmOf(group))

t.test('Wycheproof JSON Web Signature: the signatures, by @fastify/jwt with the algorithm of the key', { skip: MISSING }, async t => {
  const file = readVectors<WycheproofFile>(FILE)
  const verdicts = new Map<number, Verdict>()
  for (const group of file.testGroups) {
    const verify = await createSignatureLayer(keyOf(group))
    for (const one of group.tests) verdicts.set(one.tcId, verify(textOf(one)))
  }
  assertDifferences(t, file, verdicts, AT_THE_SIGNATURE)
})

t.test('Wycheproof JSON Web Signature: the whole path from a token to its user', { skip: MISSING }, async t => {
  const file = readVectors<WycheproofFile>(FILE)
  const createPath = await createPaths(t)
  const verdicts = new Map<number, Verdict>()
  for (const group of file.testGroups) {
    const { drive } = await createPath([keyOf(group)])
    for (const one of group.tests) verdicts.set(one.tcId, await drive(textOf(one)))
  }
  assertDifferences(t, file, verdicts, ON_THE_WHOLE_PATH)
})

t.test('the signatures and the payloads of the Wycheproof cases in a token of ours', { skip: MISSING }, async t => {
  const createPath = await createPaths(t)
  for (const group of readVectors<WycheproofFile>(FILE).testGroups) {
    const { good, drive } = await createPath([keyOf(group)])
    const [header, payload, signature] = good.split('.')
    const unexpected: string[] = []
    for (const one of group.tests) {
      const parts = textOf(one).split('.')
      if (parts.length !== 3) continue
      const tokens = { signature: `${header}.${payload}.${parts[2]}`, payload: `${header}.${parts[1]}.${signature}`, header: `${parts[0]}.${payload}.${signature}` }
      for (const [name, token] of Object.entries(tokens)) {
        const verdict = await drive(token)
        if (verdict !== 'refused') unexpected.push(`${name} of ${one.tcId}: ${verdict}`)
      }
    }
    t.strictSame([await drive(good), ...unexpected], ['accepted'], `${group.comment}, ${group.tests[0]?.tcId}: the token is good, and refused with any part of theirs`)
  }
})

t.test('the changed PKCS #1 paddings of the Wycheproof cases around the digest of a token of ours', { skip: MISSING }, async t => {
  const createPath = await createPaths(t)
  const group = readVectors<WycheproofFile>(FILE).testGroups.find(({ tests }) => tests.some(({ tcId }) => tcId === 33))
  if (group === undefined) throw new Error('The file has changed: there is no case 33')
  const { good, drive } = await createPath([keyOf(group)])
  const digestOf = (input: string): Buffer => createHash('sha256').update(input).digest()
  const privateKey = { key: createPrivateKey({ key: group.private, format: 'jwk' }), padding: constants.RSA_NO_PADDING }
  const publicKey = { key: createPublicKey({ key: group.public ?? group.private, format: 'jwk' }), padding: constants.RSA_NO_PADDING }
  const input = good.slice(0, good.lastIndexOf('.'))

  const accepted: number[] = []
  let driven = 0
  for (const one of group.tests) {
    const text = textOf(one)
    const signature = Buffer.from(text.slice(text.lastIndexOf('.') + 1), 'base64url')
    if (signature.length !== 256) continue
    const padded = publicDecrypt(publicKey, signature)
    const start = padded.indexOf(digestOf(text.slice(0, text.lastIndexOf('.'))))
    if (start < 0) continue
    padded.set(digestOf(input), start)
    driven++
    const verdict = await drive(`${input}.${privateEncrypt(privateKey, padded).toString('base64url')}`)
    if (verdict !== 'refused') accepted.push(one.tcId)
  }
  t.ok(driven > 100, `${driven} paddings were made`)
  t.strictSame(accepted, [33], 'none but the right one is accepted')
})

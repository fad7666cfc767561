import t from 'tap'
import type { SigningKey } from '../../lib/keys/material.js'
import {
  assertDifferences, createPaths, createSignatureLayer, isOurs, MISSING, range, readVectors, textOf, toSigningKey
} from './support.js'
import type { Difference, Group, Jwk, Verdict, WycheproofFile } from './support.js'

// Wycheproof asks whether a bad key in a JWK set is refused. We load no JWK: the keys are PEM in our own store, sealed,
// made by `lib/keys/material.ts`, named by a primary key. So each bad key is put there as if it were one of ours, where
// it can be; what is accepted then is no hole, but is what an import of keys would have to look at. It is said of each
// group whether it applies.

type KeyGroup = Group<Jwk | { keys: Jwk[] }>
type KeyFile = WycheproofFile<Jwk | { keys: Jwk[] }>

interface Row extends Difference {
  /** Whether the cases end otherwise than the file says. */
  differs: boolean
}

const KEYS: readonly Row[] = [
  {
    tcIds: [1],
    differs: true,
    because:
      'does not apply: a set of symmetric and public keys is no danger where each key has one algorithm and the token names the key; what we publish holds no symmetric key'
  },
  { tcIds: [2, 3], differs: false, because: 'applies: two keys of one algorithm, told apart by kid' },
  { tcIds: [4], differs: false, because: 'cannot be: kid is the primary key in the store; of two in one list the last one would count, and this token is of the first' },
  { tcIds: [5], differs: false, because: 'applies' },
  { tcIds: [6], differs: false, because: 'applies: RSA1_5 is no algorithm of ours' },
  { tcIds: [7], differs: true, because: 'does not apply: a key of the chips with the ROCA weakness looks like any other; ours are made by node:crypto' },
  { tcIds: [8], differs: true, because: 'does not apply: our RSA keys are made with 2048 bits; neither OpenSSL nor fast-jwt refuses 1024' },
  { tcIds: [9], differs: true, because: 'does not apply: with the exponent 1 everybody could sign, and neither OpenSSL nor fast-jwt minds it; our RSA keys are made with 65537' },
  { tcIds: [10], differs: true, because: 'does not apply: our HS256 keys are made with 32 bytes; fast-jwt refuses none but the empty one' },
  { tcIds: [11, 12, 17, 18], differs: false, because: 'applies: HS384 and HS512 are no algorithms of ours' },
  { tcIds: [13], differs: false, because: 'applies' },
  { tcIds: [14, 15], differs: true, because: 'good keys, but HS384 and HS512 are no algorithms of ours' },
  { tcIds: [16], differs: false, because: 'applies: fast-jwt refuses the empty key' },
  { tcIds: [19, 20], differs: false, because: 'applies: ES521 and ES224 are no algorithms of ours' },
  { tcIds: [21], differs: true, because: 'does not apply: a PEM has no use' },
  { tcIds: [22, 23], differs: false, because: 'applies: node:crypto makes no key of a point that is not on the curve' },
  { tcIds: [24], differs: false, because: 'applies: node:crypto makes no RSA key without n and e' },
  { tcIds: [25, 26], differs: false, because: 'applies: A256GCM and A256KW are no algorithms of ours' }
]

const CRYPTO: readonly Row[] = [
  { tcIds: range(1, 45), differs: false, because: 'applies: HS256, ES256 and RS256, as in the file for signatures' },
  { tcIds: [46], differs: true, because: 'does not apply: case 7 of the file for keys' },
  { tcIds: [47], differs: true, because: 'does not apply: case 1 of the file for keys' },
  { tcIds: [48, 49], differs: false, because: 'applies: two keys of one algorithm, told apart by kid' },
  { tcIds: [50, 67], differs: true, because: 'good JWE, which we do not read: A256KW and ECDH-ES+A128KW are no algorithms of ours' },
  { tcIds: [...range(51, 66), ...range(68, 83)], differs: false, because: 'applies as far as a changed JWE is no token of ours either' }
]

/** The keys of a group that could be ours, as they would be in the store. */
function keysOf (group: KeyGroup): SigningKey[] {
  const listOf = (keys: KeyGroup['private'] | undefined): Jwk[] | undefined => keys === undefined ? undefined : 'keys' in keys ? keys.keys as Jwk[] : [keys]
  const publicKeys = listOf(group.public)
  return (listOf(group.private) ?? []).flatMap((jwk, index) => {
    // The file has one public key among its private ones. Without a private key nothing can be in our store.
    if (!isOurs(jwk.alg) || (jwk.kty !== 'oct' && jwk.d === undefined)) return []
    try {
      return [toSigningKey(jwk, publicKeys?.[index], jwk.alg)]
    } catch {
      return []
    }
  })
}

function kidOf (token: string): unknown {
  try {
    return JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid
  } catch {
    return undefined
  }
}

for (const [name, path, table] of [['Key', 'wycheproof/json_web_key_test.json', KEYS], ['Crypto', 'wycheproof/json_web_crypto_test.json', CRYPTO]] as const) {
  t.test(`Wycheproof JSON Web ${name}: the signatures, with each key as if it were in our store`, { skip: MISSING }, async t => {
    const file = readVectors<KeyFile>(path)
    const verdicts = new Map<number, Verdict>()
    for (const group of file.testGroups) {
      const verifiers = new Map<unknown, (token: string) => Verdict>()
      for (const key of keysOf(group)) {
        // The empty key is refused here.
        const verify = await createSignatureLayer(key).catch(() => undefined)
        if (verify !== undefined) verifiers.set(key.kid, verify)
      }
      for (const one of group.tests) {
        const token = textOf(one)
        // Where the header names no key of ours, a group's only key is asked all the same.
        const verify = verifiers.get(kidOf(token)) ?? (verifiers.size === 1 ? [...verifiers.values()][0] : undefined)
        verdicts.set(one.tcId, verify?.(token) ?? 'refused')
      }
    }
    assertDifferences(t, file, verdicts, table.filter(({ differs }) => differs))
    t.strictSame(table.flatMap(({ tcIds }) => tcIds).sort((a, b) => a - b), range(1, file.numberOfTests), 'the table says of every case whether it applies, once')
  })

  t.test(`Wycheproof JSON Web ${name}: on the whole path nothing is accepted, and nothing fails otherwise than with invalid_token`, { skip: MISSING }, async t => {
    const createPath = await createPaths(t)
    const unexpected: string[] = []
    for (const group of readVectors<KeyFile>(path).testGroups) {
      const keys = keysOf(group)
      // A group without a key that could be ours: its tokens are still sent.
      if (keys.length === 0 || keys.some(({ private: bytes }) => bytes.length === 0)) keys.splice(0, keys.length, toSigningKey({ kty: 'oct', kid: 'kid-aes-sign', k: 'A'.repeat(43) }, undefined, 'HS256'))
      const { drive } = await createPath(keys)
      for (const one of group.tests) {
        const verdict = await drive(textOf(one))
        if (verdict !== 'refused') unexpected.push(`${one.tcId} ${one.comment}: ${verdict}`)
      }
    }
    t.strictSame(unexpected, [])
  })
}

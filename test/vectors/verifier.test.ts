import t from 'tap'
import { LatchkeyError } from '../../lib/errors.js'
import { createId } from '../../lib/identity/ids.js'
import { createTokenVerification } from '../../lib/tokens/verification.js'
import type { TokenVerification, VerificationKeys } from '../../lib/tokens/verification.js'
import { readJwks } from '../../verifier/jwks.js'
import { AUDIENCE, ISSUER, noSignal, signJws } from '../lib/support.js'
import { MISSING, isOurs, readVectors, textOf, toSigningKey } from './support.js'
import type { Group, Jwk, WycheproofFile } from './support.js'

// The verifier loads what others publish: here the keys of the files are in a JWKS, as they are, and the tokens go the
// whole way.

const PROFILE = { issuer: ISSUER, audience: [AUDIENCE] }

/** The keys of a group as a JWKS would show them. */
function publishedOf (group: Group<Jwk | { keys: Jwk[] }>): Jwk[] {
  const keys = group.public ?? group.private
  return ('keys' in keys ? keys.keys as Jwk[] : [keys]).map(jwk => ({ kid: 'unnamed', ...jwk }))
}

function verificationOf (jwks: Jwk[]): TokenVerification {
  const set = readJwks({ keys: jwks }, PROFILE)
  const keys: VerificationKeys = {
    find (kid) {
      const key = set.keys.get(kid)
      return key === undefined ? undefined : { key, expiresAt: Infinity }
    },
    onChange () {}
  }
  return createTokenVerification({
    keys,
    clock: { now: Date.now },
    follower: { refresh: () => undefined },
    ledger: { readTime: async () => {} },
    signalOf: noSignal,
    revocations: { isRevoked: () => false, isStolen: () => false, additions: () => 0 }
  })
}

async function drive (verification: TokenVerification, token: string): Promise<string> {
  try {
    return (await verification.verify(token)).id
  } catch (error) {
    return error instanceof LatchkeyError ? error.code : String(error)
  }
}

t.test('Wycheproof JSON Web Key: which keys of a JWKS are used', { skip: MISSING }, async t => {
  const used: Record<string, string[]> = {}
  const file = readVectors<WycheproofFile<Jwk | { keys: Jwk[] }>>('wycheproof/json_web_key_test.json')
  for (const group of file.testGroups) {
    const { keys } = readJwks({ keys: publishedOf(group) }, PROFILE)
    if (keys.size > 0) {
      used[group.tests.map(({ tcId }) => tcId).join()] = [...keys.values()].map((
        { algorithm }
      ) => algorithm)
    }
  }
  t.strictSame(used, {
    1: ['ES256'], // A set with a symmetric key in it: that one is passed over.
    5: ['RS256'],
    7: ['RS256'] // A key of the chips with the ROCA weakness looks like any other.
  }, 'none that is symmetric, short, of exponent 1, for encryption, of another curve or algorithm, or not on its curve')
})

t.test('Wycheproof JSON Web Signature: the published keys, and the signatures, payloads and headers of the cases in a token of ours', {
  skip: MISSING
}, async t => {
  const seen = new Set<string>()
  for (const group of readVectors<WycheproofFile>('wycheproof/json_web_signature_test.json').testGroups) {
    const [jwk] = publishedOf(group)
    if (jwk === undefined) throw new Error('A group without a key')
    const verification = verificationOf([jwk])
    const name = `${group.comment}, ${group.tests[0]?.tcId}`
    const unexpected: string[] = []
    const expectRefusal = async (token: string, what: string): Promise<void> => {
      const outcome = await drive(verification, token)
      if (outcome !== 'invalid_token') unexpected.push(`${what}: ${outcome}`)
    }
    for (const one of group.tests) await expectRefusal(textOf(one), `the token of ${one.tcId}`)

    const isUsable = isOurs(jwk.alg) && jwk.kty !== 'oct'
    const key = toSigningKey(
      { ...group.private, kid: jwk.kid }, group.public, jwk.alg ?? (jwk.kty === 'RSA' ? 'RS256' : 'ES256')
    )
    if (!isOurs(key.algorithm)) {
      t.strictSame(unexpected, [], `${name}: no algorithm of ours`)
      continue
    }
    const iat = Math.floor(Date.now() / 1000)
    const claims = {
      iss: ISSUER,
      sub: 'alice',
      aud: AUDIENCE,
      client_id: 'latchkey',
      exp: iat + 900,
      iat,
      jti: createId(iat * 1000),
      sid: 'session',
      scope: ''
    }
    const good = signJws(key, { alg: key.algorithm, typ: 'at+jwt', kid: key.kid }, claims)
    t.equal(
      await drive(verification, good), isUsable ? 'alice' : 'invalid_token',
      `${name}: a good token by this key, ${isUsable ? '' : 'which is not to be used'}`
    )
    if (isUsable) seen.add(key.algorithm)
    const [header, payload, signature] = good.split('.')
    for (const one of group.tests) {
      const parts = textOf(one).split('.')
      if (parts.length !== 3) continue
      await expectRefusal(`${header}.${payload}.${parts[2]}`, `signature of ${one.tcId}`)
      await expectRefusal(`${header}.${parts[1]}.${signature}`, `payload of ${one.tcId}`)
      await expectRefusal(`${parts[0]}.${payload}.${signature}`, `header of ${one.tcId}`)
    }
    t.strictSame(unexpected, [], name)
  }
  t.strictSame([...seen].sort(), ['ES256', 'PS256', 'RS256'])
})

t.test('the Ed25519 key of RFC 8037 appendix A in a JWKS', async t => {
  const jwk = {
    kty: 'OKP',
    crv: 'Ed25519',
    d: 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A',
    x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo'
  }
  const key = toSigningKey({ ...jwk, kid: 'ed' }, undefined, 'EdDSA')
  const { d: _, ...published } = { ...jwk, kid: 'ed', alg: 'EdDSA', use: 'sig' }
  const iat = Math.floor(Date.now() / 1000)
  const token = signJws(
    key,
    { alg: 'EdDSA', typ: 'at+jwt', kid: 'ed' },
    {
      iss: ISSUER,
      sub: 'alice',
      aud: AUDIENCE,
      client_id: 'latchkey',
      exp: iat + 900,
      iat,
      jti: 'jti',
      sid: 'session',
      scope: ''
    }
  )
  t.equal(await drive(verificationOf([published]), token), 'alice')
})

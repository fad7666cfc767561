import { createPublicKey } from 'node:crypto'
import type { JsonWebKey, KeyObject } from 'node:crypto'
import { createVerifier } from 'fast-jwt'
import { jwtProfileOf } from '../lib/tokens/jwt-profile.js'
import type { VerificationKey } from '../lib/tokens/verification.js'
import type { Algorithm } from '../schemas/algorithms.js'

/** More keys than a service has at a time. */
const MAX_KEYS = 100

/** The kind of key that each algorithm takes. None of these is symmetric: what everybody can read proves nothing. */
const KINDS: Partial<Record<string, { kty: string, crv?: string }>> = {
  ES256: { kty: 'EC', crv: 'P-256' },
  RS256: { kty: 'RSA' },
  PS256: { kty: 'RSA' },
  EdDSA: { kty: 'OKP', crv: 'Ed25519' }
} satisfies Partial<Record<Algorithm, { kty: string, crv?: string }>>

/** Bits: NIST SP 800-57 part 1, RFC 7518 section 3.3. Beyond the other bound a signature is a burden. */
const [SHORTEST_MODULUS, LONGEST_MODULUS] = [2_048, 8_192]

/** The keys of a JWKS: what can be used of them, and the names of all. */
export interface JwkSet {
  keys: ReadonlyMap<string, VerificationKey>
  kids: ReadonlySet<string>
  /** Equal where they are the same. */
  text: string
}

/**
 * Makes keys of a JWK set (RFC 7517 section 5), each with its algorithm, type, issuer and audience pinned. As section 5 says, those
 * that cannot be used are passed over: of another use or algorithm, of a kind that does not go with the algorithm, too short, and all that
 * share a name. Throws where it is no JWK set.
 */
export function readJwks (members: Record<string, unknown>, profile: { issuer: string, audience: readonly string[] }): JwkSet {
  const { keys: list } = members
  if (!Array.isArray(list) || list.length > MAX_KEYS) throw new Error('The JWKS has no list of keys, or more than a hundred')
  const keys = new Map<string, VerificationKey>()
  const kids = new Set<string>()
  for (const jwk of list as unknown[]) {
    const kid = kidOf(jwk)
    if (kid === undefined) continue
    const key = kids.has(kid) ? undefined : toKey(jwk as JsonWebKey, profile)
    kids.add(kid)
    // Of two keys of one name nobody can say which it is.
    if (key === undefined) keys.delete(kid)
    else keys.set(kid, key)
  }
  return { keys, kids, text: JSON.stringify(list) }
}

function kidOf (jwk: unknown): string | undefined {
  if (typeof jwk !== 'object' || jwk === null || Array.isArray(jwk)) return undefined
  const { kid } = jwk as Record<string, unknown>
  return typeof kid === 'string' && kid !== '' ? kid : undefined
}

function toKey (jwk: JsonWebKey, profile: { issuer: string, audience: readonly string[] }): VerificationKey | undefined {
  const { kty, alg, use, crv, key_ops: operations } = jwk
  const kind = typeof alg === 'string' && Object.hasOwn(KINDS, alg) ? KINDS[alg] : undefined
  if (kind === undefined || kty !== kind.kty || crv !== kind.crv) return undefined
  if (use !== undefined && use !== 'sig') return undefined
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return undefined
  const key = importKey(jwk)
  if (key === undefined) return undefined
  const algorithm = alg as Algorithm
  const pem = key.export({ type: 'spki', format: 'pem' }).toString()
  return { algorithm, verify: createVerifier<string>({ key: pem, ...jwtProfileOf(algorithm, profile) }) }
}

/** The public key, without whatever else the JWK says. */
function importKey ({ kty, crv, x, y, n, e }: JsonWebKey): KeyObject | undefined {
  let key: KeyObject
  try {
    key = createPublicKey({ key: { kty, crv, x, y, n, e }, format: 'jwk' })
  } catch {
    return undefined
  }
  if (kty !== 'RSA') return key
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {}
  // With the exponent 1 everybody can sign.
  return modulusLength >= SHORTEST_MODULUS && modulusLength <= LONGEST_MODULUS && publicExponent > 2n ? key : undefined
}

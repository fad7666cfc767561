import { createPublicKey } from 'node:crypto'
import type { JsonWebKey, KeyObject } from 'node:crypto'
import { createVerifier } from 'fast-jwt'
import { jwtProfileOf } from '../lib/tokens/jwt-profile.js'
import type { VerificationKey } from '../lib/tokens/verification.js'
import type { Algorithm } from '../schemas/algorithms.js'

/** More keys than a service ever has at once. */
const MAX_KEYS = 100

/**
 * The type of key for each algorithm. None is symmetric: anyone can read these keys, and could sign with a symmetric
 * one.
 */
const KINDS: Partial<Record<string, { kty: string, crv?: string }>> = {
  ES256: { kty: 'EC', crv: 'P-256' },
  RS256: { kty: 'RSA' },
  PS256: { kty: 'RSA' },
  EdDSA: { kty: 'OKP', crv: 'Ed25519' }
} satisfies Partial<Record<Algorithm, { kty: string, crv?: string }>>

/** Bits. The minimum is from NIST SP 800-57 part 1 and RFC 7518 section 3.3. Longer keys verify too slowly. */
const [SHORTEST_MODULUS, LONGEST_MODULUS] = [2_048, 8_192]

/** The keys of a JWKS. */
export interface JwkSet {
  /** The usable keys, by name. */
  keys: ReadonlyMap<string, VerificationKey>
  /** The names of all keys, usable or not. */
  kids: ReadonlySet<string>
  /** Two sets are the same if their texts are equal. */
  text: string
}

/**
 * Reads the keys of a JWK set (RFC 7517 section 5), and pins the algorithm, type, issuer and audience of each. As
 * section 5 says, it skips unusable keys: keys for another use or algorithm, keys whose type does not match the
 * algorithm, keys of the wrong length, and all keys that share a name. Throws if it is not a JWK set.
 */
export function readJwks (
  members: Record<string, unknown>,
  profile: { issuer: string, audience: readonly string[] }
): JwkSet {
  const { keys: list } = members
  if (!Array.isArray(list) || list.length > MAX_KEYS) {
    throw new Error('The JWKS has no list of keys, or has more than a hundred keys')
  }
  const keys = new Map<string, VerificationKey>()
  const kids = new Set<string>()
  for (const jwk of list as unknown[]) {
    const kid = kidOf(jwk)
    if (kid === undefined) continue
    const key = kids.has(kid) ? undefined : toKey(jwk as JsonWebKey, profile)
    kids.add(kid)
    // If two keys share a name, a token cannot say which of them it means.
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

function toKey (
  jwk: JsonWebKey,
  profile: { issuer: string, audience: readonly string[] }
): VerificationKey | undefined {
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

/** Imports the public key and ignores all other members of the JWK. */
function importKey ({ kty, crv, x, y, n, e }: JsonWebKey): KeyObject | undefined {
  let key: KeyObject
  try {
    key = createPublicKey({ key: { kty, crv, x, y, n, e }, format: 'jwk' })
  } catch {
    return undefined
  }
  if (kty !== 'RSA') return key
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {}
  // With the exponent 1, anyone can forge a signature.
  return modulusLength >= SHORTEST_MODULUS && modulusLength <= LONGEST_MODULUS && publicExponent > 2n ? key : undefined
}

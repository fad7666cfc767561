import { createPrivateKey, createPublicKey, generateKeyPair, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import type { Algorithm } from '../../schemas/algorithms.js'
import { parseScope } from '../identity/scopes.js'
import { readLeniency } from './leniency.js'
import type { Leniency } from './leniency.js'
import { seal, unseal } from './secrets.js'
import type { KeysTable } from '../store/tables.js'

/** A key and the one algorithm that it is used with (RFC 8725 section 3.1). */
export interface SigningKey {
  kid: string
  algorithm: Algorithm
  /** PEM (PKCS #8), or the bytes of the HMAC key. */
  private: string | Buffer
  /** PEM (SPKI), or the bytes of the HMAC key. */
  public: string | Buffer
  /** The entry in the JWKS. Null for a symmetric key, which is never published. */
  jwk: PublicJwk | null
}

/**
 * A key of an older system, whose tokens are accepted until they expire. It verifies under a profile of its own and
 * never signs.
 */
export interface VerifyOnlyKey {
  kid: string
  algorithm: Algorithm
  /** PEM (SPKI), or the bytes of the HMAC key. */
  public: string | Buffer
  /** The `iss` that its tokens must have. Null: none is required. */
  issuer: string | null
  /** The `aud` that its tokens must have. Null: if they have one, it must be one of ours. */
  audience: string | null
  /** The scopes that its tokens may carry. Null: all of the app's own. */
  scopes: readonly string[] | null
  leniency: Leniency
}

/** A public key as specified in RFC 7517 section 4. */
export interface PublicJwk {
  kty: string
  kid: string
  alg: string
  use: 'sig'
  crv?: string
  x?: string
  y?: string
  n?: string
  e?: string
}

const generatePair = promisify(generateKeyPair)

/** Makes a new key. Returns the text to seal: PEM, or base64url bytes for HS256. */
export async function generateKeyText (algorithm: Algorithm): Promise<string> {
  if (algorithm === 'HS256') return randomBytes(32).toString('base64url')
  const { privateKey } = await (() => {
    switch (algorithm) {
      case 'ES256': return generatePair('ec', { namedCurve: 'P-256' })
      case 'EdDSA': return generatePair('ed25519')
      case 'RS256':
      case 'PS256': return generatePair('rsa', { modulusLength: 2048 })
    }
  })()
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** The columns that are bound to the sealed text. If it is moved to another row, algorithm or use, it does not open. */
export type SealContext =
  Pick<KeysTable, 'kid' | 'algorithm' | 'activates_at' | 'issuer' | 'audience' | 'scope' | 'leniency'>

function contextOf (
  { kid, algorithm, activates_at: activatesAt, issuer, audience, scope, leniency }: SealContext
): string {
  // Others have the secret of an older system too. Someone who can write to the store must not be able to make it sign.
  return activatesAt === null
    ? JSON.stringify(['verify-only', kid, algorithm, issuer, audience, scope, leniency])
    : `${kid} ${algorithm}`
}

/** Seals the text of a key for its row. */
export function sealKeyText (sealKey: Buffer, text: string, row: SealContext): string {
  return seal(sealKey, text, contextOf(row))
}

/** Returns the text of a sealed key, and whether the first seal key opens it. Returns undefined if none opens it. */
export function unsealKeyText (
  sealKeys: readonly Buffer[], row: SealContext & Pick<KeysTable, 'sealed'>
): { text: string, isFirst: boolean } | undefined {
  for (const [index, sealKey] of sealKeys.entries()) {
    const text = unseal(sealKey, row.sealed, contextOf(row))
    if (text !== undefined) return { text, isFirst: index === 0 }
  }
  return undefined
}

/** Makes a signing key from its text. */
export function toSigningKey ({ kid, algorithm }: Pick<KeysTable, 'kid' | 'algorithm'>, text: string): SigningKey {
  if (algorithm === 'HS256') {
    const bytes = Buffer.from(text, 'base64url')
    return { kid, algorithm, private: bytes, public: bytes, jwk: null }
  }
  // The public key is derived, never read. Someone who can write to the store must not be able to choose which keys the
  // JWKS tells other machines to trust.
  const publicKey = createPublicKey(createPrivateKey(text))
  return {
    kid,
    algorithm: algorithm as Algorithm,
    private: text,
    public: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    jwk: { ...publicKey.export({ format: 'jwk' }) as { kty: string }, kid, alg: algorithm, use: 'sig' }
  }
}

/** Makes a key of an older system from its text. */
export function toVerifyOnlyKey (
  { kid, algorithm, issuer, audience, scope, leniency }: SealContext,
  text: string
): VerifyOnlyKey {
  return {
    kid,
    algorithm: algorithm as Algorithm,
    public: algorithm === 'HS256' ? Buffer.from(text, 'base64url') : text,
    issuer,
    audience,
    scopes: scope === null ? null : parseScope(scope),
    leniency: readLeniency(leniency)
  }
}

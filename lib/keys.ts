import { createPrivateKey, createPublicKey, generateKeyPair, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import type { Selectable } from 'kysely'
import type { Algorithm } from '../schemas/common.js'
import type { Clock } from './clock.js'
import { createId } from './ids.js'
import { seal, unseal } from './secrets.js'
import type { KeysTable } from './store/tables.js'
import type { Store } from './store/store.js'

/** A key and the one algorithm that it is used with (RFC 8725 section 3.1). */
export interface SigningKey {
  kid: string
  algorithm: Algorithm
  /** PEM (PKCS #8), or the bytes of the HMAC key. */
  private: string | Buffer
  /** PEM (SPKI), or the bytes of the HMAC key. */
  public: string | Buffer
  /** What the JWKS shows: null for a symmetric key, which it never shows. */
  jwk: PublicJwk | null
  /** Milliseconds. */
  createdAt: number
}

/** A public key as in RFC 7517 section 4. */
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

/** Makes a key: PEM, or base64url bytes for HS256. */
async function generate (algorithm: Algorithm): Promise<string> {
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

function open (row: Selectable<KeysTable>, sealKeys: readonly Buffer[]): SigningKey {
  const algorithm = row.algorithm as Algorithm
  for (const sealKey of sealKeys) {
    const secret = unseal(sealKey, row.sealed, contextOf(row.kid, row.algorithm))
    if (secret === undefined) continue
    if (algorithm === 'HS256') {
      const bytes = Buffer.from(secret, 'base64url')
      return { kid: row.kid, algorithm, private: bytes, public: bytes, jwk: null, createdAt: row.created_at }
    }
    // Derived, never read: whoever can write to the store must not choose what the JWKS tells other machines to trust.
    const publicKey = createPublicKey(createPrivateKey(secret))
    return {
      kid: row.kid,
      algorithm,
      private: secret,
      public: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
      jwk: { ...publicKey.export({ format: 'jwk' }) as { kty: string }, kid: row.kid, alg: algorithm, use: 'sig' },
      createdAt: row.created_at
    }
  }
  throw new Error(`The option secret (LATCHKEY_SECRET, or the .secret file beside the database) does not open the signing key ${row.kid}: give the secret that this database was made with`)
}

function contextOf (kid: string, algorithm: string): string {
  return `${kid} ${algorithm}`
}

/**
 * All signing keys in the store, after making one for `algorithm` where there is none. They live beside the revocations on
 * purpose: who loses the store loses both, and no token comes back because its revocation is gone.
 * @param sealKeys - the first one seals, all of them unseal.
 * @throws Error that names the option `secret` where a key cannot be unsealed.
 */
export async function loadKeys ({ store, clock, algorithm, sealKeys }: { store: Store, clock: Clock, algorithm: Algorithm, sealKeys: readonly [Buffer, ...Buffer[]] }): Promise<SigningKey[]> {
  const find = (): Promise<Selectable<KeysTable>[]> => store.read(db => db.selectFrom('keys').selectAll().orderBy('created_at').orderBy('kid').execute())
  let rows = await find()
  // A wrong secret is found out before it seals anything.
  let keys = rows.map(row => open(row, sealKeys))
  if (!keys.some(key => key.algorithm === algorithm)) {
    const secret = await generate(algorithm)
    const kid = createId(clock.now())
    await store.transaction(async trx => {
      // Another process may have been first.
      if (await trx.selectFrom('keys').select('kid').where('algorithm', '=', algorithm).executeTakeFirst() !== undefined) return
      await trx.insertInto('keys').values({
        kid,
        algorithm,
        sealed: seal(sealKeys[0], secret, contextOf(kid, algorithm)),
        created_at: clock.now()
      }).execute()
    })
    rows = await find()
    keys = rows.map(row => open(row, sealKeys))
  }
  return keys
}

import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

/**
 * The keys that are derived from one secret. Each purpose has its own key, so a leak through one use reveals no other.
 */
export interface DerivedKeys {
  /** For the MAC of refresh tokens. */
  refresh: Buffer
  /** For sealing private keys in the store. */
  seal: Buffer
  /** For the MAC of the names under which attempts are counted. */
  throttle: Buffer
}

/**
 * Derives the symmetric keys from each secret with HKDF-SHA-256 (RFC 5869), in the order given. The first one signs and
 * seals, and all of them verify and unseal, so that a secret can be rotated without ending a session.
 */
export function deriveKeys (secrets: readonly string[]): [DerivedKeys, ...DerivedKeys[]] {
  const [first, ...others] = secrets.map(secret => ({
    refresh: derive(secret, 'latchkey refresh token'),
    seal: derive(secret, 'latchkey seal'),
    throttle: derive(secret, 'latchkey throttle')
  }))
  if (first === undefined) throw new RangeError('At least one secret is needed')
  return [first, ...others]
}

function derive (secret: string, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', purpose, 32))
}

/** Encrypts with AES-256-GCM and a fresh nonce. `context` is bound to the value, so it does not open in another row. */
export function seal (key: Buffer, plaintext: string, context: string): string {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context))
  const sealed = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64url')
}

/** The bytes of nonce and tag. No sealed value is shorter. */
const OVERHEAD = 28

/** Whether a text has the form of a sealed value. */
export function isSealed (text: string): boolean {
  return /^[\w-]+$/.test(text) && text.length >= OVERHEAD * 4 / 3
}

/** The reverse of `seal`. Returns undefined if the key is a different one, or if the value was tampered with. */
export function unseal (key: Buffer, sealed: string, context: string): string | undefined {
  const bytes = Buffer.from(sealed, 'base64url')
  if (bytes.length < OVERHEAD) return undefined
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12), { authTagLength: 16 })
    .setAAD(Buffer.from(context))
    .setAuthTag(bytes.subarray(12, 28))
  try {
    return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString('utf8')
  } catch {
    return undefined
  }
}

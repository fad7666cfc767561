import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { toText } from '../store/columns.js'

// What the secret of an unknown client is compared with.
const nobody = randomBytes(32)

/** Creates a secret. */
export function createSecret (): string {
  return `lks_${randomBytes(32).toString('base64url')}`
}

/**
 * Hashed once, without salt: that and a slow hash are for what people choose. Of 256 random bits nobody makes a table,
 * and nobody tries them all; a hash that is quick lets a client authenticate with every request.
 */
export function hashSecret (secret: string): string {
  return digest(secret).toString('base64url')
}

/** Whether a secret has this stored hash, which is undefined for an unknown client. */
export function matchesHash (secret: string, hash: string | undefined): boolean {
  const known = Buffer.from(toText(hash), 'base64url')
  // A damaged hash matches no secret.
  const isSound = known.length === nobody.length
  return timingSafeEqual(digest(secret), isSound ? known : nobody) && isSound
}

function digest (secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}

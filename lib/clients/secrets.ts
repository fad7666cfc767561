import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { toText } from '../store/columns.js'

/** Stands in for the hash of an unknown client, and for a damaged hash. */
const DECOY = randomBytes(32)

/** Creates a random secret of 256 bits. */
export function createSecret (): string {
  return `lks_${randomBytes(32).toString('base64url')}`
}

/** Stored instead of a hash for a public client. It is not a hash, so no secret matches it. */
export const NO_SECRET = 'none'

/**
 * Hashes a secret once, without a salt. Salts and slow hashes protect secrets that people choose. An attacker can
 * neither build a table of 256 random bits nor try them all. A fast hash lets a client authenticate with every request.
 */
export function hashSecret (secret: string): string {
  return digest(secret).toString('base64url')
}

/** Whether a secret has this stored hash. For an unknown client, pass undefined: the comparison takes the same time. */
export function matchesHash (secret: string, hash: string | undefined): boolean {
  const known = Buffer.from(toText(hash), 'base64url')
  // A damaged hash matches no secret.
  const isSound = known.length === DECOY.length
  return timingSafeEqual(digest(secret), isSound ? known : DECOY) && isSound
}

function digest (secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}

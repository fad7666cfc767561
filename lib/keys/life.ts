import type { Algorithm } from '../../schemas/algorithms.js'

/** How long a verifier may use the keys that it has read, in seconds. It is the `max-age` of the JWKS. */
export const JWKS_MAX_AGE = 300

/** Milliseconds for clocks that differ, and for responses that are under way. */
export const KEY_MARGIN = 60_000

/**
 * How long a key is published before it signs, in milliseconds. So every verifier can read a key before its first
 * token.
 */
export const KEY_LEAD = JWKS_MAX_AGE * 1000 + KEY_MARGIN

/** The times of a key, in milliseconds of the store's clock. */
export interface KeyLife {
  /** When it begins to sign. Null: never, because it only verifies. */
  activatesAt: number | null
  /** When it stops signing. Null: not known yet. */
  retiresAt: number | null
  /** When its last token expires. From then on it is not published and verifies nothing. Null: not known yet. */
  expiresAt: number | null
  /** When it was revoked, with everything that it ever signed. */
  revokedAt: number | null
}

/** Pending -> active -> retired -> removed, for a key that signs; verify-only -> removed, for one that never does. */
export type KeyState = 'pending' | 'active' | 'retired' | 'removed' | 'verify-only' | 'revoked'

/** Returns the state of a key. */
export function stateOf ({ activatesAt, retiresAt, expiresAt, revokedAt }: KeyLife, now: number): KeyState {
  if (revokedAt !== null) return 'revoked'
  if (expiresAt !== null && now >= expiresAt) return 'removed'
  if (activatesAt === null) return 'verify-only'
  if (now < activatesAt) return 'pending'
  return retiresAt !== null && now >= retiresAt ? 'retired' : 'active'
}

/** Whether tokens of this key may be trusted. */
export function verifies (life: KeyLife, now: number): boolean {
  return life.revokedAt === null && (life.expiresAt === null || now < life.expiresAt)
}

/**
 * Whether the JWKS contains this key. It omits a key that only verifies, because readers of our JWKS would take the
 * tokens of that older system for ours. Services that verify the older system's tokens themselves already have its key.
 */
export function isPublished (life: KeyLife, now: number): boolean {
  return life.activatesAt !== null && verifies(life, now)
}

/** The data that the choice of a signing key depends on. */
export interface Candidate extends KeyLife {
  algorithm: string
}

/** Returns the key that signs: of the active keys of the algorithm, the one that was activated last. */
export function findSigner<Key extends Candidate> (
  keys: readonly Key[],
  algorithm: Algorithm,
  now: number
): Key | undefined {
  let signer: Key | undefined
  for (const key of keys) {
    if (key.algorithm !== algorithm || key.activatesAt === null || stateOf(key, now) !== 'active') continue
    if (signer === undefined || key.activatesAt >= (signer.activatesAt ?? 0)) signer = key
  }
  return signer
}

/** Returns the key of the algorithm that will sign next, if there is one. */
export function findPending<Key extends Candidate> (
  keys: readonly Key[],
  algorithm: Algorithm,
  now: number
): Key | undefined {
  return keys.find(key => key.algorithm === algorithm && stateOf(key, now) === 'pending')
}

/** Like `findSigner`. But if the clock was set back to before the first key, that key is pending again, and signs. */
export function findActingSigner<Key extends Candidate> (
  keys: readonly Key[],
  algorithm: Algorithm,
  now: number
): Key | undefined {
  return findSigner(keys, algorithm, now) ?? findPending(keys, algorithm, now)
}

/**
 * Whether the signing key must be replaced now, so that the next one is published before this one is too old.
 * @param rotation - the milliseconds for which a key signs. If undefined, it signs forever.
 */
export function isRotationDue (
  keys: readonly Candidate[],
  { algorithm, rotation, now }: { algorithm: Algorithm, rotation: number | undefined, now: number }
): boolean {
  if (rotation === undefined || findPending(keys, algorithm, now) !== undefined) return false
  const signer = findSigner(keys, algorithm, now)
  return signer !== undefined && now + KEY_LEAD >= (signer.activatesAt ?? 0) + rotation
}

/**
 * Returns when the last token of a key expires, if the key stops signing at `retiresAt`. `accessTokenTtl`: the longest
 * lifetime that access tokens ever had here.
 */
export function expiryOf (retiresAt: number, accessTokenTtl: number): number {
  return retiresAt + accessTokenTtl + KEY_MARGIN
}

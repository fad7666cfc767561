import type { Algorithm } from '../../schemas/algorithms.js'

/** How long a verifier may go on with the keys that it has read, in seconds: the `max-age` of the JWKS. */
export const JWKS_MAX_AGE = 300

/** Milliseconds for clocks that stand apart, and for answers on their way. */
export const KEY_MARGIN = 60_000

/** How long a key is published before it signs, in milliseconds: nobody meets a token of a key that he cannot have read. */
export const KEY_LEAD = JWKS_MAX_AGE * 1000 + KEY_MARGIN

/** The times of a key, in milliseconds of the store's clock. */
export interface KeyLife {
  /** When it begins to sign. Null: never, it only verifies. */
  activatesAt: number | null
  /** When it stops signing. Null: that is open. */
  retiresAt: number | null
  /** When its last token is dead; from then on it is not published and verifies nothing. Null: that is open. */
  expiresAt: number | null
  /** When it was declared dead, with everything that it ever signed. */
  revokedAt: number | null
}

/** Pending -> active -> retired -> removed, for a key that signs; verify-only -> removed, for one that never does. */
export type KeyState = 'pending' | 'active' | 'retired' | 'removed' | 'verify-only' | 'revoked'

/** Where a key stands in its life. */
export function stateOf ({ activatesAt, retiresAt, expiresAt, revokedAt }: KeyLife, now: number): KeyState {
  if (revokedAt !== null) return 'revoked'
  if (expiresAt !== null && now >= expiresAt) return 'removed'
  if (activatesAt === null) return 'verify-only'
  if (now < activatesAt) return 'pending'
  return retiresAt !== null && now >= retiresAt ? 'retired' : 'active'
}

/** Whether tokens of this key are to be believed. */
export function verifies (life: KeyLife, now: number): boolean {
  return life.revokedAt === null && (life.expiresAt === null || now < life.expiresAt)
}

/**
 * Whether the JWKS shows this key. One that only verifies is not shown: it is somebody else's, and whoever reads our JWKS would
 * believe what that one signs to be ours. Who verifies the older system's tokens by himself has its key already.
 */
export function isPublished (life: KeyLife, now: number): boolean {
  return life.activatesAt !== null && verifies(life, now)
}

/** What the choice of a signing key looks at. */
export interface Candidate extends KeyLife {
  algorithm: string
}

/** The key that signs: of those of the algorithm that are active the one that became so last. */
export function findSigner<Key extends Candidate> (keys: readonly Key[], algorithm: Algorithm, now: number): Key | undefined {
  let signer: Key | undefined
  for (const key of keys) {
    if (key.algorithm !== algorithm || key.activatesAt === null || stateOf(key, now) !== 'active') continue
    if (signer === undefined || key.activatesAt >= (signer.activatesAt ?? 0)) signer = key
  }
  return signer
}

/** The key of the algorithm that is to sign next, where there is one. */
export function findPending<Key extends Candidate> (keys: readonly Key[], algorithm: Algorithm, now: number): Key | undefined {
  return keys.find(key => key.algorithm === algorithm && stateOf(key, now) === 'pending')
}

/**
 * Whether the signing key is to be replaced: early enough for the next one to be published before this one is too old.
 * @param rotation - milliseconds that a key signs for; undefined: for good.
 */
export function isRotationDue (
  keys: readonly Candidate[],
  { algorithm, rotation, now }: { algorithm: Algorithm, rotation: number | undefined, now: number }
): boolean {
  if (rotation === undefined || findPending(keys, algorithm, now) !== undefined) return false
  const signer = findSigner(keys, algorithm, now)
  return signer !== undefined && now + KEY_LEAD >= (signer.activatesAt ?? 0) + rotation
}

/** When the last token of a key is dead that stops signing at `retiresAt`. `accessTokenTtl`: the longest that one ever lived here. */
export function expiryOf (retiresAt: number, accessTokenTtl: number): number {
  return retiresAt + accessTokenTtl + KEY_MARGIN
}

/** A hash that another system made, in parts. */
export interface ForeignHash {
  /** The work of two hashes of one family can be compared. */
  family: string
  /** The work of one verification, in the unit of its format. */
  work: number
  /** The memory that one verification holds, in bytes. */
  memory: number
  /** A hash that costs the same to verify. It contains nothing of this one except the cost. */
  dummy: string
  /** The result of `derive` for the right password. */
  digest: Buffer
  /**
   * Hashes a password with this much work. If that is the `work` of this hash, compare the result with `digest`. It
   * blocks the thread, so call it in a worker.
   */
  derive (password: string, work: number): Uint8Array | Promise<Uint8Array>
}

/** A format in which other systems store password hashes. */
export interface HashFormat {
  /** The name in messages. */
  name: string
  /** The unit of `ForeignHash.work`. */
  unit: string
  /** The most work of one verification. It takes about two seconds on one core. */
  maxWork: number
  /** Returns the parts of a hash, or undefined if it is not of this format. It must cost next to nothing. */
  read (hash: string): ForeignHash | undefined
}

/** A digest with fewer bytes than this belongs to too many passwords. */
const MIN_DIGEST = 16

/** Salts and digests are never longer. */
const MAX_BYTES = 128

/**
 * Decodes base64, base64url, or the alphabet of passlib, which has `.` in place of `+`. Returns undefined if the text
 * has other characters, or if its length is out of bounds. The default bounds are those of a digest.
 */
export function readBase64 (
  text: string, { min = MIN_DIGEST, max = MAX_BYTES }: { min?: number, max?: number } = {}
): Buffer | undefined {
  if (!/^[A-Za-z0-9+/._-]+={0,2}$/.test(text)) return undefined
  const bytes = Buffer.from(text.replaceAll('.', '+'), 'base64')
  return bytes.length >= min && bytes.length <= max ? bytes : undefined
}

/** Zero bytes in base64 without padding, for the salt or the digest of a dummy. */
export function zeros (bytes: number): string {
  return Buffer.alloc(bytes).toString('base64').replaceAll('=', '')
}

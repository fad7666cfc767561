// What the text of a bcrypt hash reveals. The hashing itself is in another file, so that only the worker threads load
// bcryptjs. The hashes of other systems are in `formats/`.

/** The lowest bcrypt cost that is accepted. The work is 2 to the power of the cost. */
export const MIN_COST = 4

/**
 * The highest bcrypt cost that is accepted. One verification at 20 takes about a minute, and blocks a thread meanwhile.
 */
export const MAX_COST = 20

/** How a password is prepared for bcrypt. */
export type Form = 'bcrypt' | 'sha256-v1' | 'sha256-v2' | 'sha256-hex'

/** The parts of a hash. */
export interface ParsedHash {
  form: Form
  cost: number
  salt: string
  digest: string
}

// The last character of a salt or digest has unused bits. They must be zero, or one hash would have several spellings.
const SALT = '([./A-Za-z0-9]{21}[.Oeu])'
const DIGEST = '([./A-Za-z0-9]{30}[.CGKOSWaeimquy26])'

const PATTERNS: ReadonlyArray<readonly [Form, RegExp]> = [
  // Spring and Django put the name of the encoder in front.
  ['bcrypt', new RegExp(`^(?:\\{bcrypt\\}|bcrypt\\$)?\\$2[aby]\\$(\\d{2})\\$${SALT}${DIGEST}$`)],
  // Django's hasher, which differs from passlib's.
  ['sha256-hex', new RegExp(`^bcrypt_sha256\\$\\$2[aby]\\$(\\d{2})\\$${SALT}${DIGEST}$`)],
  ['sha256-v2', new RegExp(`^\\$bcrypt-sha256\\$v=2,t=2b,r=([1-9]\\d?)\\$${SALT}\\$${DIGEST}$`)],
  ['sha256-v1', new RegExp(`^\\$bcrypt-sha256\\$2[ab],([1-9]\\d?)\\$${SALT}\\$${DIGEST}$`)]
]

/** Returns the parts of a hash, or undefined if it is not supported. */
export function parseHash (hash: string): ParsedHash | undefined {
  for (const [form, pattern] of PATTERNS) {
    const [, digits, salt, digest] = pattern.exec(hash) ?? []
    if (digits === undefined || salt === undefined || digest === undefined) continue
    const cost = Number(digits)
    return cost >= MIN_COST && cost <= MAX_COST ? { form, cost, salt, digest } : undefined
  }
  return undefined
}

/** The part of a bcrypt hash that precedes the digest. */
export function bcryptPrefix (cost: number, salt: string): string {
  return `$2b$${String(cost).padStart(2, '0')}$${salt}`
}

/**
 * Whether this is a bcrypt hash that can be verified. It must be complete, of a known form, and have a cost from
 * MIN_COST to MAX_COST. `$2x$` is refused, because many passwords share one hash there (the sign-extension bug of
 * crypt_blowfish).
 */
export function isBcryptHash (hash: string): boolean {
  return parseHash(hash) !== undefined
}

/** Returns the bcrypt cost of a hash, or undefined for a hash that isBcryptHash() refuses. */
export function costOf (hash: string): number | undefined {
  return parseHash(hash)?.cost
}

/**
 * Whether a hash should be replaced at the next login: its cost is lower than the configured one, its form is plain
 * SHA-256 inside bcrypt (attackers can try a leaked table of plain SHA-256 hashes against it), or it is not bcrypt.
 *
 * @param hash The stored hash.
 * @param cost The configured bcrypt cost.
 */
export function needsRehash (hash: string, cost: number): boolean {
  const parsed = parseHash(hash)
  return parsed === undefined || ['sha256-v1', 'sha256-hex'].includes(parsed.form) || parsed.cost < cost
}

/**
 * Returns a well-formed hash that takes as much work to verify as a real one, without computing anything. A match would
 * mean nothing, so callers treat every answer as false.
 *
 * @param cost The bcrypt cost, from MIN_COST to MAX_COST.
 */
export function dummyHash (cost: number): string {
  return bcryptPrefix(cost, '.'.repeat(22)) + '.'.repeat(31)
}

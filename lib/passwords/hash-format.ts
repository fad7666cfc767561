// What is known of a hash from its text. Apart from the work, which only the threads do: bcryptjs is loaded there alone.

/** The lowest bcrypt cost that is accepted; the work is 2 to the power of the cost. */
export const MIN_COST = 4

/** The highest bcrypt cost that is accepted. One verification at 20 takes about a minute: more would only hold a thread hostage. */
export const MAX_COST = 20

/** How a password is prepared for bcrypt. */
export type Form = 'bcrypt' | 'sha256-v1' | 'sha256-v2'

/** A hash, taken apart. */
export interface ParsedHash {
  form: Form
  cost: number
  salt: string
  digest: string
}

// The last character of a salt or digest carries unused bits. They must be zero, or one hash would have several spellings.
const SALT = '([./A-Za-z0-9]{21}[.Oeu])'
const DIGEST = '([./A-Za-z0-9]{30}[.CGKOSWaeimquy26])'

const PATTERNS: ReadonlyArray<readonly [Form, RegExp]> = [
  ['bcrypt', new RegExp(`^\\$2[aby]\\$(\\d{2})\\$${SALT}${DIGEST}$`)],
  ['sha256-v2', new RegExp(`^\\$bcrypt-sha256\\$v=2,t=2b,r=([1-9]\\d?)\\$${SALT}\\$${DIGEST}$`)],
  ['sha256-v1', new RegExp(`^\\$bcrypt-sha256\\$2[ab],([1-9]\\d?)\\$${SALT}\\$${DIGEST}$`)]
]

/** The parts of a hash; undefined where it is none that is supported. */
export function parseHash (hash: string): ParsedHash | undefined {
  for (const [form, pattern] of PATTERNS) {
    const [, digits, salt, digest] = pattern.exec(hash) ?? []
    if (digits === undefined || salt === undefined || digest === undefined) continue
    const cost = Number(digits)
    return cost >= MIN_COST && cost <= MAX_COST ? { form, cost, salt, digest } : undefined
  }
  return undefined
}

/** What stands before the digest. */
export function bcryptPrefix (cost: number, salt: string): string {
  return `$2b$${String(cost).padStart(2, '0')}$${salt}`
}

/**
 * Tells whether a hash can be imported: complete, of a known form, with a cost from MIN_COST to MAX_COST.
 * `$2x$` (the sign-extension bug of crypt_blowfish, where many passwords share one hash) is refused.
 */
export function isSupportedHash (hash: string): boolean {
  return parseHash(hash) !== undefined
}

/** The bcrypt cost of a hash, or undefined for a hash that isSupportedHash() refuses. */
export function costOf (hash: string): number | undefined {
  return parseHash(hash)?.cost
}

/**
 * Tells whether a hash should be replaced at the next log-in: its cost is lower than the configured one, its form is
 * passlib's version 1 (a leaked table of plain SHA-256 can be tried against it), or it is not supported at all.
 *
 * @param hash The stored hash.
 * @param cost The configured bcrypt cost.
 */
export function needsRehash (hash: string, cost: number): boolean {
  const parsed = parseHash(hash)
  return parsed === undefined || parsed.form === 'sha256-v1' || parsed.cost < cost
}

/**
 * A well-formed hash that costs as much to verify as a real one, written down without computing anything.
 * Whether a password matches it says nothing: callers treat every answer as false.
 *
 * @param cost The bcrypt cost, from MIN_COST to MAX_COST.
 */
export function dummyHash (cost: number): string {
  return bcryptPrefix(cost, '.'.repeat(22)) + '.'.repeat(31)
}

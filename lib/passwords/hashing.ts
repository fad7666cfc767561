import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { genSaltSync, hashSync } from 'bcryptjs'

/** The lowest bcrypt cost that is accepted; the work is 2 to the power of the cost. */
export const MIN_COST = 4

/** The highest bcrypt cost that is accepted. One verification at 20 takes about a minute: more would only hold a thread hostage. */
export const MAX_COST = 20

type Form = 'bcrypt' | 'sha256-v1' | 'sha256-v2'

interface ParsedHash {
  form: Form
  cost: number
  salt: string
  digest: string
}

/** What bcrypt reads of a password, in UTF-8 bytes. */
const BCRYPT_BYTES = 72

// The last character of a salt or digest carries unused bits. They must be zero, or one hash would have several spellings.
const SALT = '([./A-Za-z0-9]{21}[.Oeu])'
const DIGEST = '([./A-Za-z0-9]{30}[.CGKOSWaeimquy26])'

const PATTERNS: ReadonlyArray<readonly [Form, RegExp]> = [
  ['bcrypt', new RegExp(`^\\$2[aby]\\$(\\d{2})\\$${SALT}${DIGEST}$`)],
  ['sha256-v2', new RegExp(`^\\$bcrypt-sha256\\$v=2,t=2b,r=([1-9]\\d?)\\$${SALT}\\$${DIGEST}$`)],
  ['sha256-v1', new RegExp(`^\\$bcrypt-sha256\\$2[ab],([1-9]\\d?)\\$${SALT}\\$${DIGEST}$`)]
]

function parseHash (hash: string): ParsedHash | undefined {
  for (const [form, pattern] of PATTERNS) {
    const [, digits, salt, digest] = pattern.exec(hash) ?? []
    if (digits === undefined || salt === undefined || digest === undefined) continue
    const cost = Number(digits)
    return cost >= MIN_COST && cost <= MAX_COST ? { form, cost, salt, digest } : undefined
  }
  return undefined
}

// NIST SP 800-63B-4 section 3.1.1.2: normalise before hashing, or one password typed on two keyboards is two passwords.
function normalise (password: string): string {
  return password.normalize('NFKC')
}

// bcrypt ignores what follows 72 bytes, and takes "P" and "P, NUL, P" as equal.
function fitsBcrypt (password: string): boolean {
  return Buffer.byteLength(password) <= BCRYPT_BYTES && !password.includes('\0')
}

function bcryptSecret (form: Form, password: string, salt: string): string {
  switch (form) {
    case 'bcrypt': return password
    case 'sha256-v1': return createHash('sha256').update(password).digest('base64')
    case 'sha256-v2': return createHmac('sha256', salt).update(password).digest('base64')
  }
}

function bcryptPrefix (cost: number, salt: string): string {
  return `$2b$${String(cost).padStart(2, '0')}$${salt}`
}

function computeDigest (form: Form, password: string, cost: number, salt: string): string {
  const prefix = bcryptPrefix(cost, salt)
  return hashSync(bcryptSecret(form, password, salt), prefix).slice(prefix.length)
}

/**
 * Hashes a password with a new random salt. Blocks the thread for the whole work: call it in a worker.
 *
 * Up to 72 bytes of UTF-8 without NUL give a plain `$2b$` hash; any other password gives passlib's `bcrypt_sha256`,
 * version 2, so that every character counts (OWASP ASVS 6.2.8, no truncation).
 *
 * @param password The password as typed; NFKC is applied here (NIST SP 800-63B-4 section 3.1.1.2).
 * @param cost The bcrypt cost, from MIN_COST to MAX_COST.
 * @returns The hash as text, 60 or 82 to 83 characters.
 */
export function hashPassword (password: string, cost: number): string {
  const normal = normalise(password)
  const salt = genSaltSync(cost).slice(-22)
  if (fitsBcrypt(normal)) return bcryptPrefix(cost, salt) + computeDigest('bcrypt', normal, cost, salt)
  return `$bcrypt-sha256$v=2,t=2b,r=${cost}$${salt}$${computeDigest('sha256-v2', normal, cost, salt)}`
}

/**
 * Tells whether the password belongs to the hash. Blocks the thread for the whole work: call it in a worker.
 *
 * @param password The password as typed; NFKC is applied here, and nothing else is tried.
 * @param hash `$2a$`, `$2b$`, `$2y$`, or passlib's `$bcrypt-sha256$` version 1 or 2.
 * @returns true on a match; false otherwise, at once for a hash that isSupportedHash() refuses.
 */
export function verifyPassword (password: string, hash: string): boolean {
  const parsed = parseHash(hash)
  if (parsed === undefined) return false
  const normal = normalise(password)
  const digest = computeDigest(parsed.form, normal, parsed.cost, parsed.salt)
  const equal = timingSafeEqual(Buffer.from(digest), Buffer.from(parsed.digest))
  // Refused only after the work: a quick answer would tell which accounts have a plain hash.
  return equal && (parsed.form !== 'bcrypt' || fitsBcrypt(normal))
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

/**
 * Does the work that separates two costs, so that an account with an old, cheaper hash answers no sooner than one
 * that does not exist: 2^from + (2^from + 2^(from + 1) + ... + 2^(to - 1)) = 2^to. Does nothing when `from` is not lower.
 *
 * @param from The cost that was already paid.
 * @param to The cost to reach.
 */
export function spendDifference (from: number, to: number): void {
  for (let cost = from; cost < to; cost++) verifyPassword('', dummyHash(cost))
}

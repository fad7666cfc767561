import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { genSaltSync, hashSync } from 'bcryptjs'
import type { ForeignHash } from './formats/format.js'
import { bcryptPrefix, dummyHash, MIN_COST, parseHash } from './hash-format.js'
import type { Form, ParsedHash } from './hash-format.js'
import { MAX_PASSWORD_BYTES } from './policy.js'

/** How many bytes of UTF-8 bcrypt reads of a password. */
const BCRYPT_BYTES = 72

// NIST SP 800-63B-4 section 3.1.1.2: normalise before hashing. Otherwise one password typed on two keyboards could have
// two hashes.
function normalise (password: string): string {
  return password.normalize('NFKC')
}

// bcrypt ignores everything after 72 bytes, and treats "P" and "P, NUL, P" as equal.
function fitsBcrypt (password: string): boolean {
  return Buffer.byteLength(password) <= BCRYPT_BYTES && !password.includes('\0')
}

function bcryptSecret (form: Form, password: string, salt: string): string {
  switch (form) {
    case 'bcrypt': return password
    case 'sha256-v1': return createHash('sha256').update(password).digest('base64')
    case 'sha256-hex': return createHash('sha256').update(password).digest('hex')
    case 'sha256-v2': return createHmac('sha256', salt).update(password).digest('base64')
  }
}

function computeDigest (password: string, { form, cost, salt }: Omit<ParsedHash, 'digest'>): string {
  const prefix = bcryptPrefix(cost, salt)
  return hashSync(bcryptSecret(form, password, salt), prefix).slice(prefix.length)
}

/**
 * Hashes a password with a new random salt. It blocks the thread until it is done, so call it in a worker.
 *
 * A password of up to 72 bytes of UTF-8 without NUL gets a plain `$2b$` hash. Any other password gets passlib's
 * `bcrypt_sha256`, version 2, so that every character counts (OWASP ASVS 6.2.8, no truncation).
 *
 * @param password The password as typed. NFKC is applied here.
 * @param cost The bcrypt cost, from MIN_COST to MAX_COST.
 * @returns The hash as text, 60 or 82 to 83 characters.
 */
export function hashPassword (password: string, cost: number): string {
  const normal = normalise(password)
  const salt = genSaltSync(cost).slice(-22)
  if (fitsBcrypt(normal)) return bcryptPrefix(cost, salt) + computeDigest(normal, { form: 'bcrypt', cost, salt })
  return `$bcrypt-sha256$v=2,t=2b,r=${cost}$${salt}$${computeDigest(normal, { form: 'sha256-v2', cost, salt })}`
}

/**
 * Hashes a password that `generatePassword` made, in about a millisecond. No attacker finds it among 2^144 by trying,
 * however cheap a try is. The first login raises the cost to the configured one. Until then each login attempt still
 * takes as long as at that cost.
 */
export function hashGenerated (password: string): string {
  return hashPassword(password, MIN_COST)
}

/**
 * Whether the password belongs to the hash. It blocks the thread until it is done, so call it in a worker.
 *
 * @param password The password as typed. NFKC is applied here, and no other form is tried.
 * @param hash `$2a$`, `$2b$`, `$2y$`, passlib's `$bcrypt-sha256$` version 1 or 2, or a spelling of Spring or Django.
 * @returns true on a match, otherwise false. For a hash that isBcryptHash() refuses, it returns false at once.
 */
export function verifyPassword (password: string, hash: string): boolean {
  const parsed = parseHash(hash)
  if (parsed === undefined) return false
  const normal = normalise(password)
  const digest = computeDigest(normal, parsed)
  const equal = timingSafeEqual(Buffer.from(digest), Buffer.from(parsed.digest))
  // This is checked only after the work, because a quick answer would reveal which accounts have a plain hash.
  return equal && (parsed.form !== 'bcrypt' || fitsBcrypt(normal))
}

/**
 * Returns the text that hashes of other systems are derived from, and whether it may match: NFKC of the password as
 * typed. For an empty password, which hash-wasm refuses, and for one that is too long, it returns a text that takes its
 * place.
 */
export function toForeignText (password: string): { text: string, mayMatch: boolean } {
  const text = normalise(password)
  const mayMatch = text !== '' && Buffer.byteLength(text) <= MAX_PASSWORD_BYTES
  return { text: mayMatch ? text : ' ', mayMatch }
}

/**
 * Whether the password belongs to a hash of another system. It blocks the thread, so call it in a worker.
 *
 * @param password The password as typed. No other form than NFKC is tried.
 */
export async function verifyForeign (password: string, { digest, work, derive }: ForeignHash): Promise<boolean> {
  const { text, mayMatch } = toForeignText(password)
  const derived = await derive(text, work)
  return mayMatch && derived.length === digest.length && timingSafeEqual(derived, digest)
}

/**
 * Does the work that separates two costs, so that an account with an old, cheaper hash answers no sooner than one that
 * does not exist: 2^from + (2^from + 2^(from + 1) + ... + 2^(to - 1)) = 2^to. It does nothing if `from` is not lower.
 *
 * @param from The cost that was already paid.
 * @param to The cost to reach.
 */
export function spendDifference (from: number, to: number): void {
  for (let cost = from; cost < to; cost++) verifyPassword('', dummyHash(cost))
}

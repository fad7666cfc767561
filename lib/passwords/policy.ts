import { randomBytes } from 'node:crypto'

/**
 * The longest password that is accepted, in bytes of UTF-8 after NFKC. Far above the 64 characters that NIST asks for.
 */
export const MAX_PASSWORD_BYTES = 1024

/**
 * The longest text that can be such a password, in UTF-16 units. After NFKC, two units take at least one byte. A longer
 * text is never normalised, because the time grows with the square of the marks on one letter.
 */
export const MAX_PASSWORD_LENGTH = 2 * MAX_PASSWORD_BYTES

const TOO_LONG = 'It is longer than 1,024 bytes.'

/** The rules for a new password. */
export interface PasswordRules {
  /**
   * The fewest characters, counted in Unicode code points. NIST SP 800-63B-4 asks for 15 if a password is the only
   * factor.
   */
  minLength: number
  /** The username, which an attacker tries first. */
  username?: string
}

/**
 * Returns what is wrong with the size of a new password: one sentence that never quotes it, or undefined. It costs next
 * to nothing. `strength.ts` finds passwords that are easy to guess, in a thread of its own.
 */
export function findSizeProblem (password: string, minLength: number): string | undefined {
  if (password.length > MAX_PASSWORD_LENGTH) return TOO_LONG
  const normal = password.normalize('NFKC')
  if (Buffer.byteLength(normal) > MAX_PASSWORD_BYTES) return TOO_LONG
  if ([...normal].length < minLength) return `It is shorter than ${minLength} characters.`
  // UTF-8 cannot encode half of a surrogate pair, so all of them would become the same character.
  if (/\p{Surrogate}/u.test(password)) return 'It contains a character that is not valid Unicode.'
  return undefined
}

/** Makes a random password of 24 characters, A-Z a-z 0-9 - _, with 144 bits. For the first administrator. */
export function generatePassword (): string {
  return randomBytes(18).toString('base64url')
}

import { randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import type { dictionary } from '@zxcvbn-ts/language-common'

/** The longest password that is accepted, in bytes of UTF-8 after NFKC. Far above the 64 characters that NIST asks for. */
export const MAX_PASSWORD_BYTES = 1024

/** What checkPassword() compares with. */
export interface PasswordRules {
  /** The fewest characters, counted in Unicode code points. NIST SP 800-63B-4 asks for 15 where nothing but a password is needed. */
  minLength: number
  /** The name of the user: neither it, nor the part before an "@", is a password. */
  username?: string
  /** Words that an attacker tries first here, such as the name of the service. Default: none. */
  context?: string[]
}

const SEQUENCES = [
  '0123456789',
  'abcdefghijklmnopqrstuvwxyz',
  'abcdefghijklmnopqrstuvwxyz0123456789',
  'qwertyuiopasdfghjklzxcvbnm',
  '1234567890qwertyuiopasdfghjklzxcvbnm'
]

let commonPasswords: Set<string> | undefined

// 49,000 words and 13 MB: loaded by the first check, so that a process that never checks a password never pays.
function isCommon (text: string): boolean {
  if (commonPasswords === undefined) {
    const language = createRequire(import.meta.url)('@zxcvbn-ts/language-common') as { dictionary: typeof dictionary }
    commonPasswords = new Set(language.dictionary.passwords)
  }
  return commonPasswords.has(text)
}

function fold (text: string): string {
  return text.normalize('NFKC').toLowerCase()
}

function countCodePoints (text: string): number {
  return [...text].length
}

function repeats (text: string, part: string): boolean {
  if (part === '' || part.length > text.length) return false
  return part.repeat(Math.ceil(text.length / part.length)).startsWith(text)
}

function repeatedPart (text: string): string {
  for (let length = 1; length <= text.length / 2; length++) {
    const part = text.slice(0, length)
    if (repeats(text, part)) return part
  }
  return text
}

function isSequence (text: string): boolean {
  const backwards = [...text].reverse().join('')
  return SEQUENCES.some(function holds (sequence) {
    const endless = sequence.repeat(Math.ceil(text.length / sequence.length) + 1)
    return endless.includes(text) || endless.includes(backwards)
  })
}

function checkSize (password: string, minLength: number): string | undefined {
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) return 'It is longer than 1,024 bytes.'
  if (countCodePoints(password) < minLength) return `It is shorter than ${minLength} characters.`
  // UTF-8 has no form for half of a surrogate pair: all of them would become one and the same character.
  if (/\p{Surrogate}/u.test(password)) return 'It contains a character that is not valid Unicode.'
  return undefined
}

/**
 * Checks a new password after NIST SP 800-63B-4 section 3.1.1.2: a minimum length, a generous maximum, a blocklist, and no
 * rules of composition. The blocklist is compared with the whole password, not with words inside it, ignoring case. It
 * holds the common passwords of zxcvbn, the username, the context words, repetitions of any of these, plain sequences, and
 * repetitions of a part that is too short by itself.
 *
 * @param password The password as typed; NFKC is applied here, as in hashing.
 * @param rules See PasswordRules.
 * @returns undefined when the password is acceptable, else one sentence for people, which never quotes the password.
 */
export function checkPassword (password: string, rules: PasswordRules): string | undefined {
  const { minLength, username = '', context = [] } = rules
  const size = checkSize(password.normalize('NFKC'), minLength)
  if (size !== undefined) return size

  const text = fold(password)
  const part = repeatedPart(text)
  const names = [username, username.split('@', 1)[0] ?? '']
  if (isCommon(text)) return 'It is one of the most common passwords.'
  if (isCommon(part)) return 'It repeats one of the most common passwords.'
  if (names.some((name) => repeats(text, fold(name)))) return 'It is nothing but the username.'
  if (context.some((word) => repeats(text, fold(word)))) return 'It is nothing but a word that is easy to guess here.'
  if (isSequence(text)) return 'It is a simple sequence of characters.'
  if (part !== text && countCodePoints(part) < minLength) return 'It only repeats a short part.'
  return undefined
}

/** Makes a random password of 24 characters, A-Z a-z 0-9 - _, with 144 bits. For the first administrator. */
export function generatePassword (): string {
  return randomBytes(18).toString('base64url')
}

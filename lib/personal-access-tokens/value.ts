import { createHash, randomInt } from 'node:crypto'
import { crc32 } from 'node:zlib'

const PREFIX = 'lkp_'

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** How many random characters a value has. Together they have 214 bits. */
const RANDOM_LENGTH = 36

/** Six characters of this alphabet hold 32 bits. */
const CHECKSUM_LENGTH = 6

const FORM = new RegExp(`^${PREFIX}[0-9A-Za-z]{${RANDOM_LENGTH + CHECKSUM_LENGTH}}$`)

/**
 * Makes the value of a personal access token: `lkp_`, 36 random characters, and a checksum of 6 characters. The
 * checksum is the CRC-32 of everything before it, as a number of base 62 with leading zeros. So a secret scanner can
 * recognize a value without a request, and a mistyped value costs no query.
 */
export function createValue (): string {
  const random = Array.from({ length: RANDOM_LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join('')
  return PREFIX + random + checksumOf(PREFIX + random)
}

/** Whether a credential claims to be a personal access token. */
export function isKey (credential: unknown): credential is string {
  return typeof credential === 'string' && credential.startsWith(PREFIX)
}

/** Whether a text has the form and the checksum of a value. */
export function isWellFormed (value: string): boolean {
  return FORM.test(value) && checksumOf(value.slice(0, -CHECKSUM_LENGTH)) === value.slice(-CHECKSUM_LENGTH)
}

/**
 * Hashes a value once, without a salt, because 214 random bits cannot be guessed. The hash finds the row, so a leaked
 * database holds no value.
 */
export function hashValue (value: string): string {
  return createHash('sha256').update(value).digest('base64url')
}

function checksumOf (text: string): string {
  let rest = crc32(text)
  let digits = ''
  for (let place = 0; place < CHECKSUM_LENGTH; place++) {
    digits = `${ALPHABET[rest % ALPHABET.length]}${digits}`
    rest = Math.floor(rest / ALPHABET.length)
  }
  return digits
}

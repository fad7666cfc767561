import { MAX_USERNAME_LENGTH, USERNAME_PATTERN } from '../schemas/common.js'
import { LatchkeyError } from './errors.js'

const USERNAME = new RegExp(USERNAME_PATTERN, 'u')

/** What makes two usernames one: NFKC, then lower case. */
export function keyOf (username: string): string {
  return username.normalize('NFKC').toLowerCase()
}

/** The username as it is kept. Throws `invalid_request` where NFKC made it too long, empty or blank at its ends. */
export function normaliseUsername (username: string): string {
  const normal = username.normalize('NFKC')
  if (USERNAME.test(normal) && normal.length <= MAX_USERNAME_LENGTH) return normal
  throw new LatchkeyError('invalid_request', { message: `A username has 1 to ${MAX_USERNAME_LENGTH} characters, none of them control characters, and no spaces at its ends.` })
}

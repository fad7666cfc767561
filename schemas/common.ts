import { Type } from 'typebox'

/** One scope after RFC 6749 section 3.3: printable ASCII without space, double quote and backslash. */
export const SCOPE_PATTERN = '^[\\x21\\x23-\\x5B\\x5D-\\x7E]+$'

/** Scopes in one string, separated by spaces: RFC 6749 section 3.3. Empty where there is none. */
export const Scope = Type.String({ maxLength: 2_048, pattern: '^[\\x20\\x21\\x23-\\x5B\\x5D-\\x7E]*$', description: 'Scopes, separated by spaces.' })

export const MAX_USERNAME_LENGTH = 128

/**
 * The username of a login. No control, format or separator characters, and no spaces at the ends. Accounts that were made
 * under other rules, and those of the host, must be able to log in, so this is less strict than a new name.
 */
export const Username = Type.String({
  minLength: 1,
  maxLength: MAX_USERNAME_LENGTH,
  pattern: '^(?!\\s)[^\\p{Cc}\\p{Cf}\\p{Cs}\\p{Zl}\\p{Zp}]+(?<!\\s)$',
  description: 'The username; letter case does not matter.'
})

/** The name of a new user. `lib/identity/usernames.ts` has the rules, because its errors name the character. */
export const NewUsername = Type.String({
  minLength: 1,
  maxLength: MAX_USERNAME_LENGTH,
  description: 'Letters and digits of any language, ASCII punctuation, and single spaces between words; ' +
    'letter case does not matter.'
})

/** A new password. What it must be like is the policy's business; 1,024 characters can be more bytes, and the policy counts those. */
export const NewPassword = Type.String({ minLength: 1, maxLength: 1_024, format: 'password' })

/** A password as it is presented. Half a surrogate pair has no UTF-8: every one would be the same character. */
export const Password = Type.String({ minLength: 1, maxLength: 1_024, pattern: '^[^\\p{Cs}]*$', format: 'password' })

/** A refresh token; anything longer is none of ours. */
export const RefreshToken = Type.String({ minLength: 1, maxLength: 512 })

/** Any token that a client may hold: a JWT or a refresh token. */
export const Token = Type.String({ minLength: 1, maxLength: 8_192 })

export const Uuid = Type.String({ format: 'uuid' })

/** A moment as in RFC 3339. */
export const DateTime = Type.String({ format: 'date-time' })

export const ExpiresIn = Type.Integer({ minimum: 0, description: 'The lifetime of the access token, in seconds.' })

export const PAGE_LIMIT_PATTERN = '^([1-9][0-9]{0,2}|1000)$'

/** The decimal digits of a place in a table. JavaScript rounds no number with so few digits. */
export const PLACE_PATTERN = '^[1-9][0-9]{0,14}$'

/** Seconds since the epoch, in a query. */
export const SECONDS_PATTERN = '^[0-9]{1,12}$'

/** What a value must be if it does not match one of our patterns or formats. */
export const EXPECTED: Readonly<Record<string, string>> = {
  [PAGE_LIMIT_PATTERN]: 'a whole number from 1 to 1000',
  [PLACE_PATTERN]: 'the value of next on the previous page',
  [SECONDS_PATTERN]: 'a number of seconds since 1970, for example 1793707200',
  'date-time': 'a date and time as specified in RFC 3339, for example 2026-11-03T12:00:00Z',
  uuid: 'a UUID, for example 0199f0a2-7c1e-7b43-9d3f-5a2b8c6d4e1f'
}

/** How many entries a page has: a query holds text, and nothing is coerced. */
export const PageLimit = Type.String({
  pattern: PAGE_LIMIT_PATTERN,
  description: 'How many entries, 1 to 1000. Default 100.'
})

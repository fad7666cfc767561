import { Type } from 'typebox'

/** The names in a sentence: 'a, b or c'. */
export function listNames (names: readonly string[]): string {
  return names.join(', ').replace(/, ([^,]*)$/, ' or $1')
}

/**
 * The media types that the OAuth endpoints read. JSON is first, because generated clients send the first type that a
 * document lists.
 */
export const OAUTH_BODY_TYPES = ['application/json', 'application/x-www-form-urlencoded', 'multipart/form-data']

/** One scope as specified in RFC 6749 section 3.3: printable ASCII except space, double quote and backslash. */
export const SCOPE_PATTERN = '^[\\x21\\x23-\\x5B\\x5D-\\x7E]+$'

/** The most scopes of an account or a role. */
export const MAX_SCOPES = 256

/** The most roles of an app. */
export const MAX_ROLES = 100

/** A role has the same characters as a scope. */
export const MAX_ROLE_LENGTH = 64

/** Scopes separated by spaces (RFC 6749 section 3.3). Empty if there are none. */
export const Scope = Type.String({
  maxLength: 2_048,
  pattern: '^[\\x20\\x21\\x23-\\x5B\\x5D-\\x7E]*$',
  description: 'Scopes, separated by spaces.'
})

/** Many apps use the email address as the username, and no address is longer (RFC 5321 section 4.5.3.1.3). */
export const MAX_USERNAME_LENGTH = 254

/**
 * The username of a login. No control, format or separator characters, and no spaces at the ends. Accounts that were
 * made under other rules, and those of the host, must be able to log in, so the rules are less strict than for a new
 * name.
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

/** A new password. The policy has all other rules. It counts bytes, because 1,024 characters can be more bytes. */
export const NewPassword = Type.String({ minLength: 1, maxLength: 1_024, format: 'password' })

/**
 * A password that a user presents. Half a surrogate pair has no UTF-8 form, so all of them would become the same
 * character.
 */
export const Password = Type.String({ minLength: 1, maxLength: 1_024, pattern: '^[^\\p{Cs}]*$', format: 'password' })

/** A refresh token. Latchkey issues none that is longer. */
export const RefreshToken = Type.String({ minLength: 1, maxLength: 512 })

/** Any token that a client may hold: a JWT or a refresh token. */
export const Token = Type.String({ minLength: 1, maxLength: 8_192 })

export const Uuid = Type.String({ format: 'uuid' })

/** A date and time as specified in RFC 3339. */
export const DateTime = Type.String({ format: 'date-time' })

export const ExpiresIn = Type.Integer({ minimum: 0, description: 'The lifetime of the access token, in seconds.' })

export const PAGE_LIMIT_PATTERN = '^([1-9][0-9]{0,2}|1000)$'

/** A position in a table, in decimal digits. JavaScript represents every number with so few digits exactly. */
export const PLACE_PATTERN = '^[1-9][0-9]{0,14}$'

/** Seconds since the epoch, in a query. */
export const SECONDS_PATTERN = '^[0-9]{1,12}$'

/** What a value must be, in words, for the error message if it does not match one of these patterns or formats. */
export const EXPECTED: Readonly<Record<string, string>> = {
  [PAGE_LIMIT_PATTERN]: 'a whole number from 1 to 1000',
  [PLACE_PATTERN]: 'the value of next on the previous page',
  [SECONDS_PATTERN]: 'a number of seconds since 1970, for example 1793707200',
  'date-time': 'a date and time as specified in RFC 3339, for example 2026-11-03T12:00:00Z',
  uuid: 'a UUID, for example 0199f0a2-7c1e-7b43-9d3f-5a2b8c6d4e1f'
}

/** The maximum number of entries in a page. It is a string because a query holds text and nothing is coerced. */
export const PageLimit = Type.String({
  pattern: PAGE_LIMIT_PATTERN,
  description: 'The maximum number of entries, from 1 to 1000. Default 100.'
})

import type { User } from '../../schemas/host.js'

/** What `logIn` checks besides the password. */
export interface LoginChecks {
  /**
   * Runs only if the password is correct, and before any token is issued, for example to check a second factor. Return
   * true to let the user in. Any other value responds 401 `invalid_credentials` and counts like a wrong password. If it
   * throws, the attempt does not count, and your route gets the error. Throw only to ask for a missing code. It must
   * end within 30 seconds.
   */
  confirm?: (user: User) => boolean | Promise<boolean>
  /**
   * How users prove who they are besides the password, as `confirm` checks it: names of RFC 8176 such as `otp` or
   * `hwk`. The tokens carry them in the claim `amr`, after `pwd`. Default: nothing.
   */
  amr?: readonly string[]
}

/** What `logInAs` takes besides the user. */
export interface LoginDetails {
  /**
   * How you verified the user, for the audit trail: a word such as `registration`, `passkey` or `google`. Default
   * `app`.
   */
  method?: string
  /** The scopes to ask for, separated by spaces. Default: all that the user is granted. */
  scope?: string
  /**
   * How the user proved who they are: names of RFC 8176 such as `pwd`, `otp` or `mfa`, for example as your provider
   * says it. The tokens carry them in the claim `amr`. Default: nothing.
   */
  amr?: readonly string[]
  /**
   * When the user proved who they are, for example the `auth_time` of your provider. It must not be in the future.
   * `requireRecentLogin` compares it. Default: now.
   */
  authTime?: Date
}

const METHOD = /^[a-z0-9_-]{1,64}$/

/** A misspelt member would silently leave out a second factor. */
export function readChecks (checks: LoginChecks): LoginChecks {
  const { confirm, amr, ...unknown } = checks
  // A member without a value is a mistake too, for example `{ confirm: secondFactor?.check }`.
  const isUsable = (typeof confirm === 'function' || !('confirm' in checks)) && isListOfMethods(amr)
  // Only `confirm` can have checked anything besides the password.
  const isChecked = amr === undefined || confirm !== undefined
  if (isUsable && isChecked && Object.keys(unknown).length === 0) return { confirm, amr }
  throw new TypeError(
    'Latchkey: logIn() takes { confirm: (user) => boolean } as its third argument, and with it amr, a list of up to ' +
    "10 names of RFC 8176 for what confirm checks, for example ['otp']"
  )
}

export function readDetails (details: LoginDetails, now: number): LoginDetails {
  const { method, scope, amr, authTime, ...unknown } = details
  const isUsable = (method === undefined || (typeof method === 'string' && METHOD.test(method))) &&
    isListOfMethods(amr) && isPast(authTime, now)
  if (isUsable && Object.keys(unknown).length === 0) return { method, scope, amr, authTime }
  throw new TypeError(
    'Latchkey: logInAs() takes { method, scope } as its third argument, and also amr and authTime. The method is a ' +
    'word of lower-case letters, digits, - and _, for example passkey. amr is a list of up to 10 names of RFC 8176, ' +
    "for example ['pwd', 'otp']. authTime is a Date that is not in the future"
  )
}

/** Names as in RFC 8176 section 2, and those that providers make up. */
const AUTHENTICATION_METHOD = /^[A-Za-z0-9_.:/-]{1,64}$/
const MOST_METHODS = 10

function isListOfMethods (amr: unknown): boolean {
  return amr === undefined || (Array.isArray(amr) && amr.length <= MOST_METHODS &&
    amr.every(name => typeof name === 'string' && AUTHENTICATION_METHOD.test(name)))
}

/** The clock of a provider may be ahead of ours by this many milliseconds. */
const CLOCK_TOLERANCE = 60_000

function isPast (time: unknown, now: number): boolean {
  // An invalid date is NaN, and no comparison with NaN holds.
  return time === undefined || (time instanceof Date && time.getTime() >= 0 && time.getTime() <= now + CLOCK_TOLERANCE)
}

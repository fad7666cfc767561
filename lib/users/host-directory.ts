import { SCOPE_PATTERN } from '../../schemas/common.js'
import type { User, UserDirectory } from '../../schemas/host.js'
import { LatchkeyError } from '../errors.js'
import { addressOf } from '../identity/network.js'
import { MOST_ID_LENGTH, readUserId, toUserId } from '../identity/user-ids.js'
import type { UserIdKind } from '../identity/user-ids.js'

const SCOPE = new RegExp(SCOPE_PATTERN)

/** What an id must be, for the error. */
const EXPECTED_ID = {
  text: `must be text of 1 to ${MOST_ID_LENGTH} characters, not latchkey, and not beginning with lkc_, because those ` +
    "are ids of machine clients. If your ids are integers, set the option userIds to 'integer'",
  integer: `must be a number, an integer from 0 to ${Number.MAX_SAFE_INTEGER}. ` +
    "If your ids are text or larger, return text and set the option userIds to 'text'"
}

/**
 * Checks a user that a method of the host's directory returns. The host's code is trusted, but a mistake in it must not
 * grant any rights.
 * @returns the user, with its id as text.
 */
function check (user: User | null | undefined, method: keyof UserDirectory, kind: UserIdKind): User | null {
  if (user == null) return null
  const { id, username, scopes } = user
  const text = readUserId(id, kind)
  if (text === undefined) {
    throw new TypeError(`users.${method} returned a user with an invalid id (${typeof id}): it ${EXPECTED_ID[kind]}`)
  }
  if (typeof username === 'string' && Array.isArray(scopes) &&
    scopes.every(scope => typeof scope === 'string' && SCOPE.test(scope))) {
    return { id: text, username, scopes: [...scopes] }
  }
  throw new TypeError(
    `users.${method} returned an invalid user: return { id, username, scopes }, with text as username and a list of ` +
    'scope names as scopes'
  )
}

/** How many unknown scopes are reported. The host can return any number of them. */
const MOST_REPORTED = 100

interface Log {
  warn (details: object, message: string): void
}

/** Creates a function that logs each scope outside the catalogue once. Tokens carry it, but no guard can require it. */
function createScopeReport (
  catalogue: Readonly<Record<string, string>>, log: Log
): (scopes: readonly string[]) => void {
  const reported = new Set<string>()
  return function report (scopes) {
    for (const scope of scopes) {
      if (Object.hasOwn(catalogue, scope) || reported.has(scope) || reported.size === MOST_REPORTED) continue
      reported.add(scope)
      log.warn(
        { scope },
        `the option users returned a user with the scope '${scope.slice(0, 100)}', which is not in the catalogue, ` +
          'so no guard can require it: add it to the option scopes, or leave it out'
      )
    }
  }
}

/**
 * Makes the host's directory safe to use. In it, ids are text. An error of the host's code goes to the log, whatever
 * its status and message, because the client must learn nothing about the accounts.
 */
export function encloseDirectory (users: UserDirectory, { userIds: kind, catalogue, log }: {
  userIds: UserIdKind
  catalogue: Readonly<Record<string, string>>
  log: Log
}): UserDirectory {
  const report = createScopeReport(catalogue, log)

  function accept (user: User | null, method: keyof UserDirectory): User | null {
    const checked = check(user, method, kind)
    if (checked !== null) report(checked.scopes)
    return checked
  }

  async function guard<T> (ask: () => Promise<T>): Promise<T> {
    try {
      return await ask()
    } catch (cause) {
      throw new LatchkeyError('internal_error', { cause })
    }
  }
  return {
    authenticate: (username, password, address) => guard(async () =>
      accept(await users.authenticate(username, password, addressOf(address) ?? undefined), 'authenticate')),
    find: text => guard(async () => {
      const id = toUserId(text, kind)
      const user = id === undefined ? null : accept(await users.find(id), 'find')
      // Otherwise the session of one user would get the tokens of another.
      if (user === null || user.id === text) return user
      throw new TypeError(
        'users.find returned a user with another id than it was asked for: compare ids exactly. ' +
        'A database may ignore case or trailing spaces'
      )
    })
  }
}

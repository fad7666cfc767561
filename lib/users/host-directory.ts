import { SCOPE_PATTERN } from '../../schemas/common.js'
import type { User, UserDirectory } from '../../schemas/host.js'
import { LatchkeyError } from '../errors.js'
import { addressOf } from '../identity/network.js'
import { expandRoles } from '../identity/roles.js'
import type { RoleDefinitions } from '../identity/roles.js'
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
  const { id, username, scopes, roles } = user
  const text = readUserId(id, kind)
  if (text === undefined) {
    throw new TypeError(`users.${method} returned a user with an invalid id (${typeof id}): it ${EXPECTED_ID[kind]}`)
  }
  if (typeof username === 'string' && isListOfNames(scopes) && (roles === undefined || isListOfNames(roles))) {
    return { id: text, username, scopes: [...scopes], ...(roles === undefined ? {} : { roles: [...roles] }) }
  }
  throw new TypeError(
    `users.${method} returned an invalid user: return { id, username, scopes, roles }, with text as username, a list ` +
    'of scope names as scopes, and a list of role names as roles, or no roles'
  )
}

function isListOfNames (value: unknown): value is string[] {
  return Array.isArray(value) && value.every(name => typeof name === 'string' && SCOPE.test(name))
}

/** How many unknown names are reported. The host can return any number of them. */
const MOST_REPORTED = 100

interface Log {
  warn (details: object, message: string): void
}

/**
 * Creates a function that logs each unknown name once.
 * @param known - the names that the option `option` has.
 * @param effect - what an unknown name means.
 */
function createReport (
  { option, known, effect }: { option: 'scopes' | 'roles', known: object, effect: string }, log: Log
): (names: readonly string[]) => void {
  const kind = option.slice(0, -1)
  const reported = new Set<string>()
  return function report (names) {
    for (const name of names) {
      if (Object.hasOwn(known, name) || reported.has(name) || reported.size === MOST_REPORTED) continue
      reported.add(name)
      log.warn(
        { [kind]: name },
        `the option users returned a user with the ${kind} '${name.slice(0, 100)}', ${effect}: ` +
          `add it to the option ${option}, or leave it out`
      )
    }
  }
}

/**
 * Makes the host's directory safe to use. In it, ids are text. An error of the host's code goes to the log, whatever
 * its status and message, because the client must learn nothing about the accounts.
 */
export function encloseDirectory (users: UserDirectory, { userIds: kind, catalogue, roles, log }: {
  userIds: UserIdKind
  catalogue: Readonly<Record<string, string>>
  roles: RoleDefinitions
  log: Log
}): UserDirectory {
  const reportScopes = createReport({
    option: 'scopes', known: catalogue, effect: 'which is not in the catalogue, so no guard can require it'
  }, log)
  const reportRoles = createReport({
    option: 'roles', known: roles, effect: 'which does not exist, so it grants nothing'
  }, log)

  function accept (user: User | null, method: keyof UserDirectory): User | null {
    const checked = check(user, method, kind)
    if (checked === null) return null
    reportScopes(checked.scopes)
    if (checked.roles === undefined) return checked
    reportRoles(checked.roles)
    return { ...checked, scopes: expandRoles(checked, roles) }
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

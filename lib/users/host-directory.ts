import { SCOPE_PATTERN } from '../../schemas/common.js'
import type { User, UserDirectory } from '../../schemas/host.js'
import { LatchkeyError } from '../errors.js'
import { isReservedId } from '../identity/client-ids.js'
import { addressOf } from '../identity/network.js'

const SCOPE = new RegExp(SCOPE_PATTERN)

/** Checks a user that the host's code returns. The code is trusted, but a mistake in it must not grant any rights. */
function check (user: User | null | undefined): User | null {
  if (user == null) return null
  const { id, username, scopes } = user
  if (typeof id === 'string' && id !== '' && !isReservedId(id) && typeof username === 'string' &&
    Array.isArray(scopes) && scopes.every(scope => typeof scope === 'string' && SCOPE.test(scope))) {
    return { id, username, scopes: [...scopes] }
  }
  throw new TypeError(
    'The option users returned an invalid user: return { id, username, scopes } with a text, a text and a list of ' +
    'scope names; an id must not begin with lkc_ or be latchkey, because those are ids of machine clients'
  )
}

/**
 * Makes the host's directory safe to use. An error of the host's code goes to the log, whatever its status and message,
 * because the client must learn nothing about the accounts.
 */
export function encloseDirectory (users: UserDirectory): UserDirectory {
  async function guard<T> (ask: () => Promise<T>): Promise<T> {
    try {
      return await ask()
    } catch (cause) {
      throw new LatchkeyError('internal_error', { cause })
    }
  }
  return {
    authenticate: (username, password, address) => guard(async () =>
      check(await users.authenticate(username, password, addressOf(address) ?? undefined))),
    find: id => guard(async () => check(await users.find(id)))
  }
}

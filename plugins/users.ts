import fp from 'fastify-plugin'
import { isReservedId } from '../lib/identity/client-ids.js'
import { LatchkeyError } from '../lib/errors.js'
import { addressOf } from '../lib/identity/network.js'
import { createUsers } from '../lib/users/users.js'
import type { Users } from '../lib/users/users.js'
import { SCOPE_PATTERN } from '../schemas/common.js'
import type { User, UserDirectory } from '../schemas/host.js'
import { kClock, kStore } from './database.js'
import { kPasswords } from './passwords.js'
import { kLedger } from './ledger.js'
import { kRevocations } from './revocations.js'
import { kSettings } from './settings.js'
import { kThrottle } from './throttle.js'

export const kUsers = Symbol('latchkey.users')
export const kBuiltInUsers = Symbol('latchkey.builtInUsers')

declare module 'fastify' {
  interface FastifyInstance {
    /** The accounts that can log in. */
    [kUsers]: UserDirectory
    /** The same accounts if they are the built-in table. Undefined if the host has its own. */
    [kBuiltInUsers]: Users | undefined
  }
}

/** Uses the host's own accounts if it has given any, otherwise the built-in table. */
export default fp(async function latchkeyUsers (app) {
  const { users, catalogue, passwordMinLength } = app[kSettings]
  const builtIn = users === undefined
    ? createUsers({
      store: app[kStore],
      clock: app[kClock],
      passwords: app[kPasswords],
      ledger: app[kLedger],
      revocations: app[kRevocations],
      throttle: app[kThrottle],
      catalogue,
      passwordMinLength
    })
    : undefined
  app.decorate(kBuiltInUsers, builtIn)
  app.decorate(kUsers, users === undefined ? builtIn as Users : enclose(users))
}, { name: 'latchkey-users', fastify: '5.x', dependencies: ['latchkey-passwords', 'latchkey-revocations', 'latchkey-throttle'] })

/**
 * Keeps errors of the host's code for the log, whatever status and message they have. The client must learn nothing
 * about the accounts.
 */
function enclose (users: UserDirectory): UserDirectory {
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

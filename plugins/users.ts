import fp from 'fastify-plugin'
import { LatchkeyError } from '../lib/errors.js'
import { createUsers } from '../lib/users.js'
import type { Users } from '../lib/users.js'
import type { UserDirectory } from '../schemas/host.js'
import { kClock, kStore } from './database.js'
import { kPasswords } from './passwords.js'
import { kRevocations } from './revocations.js'
import { kSettings } from './settings.js'

export const kUsers = Symbol('latchkey.users')
export const kBuiltInUsers = Symbol('latchkey.builtInUsers')

declare module 'fastify' {
  interface FastifyInstance {
    /** The accounts behind the logins. */
    [kUsers]: UserDirectory
    /** The same, where they are the built-in table; undefined where the host has its own. */
    [kBuiltInUsers]: Users | undefined
  }
}

/** The accounts: the host's own where it has given them, else the built-in table. */
export default fp(async function latchkeyUsers (app) {
  const { users, catalogue, passwordMinLength } = app[kSettings]
  const builtIn = users === undefined
    ? createUsers({ store: app[kStore], clock: app[kClock], passwords: app[kPasswords], revocations: app[kRevocations], catalogue, passwordMinLength })
    : undefined
  app.decorate(kBuiltInUsers, builtIn)
  app.decorate(kUsers, users === undefined ? builtIn as Users : enclose(users))
}, { name: 'latchkey-users', fastify: '5.x', dependencies: ['latchkey-passwords', 'latchkey-revocations'] })

/** What goes wrong in the host's code is for the log, whatever status and message it has: the client learns nothing of the accounts. */
function enclose (users: UserDirectory): UserDirectory {
  async function guard<T> (ask: () => Promise<T>): Promise<T> {
    try {
      return await ask()
    } catch (cause) {
      throw new LatchkeyError('internal_error', { cause })
    }
  }
  return {
    authenticate: (username, password) => guard(() => users.authenticate(username, password)),
    find: id => guard(() => users.find(id))
  }
}

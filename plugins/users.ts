import fp from 'fastify-plugin'
import { encloseDirectory } from '../lib/users/host-directory.js'
import { createUsers } from '../lib/users/users.js'
import type { Users } from '../lib/users/users.js'
import type { UserDirectory } from '../schemas/host.js'
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
  const { users, userIds, catalogue, roles, passwordMinLength } = app[kSettings]
  const builtIn = users === undefined
    ? createUsers({
      store: app[kStore],
      clock: app[kClock],
      passwords: app[kPasswords],
      ledger: app[kLedger],
      revocations: app[kRevocations],
      throttle: app[kThrottle],
      catalogue,
      roles,
      passwordMinLength
    })
    : undefined
  app.decorate(kBuiltInUsers, builtIn)
  app.decorate(
    kUsers,
    users === undefined ? builtIn as Users : encloseDirectory(users, { userIds, catalogue, roles, log: app.log })
  )
}, {
  name: 'latchkey-users',
  fastify: '5.x',
  dependencies: ['latchkey-passwords', 'latchkey-revocations', 'latchkey-throttle']
})

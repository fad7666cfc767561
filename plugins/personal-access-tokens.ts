import fp from 'fastify-plugin'
import { createKeyAcceptance } from '../lib/personal-access-tokens/acceptance.js'
import type { KeyAcceptance } from '../lib/personal-access-tokens/key-acceptance.js'
import { createKeyUses } from '../lib/personal-access-tokens/uses.js'
import { createPersonalAccessTokens } from '../lib/personal-access-tokens/personal-access-tokens.js'
import type { PersonalAccessTokens } from '../lib/personal-access-tokens/personal-access-tokens.js'
import { createUnknownKeys } from '../lib/personal-access-tokens/unknown-keys.js'
import { kClock, kFollower, kStore } from './database.js'
import { kRevocations } from './revocations.js'
import { kSettings } from './settings.js'
import { kSignals } from './tokens.js'
import { kBuiltInUsers, kUsers } from './users.js'

export const kPersonalAccessTokens = Symbol('latchkey.personalAccessTokens')
export const kKeyAcceptance = Symbol('latchkey.keyAcceptance')

declare module 'fastify' {
  interface FastifyInstance {
    [kPersonalAccessTokens]: PersonalAccessTokens
    [kKeyAcceptance]: KeyAcceptance
  }
}

/** The personal access tokens: their administration, and their check in the guards. */
export default fp(async function latchkeyPersonalAccessTokens (app) {
  const [store, revocations, users] = [app[kStore], app[kRevocations], app[kUsers]]
  const { databaseTimeout: longestWrite, rateLimit, roles } = app[kSettings]
  const uses = createKeyUses(store, error => {
    app.log.warn({ err: error }, 'the use of personal access tokens could not be recorded; trying again')
  })
  app.addHook('onClose', async () => {
    await uses.flush().catch(error => {
      app.log.warn({ err: error }, 'the use of personal access tokens could not be recorded')
    })
  })
  app.decorate(
    kPersonalAccessTokens,
    createPersonalAccessTokens({ store, revocations, users, builtInUsers: app[kBuiltInUsers], roles })
  )
  app.decorate(kKeyAcceptance, createKeyAcceptance({
    ...app[kSettings],
    store,
    clock: app[kClock],
    follower: app[kFollower],
    revocations,
    users,
    signalOf: app[kSignals].of,
    unknownKeys: createUnknownKeys(rateLimit),
    uses,
    longestWrite
  }))
}, { name: 'latchkey-personal-access-tokens', fastify: '5.x', dependencies: ['latchkey-users', 'latchkey-tokens'] })

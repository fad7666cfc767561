import fp from 'fastify-plugin'
import { createSessions } from '../lib/sessions/sessions.js'
import type { Sessions } from '../lib/sessions/sessions.js'
import { kClock, kFollower, kStore } from './database.js'
import { kRefreshKeys } from './keys.js'
import { kLedger } from './ledger.js'
import { kRevocations } from './revocations.js'
import { kSettings } from './settings.js'
import { kStatusReferences } from './status-lists.js'
import { kBuiltInUsers, kUsers } from './users.js'

export const kSessions = Symbol('latchkey.sessions')

declare module 'fastify' {
  interface FastifyInstance {
    [kSessions]: Sessions
  }
}

/** Creates the sessions and their refresh tokens. */
export default fp(async function latchkeySessions (app) {
  const { claims, maxSessions, sessionTtl, refreshIdleTtl, refreshGrace } = app[kSettings]
  app.decorate(kSessions, createSessions({
    store: app[kStore],
    clock: app[kClock],
    ledger: app[kLedger],
    follower: app[kFollower],
    revocations: app[kRevocations],
    users: app[kUsers],
    builtInUsers: app[kBuiltInUsers],
    claims,
    refreshKeys: app[kRefreshKeys],
    status: app[kStatusReferences],
    maxSessions,
    sessionTtl,
    refreshIdleTtl,
    refreshGrace
  }))
}, { name: 'latchkey-sessions', fastify: '5.x', dependencies: ['latchkey-keys', 'latchkey-users', 'latchkey-status-lists'] })

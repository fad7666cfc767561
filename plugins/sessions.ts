import fp from 'fastify-plugin'
import { createLogin } from '../lib/sessions/login.js'
import type { LogIn } from '../lib/sessions/login.js'
import { createLogInAs } from '../lib/sessions/login-as.js'
import type { LogInAs } from '../lib/sessions/login-as.js'
import { createSeenGenerations } from '../lib/sessions/seen-generations.js'
import type { SeenGenerations } from '../lib/sessions/seen-generations.js'
import { createSessions } from '../lib/sessions/sessions.js'
import type { Sessions } from '../lib/sessions/sessions.js'
import { kClock, kFollower, kStore } from './database.js'
import { kRefreshKeys } from './keys.js'
import { kLedger } from './ledger.js'
import { kRevocations } from './revocations.js'
import { kSettings } from './settings.js'
import { kStatusReferences } from './status-lists.js'
import { kThrottle } from './throttle.js'
import { kBuiltInUsers, kUsers } from './users.js'

export const kSessions = Symbol('latchkey.sessions')
export const kSeenGenerations = Symbol('latchkey.seenGenerations')
export const kLogIn = Symbol('latchkey.logIn')
export const kLogInAs = Symbol('latchkey.logInAs')

declare module 'fastify' {
  interface FastifyInstance {
    [kSessions]: Sessions
    [kSeenGenerations]: SeenGenerations
    [kLogIn]: LogIn
    [kLogInAs]: LogInAs
  }
}

/** The sessions, their refresh tokens, and the login that begins them. */
export default fp(async function latchkeySessions (app) {
  const { claims, roles, userIds, maxSessions, sessionTtl, refreshIdleTtl, refreshGrace } = app[kSettings]
  const clock = app[kClock]
  const follower = app[kFollower]
  const users = app[kUsers]
  const builtInUsers = app[kBuiltInUsers]
  const throttle = app[kThrottle]
  const seen = createSeenGenerations(app[kStore], error => {
    app.log.warn({ err: error }, 'the use of access tokens could not be recorded; trying again')
  })
  app.decorate(kSeenGenerations, seen)
  app.addHook('onClose', async () => {
    await seen.flush().catch(error => app.log.warn({ err: error }, 'the use of access tokens could not be recorded'))
  })
  const sessions = createSessions({
    store: app[kStore],
    clock,
    ledger: app[kLedger],
    follower,
    revocations: app[kRevocations],
    throttle,
    users,
    builtInUsers,
    claims,
    roles,
    userIds,
    refreshKeys: app[kRefreshKeys],
    status: app[kStatusReferences],
    maxSessions,
    sessionTtl,
    refreshIdleTtl,
    refreshGrace,
    seen
  })
  app.decorate(kSessions, sessions)
  const services = { users, sessions, follower, throttle, clock }
  app.decorate(kLogIn, createLogin({ ...services, builtInUsers, hasClaimsHook: claims !== undefined }))
  app.decorate(kLogInAs, createLogInAs(services))
}, {
  name: 'latchkey-sessions',
  fastify: '5.x',
  dependencies: ['latchkey-keys', 'latchkey-throttle', 'latchkey-users', 'latchkey-status-lists']
})

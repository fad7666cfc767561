import fp from 'fastify-plugin'
import { createIndexLook } from '../lib/revocation/index-age.js'
import type { LookAtIndex } from '../lib/revocation/index-age.js'
import { openRevocations } from '../lib/revocation/revocations.js'
import type { Revocations } from '../lib/revocation/revocations.js'
import { kClock, kFollower, kStore } from './database.js'
import { kLedger } from './ledger.js'
import { kSettings } from './settings.js'

/** Milliseconds by which a machine's clock may be behind the time in the store. */
const TOLERABLE = 60_000

export const kRevocations = Symbol('latchkey.revocations')
export const kLookAtIndex = Symbol('latchkey.look-at-index')

declare module 'fastify' {
  interface FastifyInstance {
    [kRevocations]: Revocations
    [kLookAtIndex]: LookAtIndex
  }
}

/** Loads the revocation rules before the first request is served. */
export default fp(async function latchkeyRevocations (app) {
  const clock = app[kClock]
  const { accessTokenTtl, now } = app[kSettings]
  const revocations = await openRevocations({
    store: app[kStore],
    clock,
    ledger: app[kLedger],
    follower: app[kFollower],
    accessTokenTtl,
    log: app.log
  })
  app.decorate(kRevocations, revocations)
  app.decorate(kLookAtIndex, createIndexLook(app[kFollower]))

  const ahead = clock.now() - now()
  if (ahead > TOLERABLE) {
    app.log.warn({ ahead }, 'the clock of this machine is behind the time that was last acted on here: set it right; ' +
      'until it has caught up, tokens are dated by the stored time')
  }
}, { name: 'latchkey-revocations', fastify: '5.x', dependencies: ['latchkey-database', 'latchkey-ledger'] })

import fp from 'fastify-plugin'
import { createIndexLook } from '../lib/revocation/index-age.js'
import type { LookAtIndex } from '../lib/revocation/index-age.js'
import { openRevocations } from '../lib/revocation/revocations.js'
import type { Revocations } from '../lib/revocation/revocations.js'
import { kFollower, kStore } from './database.js'
import { kLedger } from './ledger.js'
import { kSettings } from './settings.js'

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
  const { accessTokenTtl } = app[kSettings]
  const revocations = await openRevocations({
    store: app[kStore],
    ledger: app[kLedger],
    follower: app[kFollower],
    accessTokenTtl,
    log: app.log
  })
  app.decorate(kRevocations, revocations)
  app.decorate(kLookAtIndex, createIndexLook(app[kFollower]))
}, { name: 'latchkey-revocations', fastify: '5.x', dependencies: ['latchkey-database', 'latchkey-ledger'] })

import fp from 'fastify-plugin'
import { openRevocations } from '../lib/revocations.js'
import type { Revocations } from '../lib/revocations.js'
import { kClock, kStore } from './database.js'
import { kSettings } from './settings.js'

export const kRevocations = Symbol('latchkey.revocations')

declare module 'fastify' {
  interface FastifyInstance {
    [kRevocations]: Revocations
  }
}

/** Loads the revocation rules before the first request is served. */
export default fp(async function latchkeyRevocations (app) {
  app.decorate(kRevocations, await openRevocations({
    store: app[kStore],
    clock: app[kClock],
    accessTokenTtl: app[kSettings].accessTokenTtl
  }))
}, { name: 'latchkey-revocations', fastify: '5.x', dependencies: ['latchkey-database'] })

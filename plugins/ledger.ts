import fp from 'fastify-plugin'
import { createLedger } from '../lib/ledger/ledger.js'
import type { Ledger } from '../lib/ledger/ledger.js'
import { kClock, kStore } from './database.js'
import { kEvents } from './events.js'

export const kLedger = Symbol('latchkey.ledger')

declare module 'fastify' {
  interface FastifyInstance {
    [kLedger]: Ledger
  }
}

/** The write path to the store. */
export default fp(async function latchkeyLedger (app) {
  app.decorate(kLedger, createLedger({ store: app[kStore], clock: app[kClock], events: app[kEvents] }))
}, { name: 'latchkey-ledger', fastify: '5.x', dependencies: ['latchkey-database', 'latchkey-events'] })

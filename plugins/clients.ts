import fp from 'fastify-plugin'
import { createClients } from '../lib/clients/clients.js'
import type { Clients } from '../lib/clients/clients.js'
import { kClock, kStore } from './database.js'
import { kLedger } from './ledger.js'
import { kRevocations } from './revocations.js'
import { kSettings } from './settings.js'

export const kClients = Symbol('latchkey.clients')

declare module 'fastify' {
  interface FastifyInstance {
    [kClients]: Clients
  }
}

/** The registered machine clients. */
export default fp(async function latchkeyClients (app) {
  app.decorate(kClients, createClients({
    store: app[kStore],
    clock: app[kClock],
    ledger: app[kLedger],
    revocations: app[kRevocations],
    catalogue: app[kSettings].catalogue
  }))
}, { name: 'latchkey-clients', fastify: '5.x', dependencies: ['latchkey-revocations'] })

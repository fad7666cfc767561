import fp from 'fastify-plugin'
import { createThrottle } from '../lib/throttle/throttle.js'
import type { Throttle } from '../lib/throttle/throttle.js'
import { kClock, kStore } from './database.js'
import { kThrottleKeys } from './keys.js'
import { kLedger } from './ledger.js'
import { kSettings } from './settings.js'

export const kThrottle = Symbol('latchkey.throttle')

declare module 'fastify' {
  interface FastifyInstance {
    [kThrottle]: Throttle
  }
}

/** Slows down guessing for each account. `plugins/rate-limit.ts` does it for each address. */
export default fp(async function latchkeyThrottle (app) {
  app.decorate(kThrottle, createThrottle({
    store: app[kStore],
    clock: app[kClock],
    ledger: app[kLedger],
    keys: app[kThrottleKeys],
    isOn: app[kSettings].rateLimit
  }))
}, { name: 'latchkey-throttle', fastify: '5.x', dependencies: ['latchkey-keys', 'latchkey-ledger'] })

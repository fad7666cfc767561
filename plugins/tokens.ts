import fp from 'fastify-plugin'
import { createSignals } from '../lib/tokens/signals.js'
import type { Signals } from '../lib/tokens/signals.js'
import { createTokens } from '../lib/tokens/tokens.js'
import type { Tokens } from '../lib/tokens/tokens.js'
import { kClock, kFollower, kStore } from './database.js'
import { kKeyring } from './keys.js'
import { kRevocations } from './revocations.js'
import { kSeenGenerations } from './sessions.js'
import { kSettings } from './settings.js'

export const kTokens = Symbol('latchkey.tokens')
export const kSignals = Symbol('latchkey.signals')

declare module 'fastify' {
  interface FastifyInstance {
    [kTokens]: Tokens
    [kSignals]: Signals
  }
}

/** Creates the access tokens. @fastify/jwt signs and verifies, and `lib/tokens/tokens.ts` decides. */
export default fp(async function latchkeyTokens (app) {
  const seen = app[kSeenGenerations]
  const sources = { clock: app[kClock], follower: app[kFollower], revocations: app[kRevocations] }
  const signals = createSignals({ ...sources, keys: app[kKeyring], bound: app[kSettings].revocationBound })
  app.addHook('onClose', async () => signals.close())
  app.decorate(kSignals, signals)
  app.decorate(kTokens, createTokens({
    ...app[kSettings],
    ...sources,
    keyring: app[kKeyring],
    signalOf: signals.of,
    // If the server's clock was just set, the next answer shows it.
    ledger: { readTime: app[kStore].poll },
    onUse: ({ sessionId, claims: { gen: generation } }) =>
      sessionId === undefined || generation === undefined || seen.note({ sessionId, generation }),
    log: app.log
  }))
}, { name: 'latchkey-tokens', fastify: '5.x', dependencies: ['latchkey-keys', 'latchkey-sessions'] })

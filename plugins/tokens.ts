import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { createTokenSignals } from '../lib/tokens/signals.js'
import type { TokenSignals } from '../lib/tokens/signals.js'
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
    [kSignals]: TokenSignals
  }
}

/**
 * Creates the access tokens. @fastify/jwt signs and verifies, and `lib/tokens/tokens.ts` decides. The signals abort
 * before the server closes. Otherwise it would wait for streams that only a signal ends.
 */
export default fp(async function latchkeyTokens (app) {
  const seen = app[kSeenGenerations]
  const signals = createSignals(app)
  app.addHook('preClose', async () => signals.close())
  app.decorate(kSignals, signals)
  app.decorate(kTokens, createTokens({
    ...app[kSettings],
    clock: app[kClock],
    follower: app[kFollower],
    revocations: app[kRevocations],
    keyring: app[kKeyring],
    signalOf: signals.of,
    // If the server's clock was just set, the next answer shows it.
    ledger: { readTime: app[kStore].poll },
    onUse: ({ sessionId, claims: { gen: generation } }) =>
      sessionId === undefined || generation === undefined || seen.note({ sessionId, generation }),
    log: app.log
  }))
}, { name: 'latchkey-tokens', fastify: '5.x', dependencies: ['latchkey-keys', 'latchkey-sessions'] })

/** Creates the signals of `request.user`, and connects them to the revocations and the keys. */
function createSignals (app: FastifyInstance): TokenSignals {
  const [follower, keyring, revocations] = [app[kFollower], app[kKeyring], app[kRevocations]]
  const stopwatch = (): number => performance.now()
  const signals = createTokenSignals({
    clock: app[kClock],
    trusts: keyring.trusts,
    revocations,
    knowledge: { refresh: follower.refresh, age: () => stopwatch() - follower.asOf() },
    bound: app[kSettings].revocationBound,
    stopwatch
  })
  revocations.onRules(signals.noteRules)
  keyring.onChange(signals.noteKeys)
  return signals
}

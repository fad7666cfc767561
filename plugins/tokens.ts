import fp from 'fastify-plugin'
import { createTokens } from '../lib/tokens/tokens.js'
import type { Tokens } from '../lib/tokens/tokens.js'
import { kClock, kFollower, kStore } from './database.js'
import { kKeyring } from './keys.js'
import { kRevocations } from './revocations.js'
import { kSeenGenerations } from './sessions.js'
import { kSettings } from './settings.js'

export const kTokens = Symbol('latchkey.tokens')

declare module 'fastify' {
  interface FastifyInstance {
    [kTokens]: Tokens
  }
}

/** Creates the access tokens. @fastify/jwt signs and verifies, and `lib/tokens/tokens.ts` decides. */
export default fp(async function latchkeyTokens (app) {
  const seen = app[kSeenGenerations]
  const tokens = createTokens({
    ...app[kSettings],
    keyring: app[kKeyring],
    clock: app[kClock],
    follower: app[kFollower],
    // If the server's clock was just set, the next answer shows it.
    ledger: { readTime: app[kStore].poll },
    revocations: app[kRevocations],
    onUse: ({ sessionId, claims: { gen: generation } }) =>
      sessionId === undefined || generation === undefined || seen.note({ sessionId, generation }),
    bound: app[kSettings].revocationBound,
    log: app.log
  })
  app.addHook('onClose', async () => tokens.close())
  app.decorate(kTokens, tokens)
}, { name: 'latchkey-tokens', fastify: '5.x', dependencies: ['latchkey-keys', 'latchkey-sessions'] })

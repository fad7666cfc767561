import fp from 'fastify-plugin'
import type { onRequestAsyncHookHandler } from 'fastify'
import { LatchkeyError } from '../lib/errors.js'
import { networkOf } from '../lib/identity/network.js'
import { isolate } from './adapters/isolate.js'
import { kSettings } from './settings.js'

/** The most attempts for each address, and the window in milliseconds. */
const MAX = 100
const WINDOW = 60_000

export const kLimitAttempts = Symbol('latchkey.limitAttempts')

declare module 'fastify' {
  interface FastifyInstance {
    /** The onRequest hook of each route that takes a password. */
    [kLimitAttempts]: onRequestAsyncHookHandler
  }
}

/**
 * Counts the attempts for each address, over all routes that take a password together. An IPv6 network of 64 bits
 * counts as one address.
 */
export default fp(async function latchkeyRateLimit (app) {
  if (!app[kSettings].rateLimit) {
    app.decorate(kLimitAttempts, async function unlimited () {})
    return
  }
  const { default: fastifyRateLimit } = await import('@fastify/rate-limit')
  const { createRateLimit } = await isolate(fastifyRateLimit, {
    global: false, max: MAX, timeWindow: WINDOW, keyGenerator: request => networkOf(request.ip)
  })
  const count = createRateLimit()

  app.decorate(kLimitAttempts, async function limitAttempts (request, reply) {
    const attempt = await count(request)
    if (attempt.isAllowed) return
    // draft-ietf-httpapi-ratelimit-headers-11
    reply.header('ratelimit-policy', `"attempts";q=${attempt.max};w=${WINDOW / 1000}`)
    reply.header('ratelimit', `"attempts";r=${attempt.remaining};t=${attempt.ttlInSeconds}`)
    if (attempt.isExceeded) throw new LatchkeyError('too_many_requests', { retryAfter: attempt.ttlInSeconds })
  })
}, { name: 'latchkey-rate-limit', fastify: '5.x', dependencies: ['latchkey-settings'] })

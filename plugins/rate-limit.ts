import fp from 'fastify-plugin'
import type { FastifyRequest, onRequestAsyncHookHandler } from 'fastify'
import { LatchkeyError } from '../lib/errors.js'
import { networkOf } from '../lib/identity/network.js'
import { isolate } from './adapters/isolate.js'
import { kSettings } from './settings.js'

/** The most attempts for each address, and the window in milliseconds. */
const MAX = 100
const WINDOW = 60_000

/**
 * Counts an attempt, and returns the headers of the response. Throws `too_many_requests`, with these headers, after too
 * many attempts.
 */
type CountAttempt = (request: FastifyRequest) => Promise<Record<string, string>>

export const kLimitAttempts = Symbol('latchkey.limitAttempts')
export const kCountAttempt = Symbol('latchkey.countAttempt')

declare module 'fastify' {
  interface FastifyInstance {
    /** The onRequest hook of each route that takes a password. */
    [kLimitAttempts]: onRequestAsyncHookHandler
    [kCountAttempt]: CountAttempt
  }
}

/**
 * Counts the attempts for each address, over all routes that take a password together. An IPv6 network of 64 bits
 * counts as one address.
 */
export default fp(async function latchkeyRateLimit (app) {
  const countAttempt = app[kSettings].rateLimit ? await createCount() : async () => ({})
  app.decorate(kCountAttempt, countAttempt)
  app.decorate(kLimitAttempts, async function limitAttempts (request, reply) {
    reply.headers(await countAttempt(request))
  })
}, { name: 'latchkey-rate-limit', fastify: '5.x', dependencies: ['latchkey-settings'] })

async function createCount (): Promise<CountAttempt> {
  const { default: fastifyRateLimit } = await import('@fastify/rate-limit')
  const { createRateLimit } = await isolate(fastifyRateLimit, {
    global: false, max: MAX, timeWindow: WINDOW, keyGenerator: request => networkOf(request.ip)
  })
  const count = createRateLimit()

  return async function countAttempt (request) {
    const attempt = await count(request)
    if (attempt.isAllowed) return {}
    // draft-ietf-httpapi-ratelimit-headers-11
    const headers = {
      'ratelimit-policy': `"attempts";q=${attempt.max};w=${WINDOW / 1000}`,
      ratelimit: `"attempts";r=${attempt.remaining};t=${attempt.ttlInSeconds}`
    }
    if (!attempt.isExceeded) return headers
    const error = new LatchkeyError('too_many_requests', { retryAfter: attempt.ttlInSeconds })
    error.headers = headers
    throw error
  }
}

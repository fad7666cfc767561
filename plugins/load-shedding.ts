import { getHeapStatistics } from 'node:v8'
import fp from 'fastify-plugin'
import { LatchkeyError } from '../lib/errors.js'
import { kSettings } from './settings.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** On routes that tell how the service is: they answer when it has too much to do as well. */
    answersUnderPressure?: true
  }
}

/** From where on requests are refused. */
interface Bounds {
  /** Milliseconds. */
  maxEventLoopDelay: number
  /** Bytes. */
  maxHeapUsedBytes: number
  /** How often it is looked, in milliseconds. */
  sampleInterval: number
}

/** Seconds, for `Retry-After`: a few looks. */
const RETRY_AFTER = 3

/**
 * The bounds. A second: an idle loop is late by less than one millisecond and a busy one by some ten; when each of the several
 * turns that an answer takes waits a second, clients give up, try again, and make it worse. 90 % of what V8 may use: from there
 * on it does little but collect garbage, and then ends the process. None for the resident set: V8 gives pages back late or
 * never, and what does not come down again would be refused for good.
 */
export const BOUNDS: Readonly<Bounds> = {
  maxEventLoopDelay: 1_000,
  maxHeapUsedBytes: 0.9 * getHeapStatistics().heap_size_limit,
  sampleInterval: 1_000
}

/** 503 while there is more to do than can be done: an answer at once is better than one that nobody waits for any more. */
export default fp<Partial<Bounds>>(async function latchkeyLoadShedding (app, bounds) {
  if (!app[kSettings].shedLoad) return
  const { default: fastifyUnderPressure } = await import('@fastify/under-pressure')
  await app.register(fastifyUnderPressure, {
    ...BOUNDS,
    ...bounds,
    pressureHandler ({ routeOptions }, _reply, type, value) {
      if (routeOptions.config.answersUnderPressure === true) return
      return Promise.reject(new LatchkeyError('overloaded', {
        message: 'The service has more to do than it can: try again in a moment.',
        cause: new Error(`${type} is ${value}`),
        retryAfter: RETRY_AFTER
      }))
    }
  })
}, { name: 'latchkey-load-shedding', fastify: '5.x', dependencies: ['latchkey-settings'] })

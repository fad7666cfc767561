import { getHeapStatistics } from 'node:v8'
import fp from 'fastify-plugin'
import { LatchkeyError } from '../lib/errors.js'
import { kSettings } from './settings.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Set on routes that report the state of the service. They also answer when the service is overloaded. */
    answersUnderPressure?: true
  }
}

/** The bounds beyond which requests are refused. */
interface Bounds {
  /** Milliseconds. */
  maxEventLoopDelay: number
  /** Bytes. */
  maxHeapUsedBytes: number
  /** How often to measure, in milliseconds. */
  sampleInterval: number
}

/** Seconds for `Retry-After`: long enough for a few measurements. */
const RETRY_AFTER = 3

/**
 * The bounds. The event loop may be delayed by one second. An idle event loop is late by less than a millisecond, and a
 * busy one by about ten. A response takes several turns of the loop. If each turn waits a second, clients give up, try
 * again, and make it worse. The heap may take 90 % of what V8 may use. Beyond that V8 mostly collects garbage, and then
 * ends the process. The resident set has no bound, because V8 returns pages late or never, so the service might refuse
 * requests forever.
 */
export const BOUNDS: Readonly<Bounds> = {
  maxEventLoopDelay: 1_000,
  maxHeapUsedBytes: 0.9 * getHeapStatistics().heap_size_limit,
  sampleInterval: 1_000
}

/**
 * Milliseconds. If an operation has waited longer for a connection to the database, the store refuses the next ones.
 * Requests that need no database continue, so this is not a limit of the plugin below.
 */
export const LONGEST_QUEUE = 1_000

/**
 * Responds 503 while the service is overloaded. An answer at once is better than one that comes after the client gave
 * up.
 */
export default fp<Partial<Bounds>>(async function latchkeyLoadShedding (app, bounds) {
  if (!app[kSettings].shedLoad) return
  const { default: fastifyUnderPressure } = await import('@fastify/under-pressure')
  await app.register(fastifyUnderPressure, {
    ...BOUNDS,
    ...bounds,
    pressureHandler (...[{ routeOptions }, , type, value]) {
      if (routeOptions.config.answersUnderPressure === true) return
      return Promise.reject(new LatchkeyError('overloaded', {
        message: 'The service is overloaded: try again in a moment.',
        cause: new Error(`${type} is ${value}`),
        retryAfter: RETRY_AFTER
      }))
    }
  })
}, { name: 'latchkey-load-shedding', fastify: '5.x', dependencies: ['latchkey-settings'] })

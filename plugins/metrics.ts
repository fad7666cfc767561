import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Registry } from 'prom-client'
import { kSettings } from './settings.js'

export const kMetrics = Symbol('latchkey.metrics')

declare module 'fastify' {
  interface FastifyInstance {
    /** Undefined where the option `metrics` is off. A registry of our own: the global one is the host's. */
    [kMetrics]: Registry | undefined
  }
}

/** In seconds: from an answer out of memory to a login that waits for a thread. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

const KNOWN_METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/** The registry, with what Node.js tells of the process, and the time that requests take. */
export default fp(async function latchkeyMetrics (app) {
  if (!app[kSettings].metrics) {
    app.decorate(kMetrics, undefined)
    return
  }
  // Loaded where it is wanted: a tenth of the time that a process takes to start.
  const { collectDefaultMetrics, Counter, Histogram, Registry } = await import('prom-client')
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  app.decorate(kMetrics, registry)

  const duration = new Histogram({
    name: 'latchkey_request_duration_seconds',
    help: 'Time from the headers of a request to the end of its response',
    labelNames: ['method', 'route', 'status'],
    buckets: BUCKETS,
    registers: [registry]
  })

  const throttled = new Counter({
    name: 'latchkey_throttled_requests_total',
    help: 'Requests that received 429',
    registers: [registry]
  })

  app.addHook('onResponse', function observeRequest (request: FastifyRequest, reply: FastifyReply, done) {
    // An event stream lasts for minutes when all is well, and would look like an answer that took so long.
    if (reply.getHeader('content-type') !== 'text/event-stream') duration.observe(labelsOf(request, reply), reply.elapsedTime / 1_000)
    if (reply.statusCode === 429) throttled.inc()
    done()
  })
}, { name: 'latchkey-metrics', fastify: '5.x', dependencies: ['latchkey-settings'] })

/** Never what the client has chosen: each new value would be a new series, kept for good, there and at whoever reads it. */
function labelsOf ({ method, routeOptions, is404 }: FastifyRequest, { statusCode }: FastifyReply): { method: string, route: string, status: string } {
  return {
    method: KNOWN_METHODS.has(method) ? method : 'other',
    route: is404 ? 'unknown' : routeOptions.url ?? 'unknown',
    status: `${Math.floor(statusCode / 100)}xx`
  }
}

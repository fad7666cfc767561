import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Registry } from 'prom-client'
import { kSettings } from './settings.js'

export const kMetrics = Symbol('latchkey.metrics')

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Undefined if the option `metrics` is off. This registry is our own, because the global one belongs to the host.
     */
    [kMetrics]: Registry | undefined
  }
}

/** Buckets of durations, in seconds. They range from a response out of memory to a login that waits for a thread. */
export const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

const KNOWN_METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/** Creates the registry, with the metrics of the Node.js process and the durations of requests. */
export default fp(async function latchkeyMetrics (app) {
  if (!app[kSettings].metrics) {
    app.decorate(kMetrics, undefined)
    return
  }
  // The library is loaded only if it is needed, because it takes a tenth of the time that a process needs to start.
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
    // A healthy event stream lasts for minutes, and would look like a slow response.
    if (reply.getHeader('content-type') !== 'text/event-stream') {
      duration.observe(labelsOf(request, reply), reply.elapsedTime / 1_000)
    }
    if (reply.statusCode === 429) throttled.inc()
    done()
  })
}, { name: 'latchkey-metrics', fastify: '5.x', dependencies: ['latchkey-settings'] })

/**
 * Returns the labels of a request. They never contain text from the client, because each new value would make a new
 * series, which this process and every reader of the metrics would keep forever.
 */
function labelsOf (
  { method, routeOptions, is404 }: FastifyRequest,
  { statusCode }: FastifyReply
): { method: string, route: string, status: string } {
  return {
    method: KNOWN_METHODS.has(method) ? method : 'other',
    route: is404 ? 'unknown' : routeOptions.url ?? 'unknown',
    status: `${Math.floor(statusCode / 100)}xx`
  }
}

import fp from 'fastify-plugin'
import type { FastifyRequest, RouteOptions } from 'fastify'
import { kSettings } from './settings.js'
import { varyBy } from './adapters/vary.js'

/** The response headers that a page may read. */
const EXPOSED = 'WWW-Authenticate, Retry-After, RateLimit, RateLimit-Policy'

/** The request headers that a page may send. It may send the content types of a form without a preflight. */
const ALLOWED = 'Authorization, Content-Type'

/** How long a browser keeps the response to a preflight, in seconds. */
const MAX_AGE = 600

/**
 * CORS (the fetch standard, section 3.2) for the origins in `corsOrigins`. It does not use @fastify/cors. That plugin
 * decorates the request, which fails at boot if the host has registered it too, and it answers OPTIONS for every path,
 * including those of the host. Register this before the routes.
 */
export default fp(async function latchkeyCors (app) {
  const { corsOrigins, trustedOrigins } = app[kSettings]
  if (corsOrigins.size === 0) return

  function isAllowed (request: FastifyRequest): boolean {
    return request.headers.origin !== undefined && corsOrigins.has(request.headers.origin)
  }

  app.addHook('onRequest', function allowOrigin (request, reply, done) {
    // It is also set if the origin is not allowed, because a cache must not give one origin the response for another.
    varyBy(reply, 'Origin')
    const { origin } = request.headers
    if (origin !== undefined && isAllowed(request)) {
      reply.header('access-control-allow-origin', origin)
      reply.header('access-control-expose-headers', EXPOSED)
      // A page that may not act with the cookies does not need to read what they give access to.
      if (trustedOrigins.has(origin)) reply.header('access-control-allow-credentials', 'true')
    }
    done()
  })

  const methodsOf = new Map<string, Set<string>>()
  app.addHook('onRoute', function addPreflight (route: RouteOptions & { routePath: string }) {
    const methods = methodsOf.get(route.url) ?? new Set()
    for (const method of [route.method].flat()) methods.add(method)
    if (methodsOf.has(route.url)) return
    methodsOf.set(route.url, methods)

    // Every caller gets 204 and `Allow` (RFC 9110 section 9.3.7). Only allowed origins get the permission.
    this.options(
      route.routePath,
      { schema: { hide: true }, prefixTrailingSlash: 'slash' },
      function answerPreflight (request, reply) {
        const names = [...methods].join(', ')
        reply.code(204).header('allow', names)
        if (isAllowed(request)) {
          reply.header('access-control-allow-methods', names)
          reply.header('access-control-allow-headers', ALLOWED)
          reply.header('access-control-max-age', MAX_AGE)
        }
        reply.send()
      }
    )
  })
}, { name: 'latchkey-cors', fastify: '5.x', dependencies: ['latchkey-settings'] })

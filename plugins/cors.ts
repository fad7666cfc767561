import fp from 'fastify-plugin'
import type { FastifyRequest, RouteOptions } from 'fastify'
import { kSettings } from './settings.js'
import { varyBy } from './vary.js'

/** What a page may read besides the body. */
const EXPOSED = 'WWW-Authenticate, Retry-After, RateLimit, RateLimit-Policy'

/** What a page may send; the content types of a form it may send without asking. */
const ALLOWED = 'Authorization, Content-Type'

/** How long a browser keeps the answer to a preflight, in seconds. */
const MAX_AGE = 600

/**
 * CORS (the fetch standard, section 3.2) for the origins in `corsOrigins`. Not @fastify/cors: it declares a member of the request,
 * which fails to boot in a host that has registered it too, and answers OPTIONS for every path, also for those of the host.
 * Register it before the routes.
 */
export default fp(async function latchkeyCors (app) {
  const { corsOrigins, trustedOrigins } = app[kSettings]
  if (corsOrigins.size === 0) return

  function isAllowed (request: FastifyRequest): boolean {
    return request.headers.origin !== undefined && corsOrigins.has(request.headers.origin)
  }

  app.addHook('onRequest', function allowOrigin (request, reply, done) {
    // Also where the origin is not allowed: a cache must not give one origin the answer for another.
    varyBy(reply, 'Origin')
    const { origin } = request.headers
    if (origin !== undefined && isAllowed(request)) {
      reply.header('access-control-allow-origin', origin)
      reply.header('access-control-expose-headers', EXPOSED)
      // A page that may not act with the cookies has no need to read what they open either.
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

    // 204 and `Allow` for everybody (RFC 9110 section 9.3.7); the permission for those who are allowed.
    this.options(route.routePath, { schema: { hide: true }, prefixTrailingSlash: 'slash' }, function answerPreflight (request, reply) {
      const names = [...methods].join(', ')
      reply.code(204).header('allow', names)
      if (isAllowed(request)) {
        reply.header('access-control-allow-methods', names)
        reply.header('access-control-allow-headers', ALLOWED)
        reply.header('access-control-max-age', MAX_AGE)
      }
      reply.send()
    })
  })
}, { name: 'latchkey-cors', fastify: '5.x', dependencies: ['latchkey-settings'] })

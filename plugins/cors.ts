import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import { kSettings } from './settings.js'
import { varyBy } from './adapters/vary.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Set on routes whose responses are public. Pages of every origin may read them, but never with cookies. */
    isOpenToAllOrigins?: true
  }
}

/** The response headers that a page may read. Without a list, a browser shows it only the few safe ones. */
const EXPOSED = 'WWW-Authenticate, Retry-After, RateLimit, RateLimit-Policy, ETag, Location, Allow, ' +
  'Revocation-As-Of, Revocation-Time'

/** The request headers that a page may send if its preflight does not name any in a valid list. */
const ALLOWED = 'Authorization, Content-Type'

/** Names of headers, separated by commas (RFC 9110 section 5.6.1). */
const NAMES = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*$/

/** The longest list of names to allow, in characters. Tracing tools add about five names. */
const MAX_NAMES_LENGTH = 1_024

/** How long a browser keeps the response to a preflight, in seconds. */
const MAX_AGE = 600

/**
 * CORS (the fetch standard, section 3.2) for the origins in `corsOrigins`, and for every origin on routes with
 * `isOpenToAllOrigins`. It does not use @fastify/cors. That plugin decorates the request, which fails at boot if the
 * host has registered it too, and it answers OPTIONS for every path, including those of the host. Register this before
 * the routes.
 */
export default fp(async function latchkeyCors (app) {
  const { corsOrigins, trustedOrigins } = app[kSettings]

  function isAllowed ({ headers: { origin }, routeOptions }: FastifyRequest): boolean {
    return routeOptions.config?.isOpenToAllOrigins === true || (origin !== undefined && corsOrigins.has(origin))
  }

  app.addHook('onRequest', function allowOrigin (request, reply, done) {
    // Fastify has no config for an unknown path.
    if (request.routeOptions.config?.isOpenToAllOrigins === true) openToAllOrigins(reply)
    else if (corsOrigins.size > 0) openToListedOrigins(request, reply)
    done()
  })

  function openToListedOrigins ({ headers: { origin } }: FastifyRequest, reply: FastifyReply): void {
    // It is also set if the origin is not allowed, because a cache must not give one origin the response for another.
    varyBy(reply, 'Origin')
    if (origin === undefined || !corsOrigins.has(origin)) return
    reply.headers({ 'access-control-allow-origin': origin, 'access-control-expose-headers': EXPOSED })
    // A page that may not act with the cookies does not need to read what they give access to.
    if (trustedOrigins.has(origin)) reply.header('access-control-allow-credentials', 'true')
  }

  const methodsOf = new Map<string, Set<string>>()
  app.addHook('onRoute', function addPreflight (route: RouteOptions & { routePath: string }) {
    const { isOpenToAllOrigins } = route.config ?? {}
    if (corsOrigins.size === 0 && isOpenToAllOrigins !== true) return
    const methods = methodsOf.get(route.url) ?? new Set()
    for (const method of [route.method].flat()) methods.add(method)
    if (methodsOf.has(route.url)) return
    methodsOf.set(route.url, methods)

    // Every caller gets 204 and `Allow` (RFC 9110 section 9.3.7). Only allowed origins get the permission.
    this.options(
      route.routePath,
      { schema: { hide: true }, prefixTrailingSlash: 'slash', config: { isOpenToAllOrigins } },
      function answerPreflight (request, reply) {
        reply.code(204).header('allow', [...methods].join(', '))
        if (isAllowed(request)) permit(request, reply, methods)
        reply.send()
      }
    )
  })
}, { name: 'latchkey-cors', fastify: '5.x', dependencies: ['latchkey-settings'] })

/**
 * Sets the headers of a public response. They are the same for every origin, so a cache may share it. A hook of the
 * host may have allowed credentials, which browsers refuse together with `*`.
 */
export function openToAllOrigins (reply: FastifyReply): void {
  reply.removeHeader('access-control-allow-credentials')
  reply.headers({ 'access-control-allow-origin': '*', 'access-control-expose-headers': EXPOSED })
}

/** Answers a preflight of an allowed origin: the methods of the route, and the headers that the page wants to send. */
export function permit (request: FastifyRequest, reply: FastifyReply, methods: Iterable<string>): void {
  // Libraries, tracing tools and proxies add headers of their own, so no list of ours would be complete.
  const wanted = request.headers['access-control-request-headers'] ?? ''
  const isList = wanted.length <= MAX_NAMES_LENGTH && NAMES.test(wanted)
  varyBy(reply, 'Access-Control-Request-Headers')
  reply.headers({
    'access-control-allow-methods': [...methods].join(', '),
    'access-control-allow-headers': isList ? wanted : ALLOWED,
    'access-control-max-age': MAX_AGE
  })
}

import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import type { AuthenticatedUser } from '../lib/access-token.js'
import type { Principal } from '../lib/authority.js'
import { isClient } from '../lib/client-ids.js'
import { challengeOf } from '../lib/credentials.js'
import { LatchkeyError } from '../lib/errors.js'
import { asClient, asUser } from '../lib/events.js'
import type { Scope } from '../schemas/scopes.js'
import type { Cookies } from './cookies.js'

/** A hook that lets a request through or ends it with 401, 403 or 503. */
export type Guard = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => void

export interface Guards {
  authenticate: Guard
  requireScopes (...scopes: Scope[]): Guard
  /** Lets a user through, else ends the request with 401, or 403 for a machine client's own token. Use it as a `preHandler`. */
  requireUser: Guard
  /** Who passed `authenticate`. Our routes ask this: `request.user` may have been replaced by a hook of the host. */
  userOf (request: FastifyRequest): AuthenticatedUser
  /** The same, for the audit trail, and for the services that look at what the token carries. */
  actorOf (request: FastifyRequest): Principal
}

/** On a guard: what it asks for. `secureRoute` reads it. */
const kRequirement = Symbol('latchkey.requirement')

/**
 * Makes the guards: who is asking (401), and may they (403).
 * @param tokens - what verifies a token.
 * @param assertKnown - throws for scopes that there are not.
 */
export function createGuards ({ tokens, cookies, assertKnown }: {
  tokens: { verify (token: string): AuthenticatedUser | Promise<AuthenticatedUser> }
  cookies: Pick<Cookies, 'readAccessToken'>
  assertKnown: (scopes: readonly string[]) => void
}): Guards {
  // Who this registration has verified on this request. `request.user` alone proves nothing: a hook of the host, another
  // plugin or a second Latchkey may have set it.
  const kVerified = Symbol('latchkey.verified')
  type Guarded = FastifyRequest & { [kVerified]?: AuthenticatedUser }

  function accept (request: Guarded, user: AuthenticatedUser): void {
    request[kVerified] = user
    request.user = user
  }

  const authenticate: Guard = function authenticate (request: Guarded, reply, done) {
    // A second look costs little and is needed where there is a body: whoever sends it slowly must not outlive expiry or revocation.
    if (request[kVerified] !== undefined && request.user === request[kVerified] && !hasBody(request)) return done()
    let outcome: AuthenticatedUser | Promise<AuthenticatedUser>
    try {
      outcome = tokens.verify(cookies.readAccessToken(request))
    } catch (error) {
      return done(refuse(reply, error))
    }
    if (!(outcome instanceof Promise)) {
      accept(request, outcome)
      return done()
    }
    outcome.then(user => {
      accept(request, user)
      done()
    }, error => done(refuse(reply, error)))
  }

  function userOf (request: Guarded): AuthenticatedUser {
    const user = request[kVerified]
    if (user === undefined) throw new LatchkeyError('unauthenticated')
    return user
  }

  function actorOf (request: FastifyRequest): Principal {
    const user = userOf(request)
    const actor = isClient(user) ? asClient(user.id, request.ip) : asUser(user.id, request.ip)
    return { ...actor, scopes: user.scopes, sessionId: user.sessionId }
  }

  function requireScopes (...scopes: string[]): Guard {
    if (scopes.length === 0) throw new TypeError('requireScopes() needs the name of at least one scope; authenticate alone asks for none')
    assertKnown(scopes)
    const missing = { scope: scopes.join(' ') }

    function checkScopes (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void {
      const granted = userOf(request).scopes
      if (scopes.every(scope => granted.includes(scope))) return done()
      done(refuse(reply, new LatchkeyError('insufficient_scope', missing)))
    }

    const guard: Guard = function requireScopes (request, reply, done) {
      // Makes the guard whole where nobody saw its tag; costs next to nothing where `authenticate` ran at onRequest.
      authenticate(request, reply, error => error === undefined ? checkScopes(request, reply, done) : done(error))
    }
    return Object.assign(guard, { [kRequirement]: { authenticate, scopes } })
  }

  const requireUser: Guard = function requireUser (request, reply, done) {
    authenticate(request, reply, error => {
      if (error !== undefined) return done(error)
      if (!isClient(userOf(request))) return done()
      done(refuse(reply, new LatchkeyError('user_required')))
    })
  }

  const requirement = { [kRequirement]: { authenticate, scopes: [] } }
  return {
    authenticate: Object.assign(authenticate, requirement),
    requireScopes,
    requireUser: Object.assign(requireUser, requirement),
    userOf,
    actorOf
  }
}

function hasBody ({ headers, body }: FastifyRequest): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined || body !== undefined
}

/** The host's own error handler must find status and challenge set: RFC 6750 section 3 asks for one with every 401. */
function refuse (reply: FastifyReply, error: unknown): Error {
  if (!(error instanceof LatchkeyError)) return error as Error
  reply.code(error.statusCode)
  if (error.statusCode < 500) reply.header('www-authenticate', challengeOf(error))
  if (error.retryAfter !== undefined) reply.header('retry-after', error.retryAfter)
  return error
}

interface Requirement {
  authenticate: Guard
  scopes: readonly string[]
}

/**
 * Makes an `onRoute` hook: where a route's hooks hold a guard, it authenticates at onRequest, before a body is read and
 * validated, and its OpenAPI `security` says so. A route that this does not see is guarded all the same.
 * @param isDocumented - whether a route's `security` is of use: @fastify/swagger fails on schemes that its document lacks.
 */
export function createSecureRoute (isDocumented: (app: FastifyInstance) => boolean): (this: FastifyInstance, route: RouteOptions) => void {
  return function secureRoute (route) {
    const requirements = requirementsOf(route)
    const [first] = requirements
    if (first === undefined) return

    const onRequest = [route.onRequest ?? []].flat()
    if (!onRequest.includes(first.authenticate)) route.onRequest = [first.authenticate, ...onRequest]
    // Once more when the body is there: see `authenticate`.
    const preHandler = [route.preHandler ?? []].flat()
    if (requirementOf(preHandler[0]) === undefined) route.preHandler = [first.authenticate, ...preHandler]

    if (!isDocumented(this)) return
    const scopes = [...new Set(requirements.flatMap(requirement => requirement.scopes))]
    // Only an oauth2 scheme can say which scopes it takes.
    route.schema = { security: [{ oauth2: scopes }, { bearer: [] }, { cookie: [] }], ...route.schema }
  }
}

/** Where a guard comes too late, or is called with other arguments: it would look like protection and be none. */
const USELESS = ['preParsing', 'preSerialization', 'onSend', 'onResponse', 'onError', 'onTimeout', 'onRequestAbort'] as const

function requirementsOf (route: RouteOptions): Requirement[] {
  for (const hook of USELESS) {
    if ([route[hook]].flat().some(guard => requirementOf(guard) !== undefined)) {
      throw new TypeError(`A guard protects nothing as the ${hook} hook of ${String(route.method)} ${route.url}: use it as onRequest, preValidation or preHandler`)
    }
  }
  return [route.onRequest, route.preValidation, route.preHandler].flat().map(requirementOf).filter(requirement => requirement !== undefined)
}

function requirementOf (hook: unknown): Requirement | undefined {
  return (hook as { [kRequirement]?: Requirement } | undefined)?.[kRequirement]
}

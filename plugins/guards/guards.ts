import type { FastifyInstance, FastifyReply, FastifyRequest, onErrorHookHandler } from 'fastify'
import type { AuthenticatedUser } from '../../lib/identity/access-token.js'
import { isClient } from '../../lib/identity/client-ids.js'
import { BEARER, challengeOf, errorHeaders } from '../../lib/http/credentials.js'
import { LatchkeyError } from '../../lib/errors.js'
import type { Scope } from '../../schemas/scopes.js'
import { noteStatus } from '../adapters/challenge.js'
import type { Authenticator } from './authenticator.js'
import { assertEffective, isScopeHook } from './hook-lists.js'
import { isOwnPublicRoute, isPublicRoute } from './public-routes.js'
import { assertRecentLogin, readMaxAge } from './recent-login.js'
import { Verdict } from './verdict.js'

type Done = (error?: Error) => void

/**
 * Lets a request through or refuses it with 401, 403 or 503. Use it as an `onRequest`, `preValidation` or `preHandler`
 * hook, or await it. If awaited, it returns the user or rejects. It changes the reply only if it lets the request
 * through.
 */
export interface Guard<User = AuthenticatedUser> {
  (request: FastifyRequest, reply: FastifyReply, done: Done): void
  (request: FastifyRequest, reply: FastifyReply): Promise<User>
}

/** The guards that a host gets. All except `requireRecentLogin` are also decorators of its app. */
export interface Guards {
  /** Rejects requests without a valid access token (401). */
  authenticate: Guard
  /**
   * Like `authenticate`, but lets requests without a token through. Their user is undefined. A bad token is still 401.
   */
  authenticateOptional: Guard<AuthenticatedUser | undefined>
  /**
   * Makes a guard that requires all listed scopes and otherwise responds 403. Authentication runs at `onRequest`,
   * before the body is read.
   * @throws RangeError for an unknown scope: at once from `app.requireScopes`, at boot from the imported function.
   */
  requireScopes (...scopes: Scope[]): Guard
  /**
   * Makes a guard that requires a login within `maxAge`, and otherwise responds 401 with the challenge of RFC 9470
   * section 3, so that the client can log in again and repeat the request. Personal access tokens and tokens of an
   * older system have no login time, so they get 401 too. Machine clients cannot log in, so they get 403.
   * @param maxAge - a duration of whole seconds, such as `5m`.
   * @throws TypeError at once for any other value.
   */
  requireRecentLogin (maxAge: string): Guard
}

/** The guards of our own routes. They exempt no route. */
export interface OwnGuards extends Guards {
  /** Like `authenticate`, but responds 403 to a machine client's own token. */
  requireUser: Guard
}

/**
 * How guards find the authenticator of their registration. They belong to one registration, or look for the one around
 * a route.
 */
export interface GuardSource {
  /** The authenticator of the registration that they belong to. Default: they look for one. */
  authenticator?: Authenticator
  /** Returns the authenticator of the registration around this instance. */
  find (instance: FastifyInstance): Authenticator | undefined
  /** The name of the plugin that the app must register, for errors. */
  plugin: string
  /** Whether they let requests through to our own public routes and to routes that the host has exempted. */
  exempts: boolean
}

/** What a guard requires of requests to the route that it is a hook of. */
export interface Requirement {
  /** Whether it is a guard of our own routes. */
  isOurs: boolean
  /** The guard that runs in its place before the body is read. */
  early: Guard<AuthenticatedUser | undefined>
  isOptional: boolean
  scopes: readonly string[]
}

const kRequirement = Symbol('latchkey.requirement')

/** Returns what a hook requires, or undefined if it is not a guard. */
export function requirementOf (hook: unknown): Requirement | undefined {
  return (hook as { [kRequirement]?: Requirement } | undefined)?.[kRequirement]
}

type Check<User> = (authenticator: Authenticator, request: FastifyRequest) => User | Promise<User>

/** Makes the guards of one source. */
export function createGuards (source: GuardSource): OwnGuards {
  const authenticate = createGuard<AuthenticatedUser>('authenticate', {
    source,
    check: (authenticator, request) => authenticator.authenticate(request)
  })
  const authenticateOptional = createGuard('authenticateOptional', { source, check: checkOptional, isOptional: true })

  return {
    authenticate,
    authenticateOptional,
    requireScopes (...scopes) {
      if (scopes.length === 0) {
        throw new TypeError('requireScopes() needs at least one scope. To require none, use authenticate.')
      }
      if (!scopes.every(scope => typeof scope === 'string')) {
        throw new TypeError("requireScopes() takes the names of scopes, for example requireScopes('items:read').")
      }
      source.authenticator?.assertKnown(scopes)
      const check = createScopeCheck(scopes, source)
      return createGuard('requireScopes', { source, check, early: authenticate, scopes })
    },
    requireRecentLogin (maxAge) {
      const seconds = readMaxAge(maxAge)
      const check: Check<AuthenticatedUser> = (authenticator, request) =>
        follow(checkUser(authenticator, request), user => assertRecentLogin(user, seconds, authenticator.now()))
      return createGuard('requireRecentLogin', { source, check, early: authenticate })
    },
    requireUser: createGuard('requireUser', { source, check: checkUser, early: authenticate })
  }
}

function checkOptional (
  authenticator: Authenticator,
  request: FastifyRequest
): AuthenticatedUser | undefined | Promise<AuthenticatedUser | undefined> {
  try {
    return authenticator.authenticate(request)
  } catch (error) {
    if (error instanceof LatchkeyError && error.code === 'unauthenticated') return undefined
    throw error
  }
}

function createScopeCheck (scopes: readonly string[], source: GuardSource): Check<AuthenticatedUser> {
  return (authenticator, request) => follow(authenticator.authenticate(request), user => {
    if (scopes.every(scope => user.scopes.includes(scope))) return user
    // An imported guard that a function of the host calls was not checked at boot.
    if (source.authenticator === undefined) authenticator.assertKnown(scopes)
    throw new LatchkeyError('insufficient_scope', { scope: scopes.join(' ') })
  })
}

function checkUser (
  authenticator: Authenticator,
  request: FastifyRequest
): AuthenticatedUser | Promise<AuthenticatedUser> {
  return follow(authenticator.authenticate(request), user => {
    if (isClient(user)) throw new LatchkeyError('user_required')
    return user
  })
}

function follow<Value> (outcome: Value | Promise<Value>, next: (value: Value) => Value): Value | Promise<Value> {
  return outcome instanceof Promise ? outcome.then(next) : next(outcome)
}

/** Makes one guard that works in every form in which an app may call it. */
function createGuard<User extends AuthenticatedUser | undefined> (name: string, {
  source, check, early, scopes = [], isOptional = false
}: {
  source: GuardSource
  check: Check<User>
  early?: Guard
  scopes?: readonly string[]
  isOptional?: boolean
}): Guard<User> {
  function judge (request: FastifyRequest, reply: FastifyReply): User | Promise<User> {
    const authenticator = source.find(request.server)
    if (authenticator === undefined) throw notRegistered()
    function admit (user: User): User {
      authenticator?.admit(request, reply, user)
      return user
    }
    return follow(check(authenticator, request), admit)
  }

  function notRegistered (): Error {
    return new Error(
      `${name}() found no registration of ${source.plugin} around this route. ` +
      'Register it in the same app or in a parent of this plugin.'
    )
  }

  /** Returns the error of a refusal, or undefined if the request is let through anyway. */
  function settle (error: unknown, request: FastifyRequest, isAround: boolean): Error | undefined {
    if (source.exempts && (isOwnPublicRoute(request) || (isAround && isPublicRoute(request)))) return undefined
    return withHeaders(error, source.find(request.server)?.scheme)
  }

  async function resolve (request: FastifyRequest, reply: FastifyReply): Promise<User> {
    try {
      return await judge(request, reply)
    } catch (error) {
      const refusal = settle(error, request, false)
      if (refusal !== undefined) throw refusal
      return undefined as User
    }
  }

  function wait (request: FastifyRequest, reply: FastifyReply): Promise<User> {
    return Verdict.of(resolve(request, reply), error => refuseUnawaited(name, { error, request, reply }))
  }

  /** @param isAround - whether it is a hook of the app or of a plugin, and not of one route. */
  function makeGuard (isAround: boolean): Guard<User> {
    function run (request: FastifyRequest, reply: FastifyReply, done: Done): void {
      let outcome: User | Promise<User>
      try {
        outcome = judge(request, reply)
      } catch (error) {
        return done(settle(error, request, isAround))
      }
      if (!(outcome instanceof Promise)) return done()
      outcome.then(() => done(), error => done(settle(error, request, isAround)))
    }
    const call = function (request: FastifyRequest, reply: FastifyReply, done?: Done): void | Promise<User> {
      return typeof done === 'function' ? run(request, reply, done) : wait(request, reply)
    } as Guard<User>
    return Object.defineProperties(call, {
      name: { value: name },
      bind: { value: bind },
      [kRequirement]: { get: () => requirement }
    })
  }

  function assertUsable (instance: FastifyInstance): void {
    const authenticator = source.find(instance)
    if (authenticator === undefined) throw notRegistered()
    if (scopes.length > 0) authenticator.assertKnown(scopes)
  }

  function checkAtBoot (instance: FastifyInstance): void {
    if (source.find(instance) === undefined) instance.addHook('onReady', async () => assertUsable(instance))
    else assertUsable(instance)
  }

  /**
   * When all plugins are loaded, Fastify binds each hook to the instance of its route, even if the route was declared
   * before Latchkey was registered. So a mistake stops the boot here.
   */
  function bind (this: unknown, instance: unknown): Guard<User> {
    if (!isInstance(instance)) return guard
    assertEffective(instance, this)
    if (source.authenticator === undefined) checkAtBoot(instance)
    return makeGuard(isScopeHook(instance, this))
  }

  const guard = makeGuard(false)
  const requirement: Requirement = { isOurs: !source.exempts, early: early ?? guard, isOptional, scopes }
  return guard
}

function isInstance (value: unknown): value is FastifyInstance {
  return typeof (value as FastifyInstance | null | undefined)?.addHook === 'function'
}

/** Fastify's own error handler sends `headers`. For any other error handler, `setErrorHeaders` sets them. */
function withHeaders (error: unknown, scheme = BEARER): Error {
  if (!(error instanceof LatchkeyError)) {
    return error instanceof Error ? error : new Error('A guard could not check the token', { cause: error })
  }
  error.headers = {
    ...errorHeaders(error, scheme),
    // Guards also reject machine clients where a user is required, and RFC 6750 has the same code for it.
    ...(error.oauth === 'insufficient_scope' ? { 'www-authenticate': challengeOf(error, scheme) } : {})
  }
  return error
}

/** Ends a request whose guard was not awaited, as soon as possible, because the handler may already run. */
function refuseUnawaited (
  name: string,
  { error, request, reply }: { error: unknown, request: FastifyRequest, reply: FastifyReply }
): void {
  request.log.error(
    `${name}() refused a request, but nothing awaited it: the route is not protected. ` +
    'Use the guard as a hook, or await it.'
  )
  if (!reply.sent) reply.send(error)
}

/**
 * Makes an `onError` hook. It sets the status and headers of our errors for the host's error handlers, whether a guard
 * refused the request or a handler called one of our services.
 */
export function createErrorHook (find: GuardSource['find']): onErrorHookHandler {
  return function setErrorHeaders (...[request, reply, error, done]: Parameters<onErrorHookHandler>) {
    if (error instanceof LatchkeyError) {
      error.headers ??= errorHeaders(error, find(request.server)?.scheme ?? BEARER)
      reply.code(error.statusCode).headers(error.headers)
      noteStatus(reply, error.statusCode)
    }
    done()
  }
}

import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { errorHeaders } from '../lib/http/credentials.js'
import { readUserId } from '../lib/identity/user-ids.js'
import type { UserIdKind } from '../lib/identity/user-ids.js'
import type { Confirm, Confirmation } from '../lib/sessions/login.js'
import { RefreshToken, Scope } from '../schemas/common.js'
import type { User } from '../schemas/host.js'
import type { UserId } from '../schemas/user-ids.js'
import { LoginRequest, LogoutRequest } from '../schemas/tokens.js'
import { encloseCheck, isListOfMethods, METHODS_EXPECTED } from './adapters/confirmation.js'
import { kCookies } from './cookies.js'
import { kClock } from './database.js'
import { toLatchkeyError } from './errors.js'
import { kIssuing } from './issuing.js'
import type { Login, Reissued } from './issuing.js'
import { kLogins } from './logins.js'
import { kCountAttempt } from './rate-limit.js'
import { kSettings } from './settings.js'
import { createInputCheck } from './validation.js'

/** The password login of a user, as it arrives in a request. */
export interface LoginCredentials {
  username: string
  password: string
  /** The scopes to ask for, separated by spaces. Default: all that the user is granted. */
  scope?: string
}

/** What `logIn` checks besides the password. */
export interface LoginChecks {
  /**
   * Runs only if the password is correct, and before any token is issued, for example to check a second factor. Return
   * true to let the user in, or `{ amr: ['otp'] }` to also list what you have checked besides the password. Tokens then
   * carry these names (RFC 8176) in the claim `amr`, after `pwd`. Any other value responds 401 `invalid_credentials`
   * and counts like a wrong password. If it throws, the attempt does not count, and your route gets the error. Throw
   * only to ask for a missing code. It must end within 30 seconds.
   */
  confirm?: (user: User) => Confirmation | Promise<Confirmation>
}

/** What `logInAs` takes besides the user. */
export interface LoginDetails {
  /**
   * How you verified the user, for the audit trail: a word such as `registration`, `passkey` or `google`. Default
   * `app`.
   */
  method?: string
  /** The scopes to ask for, separated by spaces. Default: all that the user is granted. */
  scope?: string
  /**
   * How the user authenticated: up to 10 names of RFC 8176 such as `pwd`, `otp` or `mfa`, for example the `amr` of your
   * provider. The tokens carry them in the claim `amr`. Default: none.
   */
  amr?: readonly string[]
  /**
   * When the user authenticated, for example the `auth_time` of your provider. It may be at most a minute in the
   * future. `requireRecentLogin` checks it. Default: now. If your provider does not report it, pass `new Date(0)`,
   * because the login at the provider may be old.
   */
  authTime?: Date
}

/**
 * Logins and sessions for the routes of your own API. If a call fails, it throws an error with the same `statusCode`,
 * `code` and headers as Latchkey's routes, so let it reach your error handler.
 */
export interface HostLogins {
  /**
   * Logs a user in with a password, as `POST /login` does. It has the same limits per account and address, writes the
   * same audit trail and rejects cross-site requests. You can pass it values of a request unchecked, because a wrong
   * type, length or member responds 400 `invalid_request`. It ends the previous session of the browser.
   */
  logIn (request: FastifyRequest, credentials: LoginCredentials, checks?: LoginChecks): Promise<Login>
  /**
   * Logs in a user that you have verified yourself, for example after a registration, or with a passkey or an external
   * sign-in. It does not check a password or limit attempts. Throws 401 `invalid_credentials` if the user is unknown or
   * disabled. It rejects cross-site requests, except GET requests, because an external provider redirects the user back
   * with a GET. Check its `state`. It ends the previous session of the browser.
   * @param user - the id of the user, or an object with the id.
   */
  logInAs (request: FastifyRequest, user: UserId | { readonly id: UserId }, details?: LoginDetails): Promise<Login>
  /**
   * Exchanges a refresh token for its successor, as `POST /refresh` does. Without `refreshToken` it uses the one in the
   * cookie. In that case, set cookies with the new tokens too.
   */
  refresh (request: FastifyRequest, given?: { refreshToken?: string, scope?: string }): Promise<Login>
  /**
   * Issues a new access token for the session of the request, with the current claims, for example after users change
   * their profile. The new token has no more scopes and lives no longer than the access token of the request.
   */
  reissue (request: FastifyRequest): Promise<Reissued>
  /**
   * Ends the session of the request, the user's other sessions, or all of the user's sessions, as `POST /logout` does.
   * If the request has no session, it does nothing. Call `clearCookies` too, except after `others`.
   */
  logOut (request: FastifyRequest, target?: 'this' | 'others' | 'all'): Promise<void>
  /**
   * Sets the cookies of `POST /login`, and `Cache-Control: no-store`. After `reissue` it replaces only the cookie with
   * the access token. Throws 403 `cross_site_request` if another site made the browser send the request, except for
   * GET.
   */
  setCookies (reply: FastifyReply, login: Login | Reissued): void
  /** Removes both cookies. */
  clearCookies (reply: FastifyReply): void
}

export const kHostLogins = Symbol('latchkey.hostLogins')

declare module 'fastify' {
  interface FastifyInstance {
    [kHostLogins]: HostLogins
  }
}

const checkCredentials = createInputCheck(LoginRequest, 'login')
const checkScope = createInputCheck(Type.Object({ scope: Type.Optional(Scope) }), 'login')
const checkRefresh = createInputCheck(Type.Object({
  refreshToken: Type.Optional(RefreshToken),
  scope: Type.Optional(Scope)
}, { additionalProperties: false }), 'refresh')
const checkTarget = createInputCheck(LogoutRequest, 'logout')

const METHOD = /^[a-z0-9_-]{1,64}$/

/** Gives the host the logins of a request. */
export default fp(async function latchkeyHostLogins (app) {
  const logins = app[kLogins]
  const countAttempt = app[kCountAttempt]
  const cookies = app[kCookies]
  const { issue, issueAccess, forbidCaching } = app[kIssuing]
  const { userIds, scheme } = app[kSettings]
  const clock = app[kClock]

  /**
   * Runs the work of a method. Errors get the same status, code and headers as those of our routes.
   * @param isForeign - whether an error is the host's own, which it gets back unchanged.
   */
  async function answer<Result> (
    work: () => Promise<Result>, isForeign: (error: unknown) => boolean = () => false
  ): Promise<Result> {
    try {
      return await work()
    } catch (cause) {
      if (isForeign(cause)) throw cause
      const error = toLatchkeyError(cause)
      error.headers = { 'cache-control': 'no-store', ...errorHeaders(error, scheme), ...error.headers }
      throw error
    }
  }

  app.decorate(kHostLogins, {
    async logIn (request, credentials, checks = {}) {
      assertRequest('logIn', request)
      const { confirm, failure } = encloseCheck(readConfirm(checks), userIds)
      return await answer(async () => {
        await countAttempt(request)
        const { username, password, scope } = checkCredentials(credentials)
        return await issue(await logins.logIn(request, { username, password, scope, confirm }))
      }, failure)
    },

    async logInAs (request, user, details = {}) {
      assertRequest('logInAs', request)
      const { method = 'app', scope, amr, authTime } = readDetails(details, clock.now())
      const id = readId(user, userIds)
      return await answer(async () =>
        await issue(await logins.logInAs(request, {
          id, method, amr, authTime: authTime?.getTime(), ...checkScope({ scope })
        })))
    },

    async refresh (request, given = {}) {
      assertRequest('refresh', request)
      return await answer(async () => await issue(await logins.refresh(request, checkRefresh(given))))
    },

    async reissue (request) {
      assertRequest('reissue', request)
      return await answer(async () => await issueAccess(await logins.reissue(request)))
    },

    async logOut (request, target) {
      assertRequest('logOut', request)
      await answer(async () => await logins.logOut(request, checkTarget({ target }).target))
    },

    setCookies (reply, login) {
      assertLogin(login)
      // The tokens may be those of an attacker, who would log the visitor in to an account that the attacker chose.
      cookies.assertSameSite(reply.request)
      cookies.set(reply, login)
      forbidCaching(reply)
    },

    clearCookies (reply) {
      cookies.clear(reply)
      forbidCaching(reply)
    }
  })
}, { name: 'latchkey-host-logins', fastify: '5.x', dependencies: ['latchkey-logins', 'latchkey-rate-limit'] })

function assertRequest (method: string, request: FastifyRequest | undefined): void {
  if (typeof request?.ip === 'string' && typeof request.headers === 'object') return
  throw new TypeError(`Latchkey: ${method}() takes Fastify's request as its first argument`)
}

/** A misspelt member would silently leave out a second factor. */
function readConfirm (checks: LoginChecks): Confirm | undefined {
  const { confirm, ...unknown } = checks
  // A member without a value is a mistake too, for example `{ confirm: secondFactor?.check }`.
  const isUsable = typeof confirm === 'function' || !('confirm' in checks)
  if (isUsable && Object.keys(unknown).length === 0) return confirm
  throw new TypeError('Latchkey: logIn() takes { confirm: (user) => boolean } as its third argument')
}

function readDetails (details: LoginDetails, now: number): LoginDetails {
  const { method, scope, amr, authTime, ...unknown } = details
  const isUsable = (method === undefined || (typeof method === 'string' && METHOD.test(method))) &&
    (amr === undefined || isListOfMethods(amr)) && isPast(authTime, now)
  if (isUsable && Object.keys(unknown).length === 0) {
    return { method, scope, amr, authTime: authTime && new Date(Math.min(authTime.getTime(), now)) }
  }
  throw new TypeError(
    'Latchkey: logInAs() takes { method, scope } as its third argument, and also amr and authTime. The method is a ' +
    `word of lower-case letters, digits, - and _, for example passkey. amr is ${METHODS_EXPECTED}. authTime is a ` +
    'Date that is not in the future'
  )
}

/** The clock of a provider may be ahead of ours by this many milliseconds. */
const CLOCK_TOLERANCE = 60_000

function isPast (time: unknown, now: number): boolean {
  // An invalid date is NaN, and no comparison with NaN holds.
  return time === undefined || (time instanceof Date && time.getTime() >= 0 && time.getTime() <= now + CLOCK_TOLERANCE)
}

/** Returns the text of the id. */
function readId (user: unknown, userIds: UserIdKind): string {
  const id = typeof user === 'object' ? (user as { id?: unknown } | null)?.id : user
  const text = readUserId(id, userIds)
  if (text !== undefined) return text
  throw new TypeError(
    'Latchkey: logInAs() takes the id of a user, or an object with the id, as its second argument. ' +
    `With the option userIds, ids are ${userIds === 'text' ? 'text' : 'integers'}`
  )
}

function assertLogin (login: Partial<Login> | undefined): void {
  const { accessToken, expiresIn, refreshToken, refreshExpiresIn } = login ?? {}
  const isComplete = refreshToken === undefined
    ? refreshExpiresIn === undefined
    : typeof refreshToken === 'string' && typeof refreshExpiresIn === 'number'
  if (typeof accessToken === 'string' && typeof expiresIn === 'number' && isComplete) return
  throw new TypeError('Latchkey: setCookies() takes what logIn(), logInAs(), refresh() or reissue() returned')
}

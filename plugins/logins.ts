import fp from 'fastify-plugin'
import type { FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import { LatchkeyError } from '../lib/errors.js'
import { isClient } from '../lib/identity/client-ids.js'
import type { Grant } from '../lib/sessions/issued.js'
import type { Confirm } from '../lib/sessions/login.js'
import { createLogout } from '../lib/sessions/logout.js'
import type { AccessGrant } from '../lib/tokens/tokens.js'
import type { User } from '../schemas/host.js'
import type { LoginRequest, LogoutRequest } from '../schemas/tokens.js'
import { kCookies } from './cookies.js'
import { kIssuing } from './issuing.js'
import { kLogIn, kLogInAs, kSessions } from './sessions.js'
import { kTokens } from './tokens.js'

/** The logins and logouts of a request. The routes and `app.latchkey` use the same functions. */
interface Logins {
  /** Checks the password and begins a session. It ends the previous session of the browser. */
  logIn (request: FastifyRequest, credentials: Static<typeof LoginRequest> & { confirm?: Confirm }): Promise<Grant>
  /** Begins a session for a user that the app has verified. It ends the previous session of the browser. */
  logInAs (
    request: FastifyRequest,
    user: { id: string, method: string, scope?: string, amr?: readonly string[], authTime?: number }
  ): Promise<Grant>
  /** Exchanges the refresh token of the cookie, or the one that is given. */
  refresh (request: FastifyRequest, given: { refreshToken?: string, scope?: string }): Promise<Grant>
  /** Issues a new access token for the session of the request. */
  reissue (request: FastifyRequest): Promise<AccessGrant & { user: User }>
  /** Ends the session of the request, all others, or all sessions of the user. */
  logOut (request: FastifyRequest, target: Static<typeof LogoutRequest>['target']): Promise<void>
}

export const kLogins = Symbol('latchkey.logins')

declare module 'fastify' {
  interface FastifyInstance {
    [kLogins]: Logins
  }
}

/** Everything between a request and the sessions: its sender, its tokens, and the cross-site rule. */
export default fp(async function latchkeyLogins (app) {
  const cookies = app[kCookies]
  const { senderOf } = app[kIssuing]
  const sessions = app[kSessions]
  const tokens = app[kTokens]
  const [checkPassword, beginSession] = [app[kLogIn], app[kLogInAs]]
  const { leave, logOut } = createLogout({ sessions, tokens })

  async function replaceSession (request: FastifyRequest, begin: Promise<Grant>): Promise<Grant> {
    const grant = await begin
    const { refreshToken } = senderOf(request)
    if (refreshToken !== undefined) await leave(refreshToken, request.ip)
    return grant
  }

  /** Returns undefined for a request without an access token, because the refresh cookie can take its place. */
  function readAccessToken (request: FastifyRequest): string | undefined {
    try {
      return cookies.readAccessToken(request)
    } catch (error) {
      if (error instanceof LatchkeyError && error.statusCode === 401) return undefined
      throw error
    }
  }

  app.decorate(kLogins, {
    async logIn (request, credentials) {
      // Another site must not log a visitor in to an account that the site chooses, not even with a link.
      cookies.assertSameSite(request, 'POST')
      return await replaceSession(request, checkPassword(credentials, senderOf(request)))
    },

    async logInAs (request, user) {
      // An external provider redirects the user back from another site, with a GET.
      cookies.assertSameSite(request)
      return await replaceSession(request, beginSession(user, senderOf(request)))
    },

    async refresh (request, { refreshToken = cookies.readRefreshToken(request), scope }) {
      if (refreshToken === undefined) throw new LatchkeyError('unauthenticated')
      return await sessions.refresh(refreshToken, { scope, address: request.ip })
    },

    async reissue (request) {
      const token = cookies.readAccessToken(request)
      const user = await tokens.verify(token)
      if (isClient(user)) throw new LatchkeyError('user_required')
      const { sessionId } = user
      if (sessionId === undefined) {
        throw new LatchkeyError('invalid_token', { message: 'The access token belongs to no session: log in again.' })
      }
      const grant = await sessions.reissue({ ...user, id: user.claims.sub, sessionId }, request.ip)
      // The token may have been revoked alone, or with all tokens of the user, since the first check. A later
      // revocation of all tokens includes the new one.
      await tokens.verify(token)
      return grant
    },

    async logOut (request, target = 'this') {
      const hasBearer = cookies.readBearer(request) !== undefined
      // Another site cannot make the browser send a token in a header, but it can make it send cookies.
      if (!hasBearer) cookies.assertSameSite(request)
      await logOut(target, {
        accessToken: readAccessToken(request),
        refreshToken: hasBearer ? undefined : cookies.readRefreshToken(request),
        address: request.ip
      })
    }
  })
}, { name: 'latchkey-logins', fastify: '5.x', dependencies: ['latchkey-issuing', 'latchkey-sessions'] })

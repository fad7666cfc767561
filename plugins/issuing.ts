import fp from 'fastify-plugin'
import type { Static } from 'typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Issued } from '../lib/grants/grant-handler.js'
import { formatScope } from '../lib/identity/scopes.js'
import { toAccount } from '../lib/users/account.js'
import type { Grant } from '../lib/sessions/issued.js'
import type { Sender } from '../lib/sessions/login.js'
import type { AccessGrant } from '../lib/tokens/tokens.js'
import type { User } from '../schemas/host.js'
import type { LoginResponse, TokenResponse } from '../schemas/tokens.js'
import { kClock } from './database.js'
import { kCookies } from './cookies.js'
import { kTokens } from './tokens.js'
import { kSettings } from './settings.js'

/** The HTTP side of every login and refresh. */
interface Issuing {
  /** Returns where a login comes from. */
  senderOf (request: FastifyRequest): Sender
  /** Returns a response body with the tokens (RFC 6749 section 5.1). The refresh token is left out if there is none. */
  sendTokens (reply: FastifyReply, grant: Issued): Promise<Static<typeof TokenResponse>>
  /** Sets the tokens as cookies, and returns the response body. */
  sendCookies (reply: FastifyReply, grant: Grant): Promise<Static<typeof LoginResponse>>
  /** Signs the tokens of a login or a refresh. */
  issue (grant: Grant): Promise<Login>
  /** Signs an access token without a refresh token. */
  issueAccess (grant: AccessGrant & { user: User }): Promise<Reissued>
  /** Keeps caches from storing a response with tokens: RFC 6749 section 5.1. */
  forbidCaching (reply: FastifyReply): void
}

/** An access token for the current session: what `reissue` returns. */
export interface Reissued {
  /** The account as it is now. */
  user: User
  accessToken: string
  /** The seconds until the access token expires. */
  expiresIn: number
  /** The scopes of the access token, separated by spaces. */
  scope: string
}

/** The tokens of a login or a refresh. */
export interface Login extends Reissued {
  refreshToken: string
  /** The seconds until the refresh token expires if it is not used. */
  refreshExpiresIn: number
}

export const kIssuing = Symbol('latchkey.issuing')

declare module 'fastify' {
  interface FastifyInstance {
    [kIssuing]: Issuing
  }
}

/** Reads what a login needs from a request, and turns a grant into a response. */
export default fp(async function latchkeyIssuing (app) {
  const tokens = app[kTokens]
  const cookies = app[kCookies]
  const clock = app[kClock]
  const accessTtl = Math.floor(app[kSettings].accessTokenTtl / 1000)

  function forbidCaching (reply: FastifyReply): void {
    reply.header('cache-control', 'no-store').header('pragma', 'no-cache')
  }

  async function issueAccess (grant: AccessGrant & { user: User }): Promise<Reissued> {
    const { id, username, scopes, roles } = grant.user
    const left = grant.latestExpiry === undefined ? accessTtl : grant.latestExpiry - Math.floor(clock.now() / 1000)
    return {
      user: { id, username, scopes: [...scopes], ...(roles === undefined ? {} : { roles: [...roles] }) },
      accessToken: await tokens.sign(grant),
      expiresIn: Math.max(0, Math.min(accessTtl, left)),
      scope: formatScope(grant.scopes)
    }
  }

  async function issue (grant: Grant): Promise<Login> {
    return {
      ...await issueAccess(grant),
      refreshToken: grant.refreshToken,
      refreshExpiresIn: Math.max(0, Math.floor((grant.refreshExpiresAt - clock.now()) / 1000))
    }
  }

  app.decorate(kIssuing, {
    senderOf (request) {
      // A page of another site must not use up the attempts of its visitor's session.
      const refreshToken = cookies.isSameSite(request) ? cookies.readRefreshToken(request) : undefined
      return { address: request.ip, userAgent: request.headers['user-agent'], refreshToken }
    },
    async sendTokens (reply, grant) {
      const accessToken = await tokens.sign(grant)
      forbidCaching(reply)
      return {
        access_token: accessToken,
        token_type: 'bearer',
        expires_in: accessTtl,
        ...(grant.refreshToken === undefined ? {} : { refresh_token: grant.refreshToken }),
        scope: formatScope(grant.scopes)
      }
    },
    async sendCookies (reply, grant) {
      const login = await issue(grant)
      forbidCaching(reply)
      cookies.set(reply, login)
      const { user, scope, expiresIn } = login
      return { user: toAccount(user), scope, expires_in: expiresIn }
    },
    issue,
    issueAccess,
    forbidCaching
  })
}, { name: 'latchkey-issuing', fastify: '5.x', dependencies: ['latchkey-tokens', 'latchkey-cookies'] })

import fp from 'fastify-plugin'
import type { Static } from 'typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Client } from '../lib/clients/clients.js'
import { LatchkeyError } from '../lib/errors.js'
import { anonymous } from '../lib/ledger/events.js'
import { formatScope } from '../lib/identity/scopes.js'
import type { Grant } from '../lib/sessions/issued.js'
import type { AccessGrant } from '../lib/tokens/tokens.js'
import type { LoginResponse, TokenResponse } from '../schemas/tokens.js'
import { kClock, kFollower } from './database.js'
import { kCookies } from './cookies.js'
import { kTokens } from './jwt.js'
import { kSessions } from './sessions.js'
import { kSettings } from './settings.js'
import { kThrottle } from './throttle.js'
import { kBuiltInUsers, kUsers } from './users.js'

/** The last step of every login and refresh. */
interface Issuing {
  /** Checks the password and begins a session. Throws `invalid_credentials`, in the same words and time whatever was wrong, or `too_many_failures`. */
  logIn (request: FastifyRequest, credentials: { username: string, password: string, scope?: string, client?: Client }): Promise<Grant>
  /** The answer that carries the tokens (RFC 6749 section 5.1); without a refresh token where the grant has none. */
  sendTokens (reply: FastifyReply, grant: AccessGrant & Partial<Pick<Grant, 'refreshToken'>>): Promise<Static<typeof TokenResponse>>
  /** The answer that sets the cookies instead. */
  sendCookies (reply: FastifyReply, grant: Grant): Promise<Static<typeof LoginResponse>>
}

export const kIssuing = Symbol('latchkey.issuing')

declare module 'fastify' {
  interface FastifyInstance {
    [kIssuing]: Issuing
  }
}

/** From a password to a grant, and from a grant to an answer. */
export default fp(async function latchkeyIssuing (app) {
  const users = app[kUsers]
  const builtInUsers = app[kBuiltInUsers]
  const sessions = app[kSessions]
  const follower = app[kFollower]
  const tokens = app[kTokens]
  const cookies = app[kCookies]
  const throttle = app[kThrottle]
  const clock = app[kClock]
  const accessTtl = Math.floor(app[kSettings].accessTokenTtl / 1000)

  function forbidCaching (reply: FastifyReply): void {
    reply.header('cache-control', 'no-store').header('pragma', 'no-cache')
  }

  /** The live session that a request carries. A page of another site must not use up the attempts of its visitor's. */
  async function findSession (request: FastifyRequest): Promise<string | undefined> {
    if (!cookies.isSameSite(request)) return undefined
    const session = await sessions.identify(cookies.readRefreshToken(request) ?? '')
    return session?.live === true ? session.sessionId : undefined
  }

  app.decorate(kIssuing, {
    async logIn (request, { username, password, scope, client }) {
      // What other processes have revoked up to now is older than what is asked from here on.
      await follower.refresh()
      const askedAt = clock.now()
      const subject = (await builtInUsers?.findByName(username))?.id ?? null
      const bucket = await throttle.findLoginBucket(username, { address: request.ip, sessionId: await findSession(request) })
      // The account's id, never what was typed: people type passwords into the field of the name.
      const actor = anonymous(request.ip)
      const clientId = client?.id ?? null
      const user = await throttle.attempt(bucket, { actor, subject, clientId, failure: 'login_failed' }, async () => {
        const found = await users.authenticate(username, password, request.ip)
        if (found === null) throw new LatchkeyError('invalid_credentials')
        return found
      })
      return await sessions.start(user, {
        client, askedAt, scope, userAgent: request.headers['user-agent'], address: request.ip, place: throttle.placeOf(username, request.ip)
      })
    },
    async sendTokens (reply, grant) {
      const accessToken = await tokens.sign(grant)
      forbidCaching(reply)
      return { access_token: accessToken, token_type: 'bearer', expires_in: accessTtl, ...(grant.refreshToken === undefined ? {} : { refresh_token: grant.refreshToken }), scope: formatScope(grant.scopes) }
    },
    async sendCookies (reply, grant) {
      const accessToken = await tokens.sign(grant)
      forbidCaching(reply)
      cookies.set(reply, {
        accessToken,
        accessTtl,
        refreshToken: grant.refreshToken,
        refreshTtl: Math.max(0, Math.floor((grant.refreshExpiresAt - clock.now()) / 1000))
      })
      const { id, username, scopes } = grant.user
      return { user: { id, username, scopes: [...scopes] }, scope: formatScope(grant.scopes), expires_in: accessTtl }
    }
  })
}, { name: 'latchkey-issuing', fastify: '5.x', dependencies: ['latchkey-sessions', 'latchkey-jwt', 'latchkey-cookies', 'latchkey-throttle'] })

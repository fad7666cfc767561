import fp from 'fastify-plugin'
import type { FastifyRequest } from 'fastify'
import type { AuthenticatedUser } from '../lib/identity/access-token.js'
import type { Principal } from '../lib/users/authority.js'
import { isClient } from '../lib/identity/client-ids.js'
import { LatchkeyError } from '../lib/errors.js'
import { asClient, asUser } from '../lib/ledger/events.js'
import { assertKnownScopes } from '../lib/identity/scopes.js'
import { createAuthenticator } from './guards/authenticator.js'
import type { Authenticator } from './guards/authenticator.js'
import { kClock } from './database.js'
import { kCookies } from './cookies.js'
import { createGuards } from './guards/guards.js'
import type { OwnGuards } from './guards/guards.js'
import { kKeyAcceptance } from './personal-access-tokens.js'
import { kTokens } from './tokens.js'
import { kSettings } from './settings.js'

/** The guards of our own routes, and functions that read the user of a request that passed one. */
interface RouteGuards extends OwnGuards {
  /**
   * Returns the user who passed a guard. `request.user` is not enough, because a hook of the host may have replaced it.
   */
  userOf (request: FastifyRequest): AuthenticatedUser
  /** Returns the same user for the audit trail and for the services that check the scopes of the token. */
  actorOf (request: FastifyRequest): Principal
}

export const kAuthenticator = Symbol('latchkey.authenticator')
export const kGuards = Symbol('latchkey.guards')

declare module 'fastify' {
  interface FastifyInstance {
    [kAuthenticator]: Authenticator
    [kGuards]: RouteGuards
  }
}

/** Identifies the sender of a request, and makes the guards of our own routes. */
export default fp(async function latchkeyAuthentication (app) {
  const { catalogue, scheme, accepts } = app[kSettings]
  const authenticator = createAuthenticator({
    tokens: app[kTokens],
    keys: app[kKeyAcceptance],
    accepts,
    cookies: app[kCookies],
    scheme,
    now: app[kClock].now,
    assertKnown: scopes => assertKnownScopes(scopes, catalogue)
  })

  function userOf (request: FastifyRequest): AuthenticatedUser {
    const user = authenticator.userOf(request)
    if (user === undefined) throw new LatchkeyError('unauthenticated')
    return user
  }

  app.decorate(kAuthenticator, authenticator)
  app.decorate(kGuards, {
    ...createGuards({ authenticator, find: () => authenticator, plugin: 'fastify-latchkey', exempts: false }),
    userOf,
    actorOf (request) {
      const user = userOf(request)
      const { claims: { sub }, clientId } = user
      const actor = isClient({ id: sub, clientId }) ? asClient(sub, request.ip) : asUser(sub, request.ip)
      return { ...actor, scopes: user.scopes, sessionId: user.sessionId }
    }
  })
}, {
  name: 'latchkey-authentication',
  fastify: '5.x',
  dependencies: ['latchkey-personal-access-tokens', 'latchkey-cookies']
})

import fp from 'fastify-plugin'
import { assertKnownScopes } from '../lib/scopes.js'
import { kCookies } from './cookies.js'
import { createGuards } from './guards.js'
import type { Guards } from './guards.js'
import { kTokens } from './jwt.js'
import { kSettings } from './settings.js'

export const kGuards = Symbol('latchkey.guards')

declare module 'fastify' {
  interface FastifyInstance {
    [kGuards]: Guards
  }
}

/** The guards of our own routes, which the host gets too. */
export default fp(async function latchkeyAuthentication (app) {
  const { catalogue } = app[kSettings]
  app.decorate(kGuards, createGuards({
    tokens: app[kTokens],
    cookies: app[kCookies],
    assertKnown: scopes => assertKnownScopes(scopes, catalogue)
  }))
}, { name: 'latchkey-authentication', fastify: '5.x', dependencies: ['latchkey-jwt', 'latchkey-cookies'] })

import fp from 'fastify-plugin'
import { createInspector } from '../lib/sessions/introspection.js'
import type { Inspector } from '../lib/sessions/introspection.js'
import { kClock, kStore } from './database.js'
import { kKeyAcceptance } from './personal-access-tokens.js'
import { kSeenGenerations } from './sessions.js'
import { kTokens } from './tokens.js'
import { kRefreshKeys } from './keys.js'
import { kSettings } from './settings.js'
import { kUsers } from './users.js'

export const kInspector = Symbol('latchkey.inspector')

declare module 'fastify' {
  interface FastifyInstance {
    [kInspector]: Inspector
  }
}

/** Creates the inspector that `POST /introspect` uses. */
export default fp(async function latchkeyIntrospection (app) {
  const { refreshGrace, issuer } = app[kSettings]
  app.decorate(kInspector, createInspector({
    store: app[kStore],
    clock: app[kClock],
    tokens: app[kTokens],
    // The address belongs to a resource server, which asks on behalf of all its clients.
    acceptKey: value => app[kKeyAcceptance].accept(value, undefined),
    users: app[kUsers],
    refreshKeys: app[kRefreshKeys],
    refreshGrace,
    seen: app[kSeenGenerations],
    issuer
  }))
}, {
  name: 'latchkey-introspection',
  fastify: '5.x',
  dependencies: ['latchkey-users', 'latchkey-personal-access-tokens']
})

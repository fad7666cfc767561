import type { FastifyPluginAsync } from 'fastify'
import audit from './audit/index.js'
import clients from './clients/index.js'
import health from './health/index.js'
import introspect from './introspect/index.js'
import keys from './keys/index.js'
import login from './login/index.js'
import logout from './logout/index.js'
import metrics from './metrics/index.js'
import openapi from './openapi/index.js'
import refresh from './refresh/index.js'
import register from './register/index.js'
import revocations from './revocations/index.js'
import revoke from './revoke/index.js'
import sessions from './sessions/index.js'
import statusLists from './status-lists/index.js'
import token from './token/index.js'
import account from './users/account.js'
import users from './users/collection.js'
import me from './users/me.js'
import userKeys from './users/keys.js'
import userSessions from './users/sessions.js'
import verify from './verify/index.js'
import jwks from './well-known/jwks.js'
import serverMetadata from './well-known/oauth-authorization-server.js'

/** The routes in the order of the OpenAPI document, each plugin in a scope of its own. */
const ROUTES: ReadonlyArray<[prefix: string, plugin: FastifyPluginAsync]> = [
  ['/audit', audit],
  ['/clients', clients],
  ['/health', health],
  ['/introspect', introspect],
  ['/keys', keys],
  ['/login', login],
  ['/logout', logout],
  ['/metrics', metrics],
  ['/openapi.json', openapi],
  ['/refresh', refresh],
  ['/register', register],
  ['/revocations', revocations],
  ['/revoke', revoke],
  ['/sessions', sessions],
  ['/status-lists', statusLists],
  ['/token', token],
  ['/users', account],
  ['/users', users],
  ['/users', me],
  ['/users', userSessions],
  ['/users', userKeys],
  ['/verify', verify],
  ['/.well-known', jwks],
  ['/.well-known', serverMetadata]
]

// This is a list and not a search of the folder, because bundlers do not see files that are found at run time.
const routes: FastifyPluginAsync = async function routes (app) {
  for (const [prefix, plugin] of ROUTES) await app.register(plugin, { prefix })
}

export default routes

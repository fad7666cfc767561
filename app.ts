import fp from 'fastify-plugin'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import type { Latchkey as Services } from './lib/latchkey.js'
import { assertThreadsCanStart } from './lib/passwords/workers.js'
import audit, { kAudit } from './plugins/audit.js'
import authentication, { kAuthenticator } from './plugins/authentication.js'
import clientAuthentication from './plugins/client-authentication.js'
import clients, { kClients } from './plugins/clients.js'
import contentTypes from './plugins/content-types.js'
import cookies from './plugins/cookies.js'
import cors from './plugins/cors.js'
import database from './plugins/database.js'
import './plugins/guards/decorators.js'
import discovery, { kServerMetadata, serveAtRoot } from './plugins/discovery.js'
import docsPage from './plugins/docs-page.js'
import errors from './plugins/errors.js'
import events from './plugins/events.js'
import { createHostGuards } from './plugins/guards/host-guards.js'
import { serveHomePage } from './plugins/home-page.js'
import hostLogins, { kHostLogins } from './plugins/host-logins.js'
import type { HostLogins } from './plugins/host-logins.js'
import introspection from './plugins/introspection.js'
import issuing from './plugins/issuing.js'
import keys, { kKeys } from './plugins/keys.js'
import loadShedding from './plugins/load-shedding.js'
import logins from './plugins/logins.js'
import metrics from './plugins/metrics.js'
import notFound from './plugins/not-found.js'
import openapi from './plugins/openapi.js'
import passwords from './plugins/passwords.js'
import purge from './plugins/purge.js'
import rateLimit from './plugins/rate-limit.js'
import revocationFeed from './plugins/revocation-feed.js'
import ledger from './plugins/ledger.js'
import revocations, { kRevocations } from './plugins/revocations.js'
import roles from './plugins/roles.js'
import { markUnguarded, secureRoutes } from './plugins/guards/secure-route.js'
import securityHeaders from './plugins/security-headers.js'
import sharedSettings from './plugins/shared-settings.js'
import serviceMetrics from './plugins/service-metrics.js'
import personalAccessTokens, { kPersonalAccessTokens } from './plugins/personal-access-tokens.js'
import sessions, { kSessions } from './plugins/sessions.js'
import statusLists from './plugins/status-lists.js'
import throttle from './plugins/throttle.js'
import settings, { kServicesOnly, kSettings, kStandalone } from './plugins/settings.js'
import tokens, { kTokens } from './plugins/tokens.js'
import users, { kBuiltInUsers } from './plugins/users.js'
import validation from './plugins/validation.js'
import routes from './routes/index.js'
import type { LatchkeyOptions } from './schemas/options.js'

/** `app.latchkey`: the services behind the routes, and the logins for routes of your own. */
export interface Latchkey extends Services, HostLogins {}

declare module 'fastify' {
  interface FastifyInstance {
    /** The services behind the routes, and the logins for routes of your own. */
    latchkey: Latchkey
  }
}

const hostGuards = createHostGuards('fastify-latchkey')
export const { authenticate, authenticateOptional, requireScopes, requireRecentLogin } = hostGuards

/**
 * Token authentication for Fastify: the routes under `prefix`, and the guards for the host's own routes. The host sees
 * only the guards, `latchkey` and `request.user`.
 */
const latchkey: FastifyPluginAsync<LatchkeyOptions> = async function latchkey (app, options) {
  assertThreadsCanStart()
  // If the host registered @fastify/swagger first, its document includes these routes and schemes: see
  // `plugins/openapi.ts`.
  const hostHasDocument = app.hasDecorator('swagger')
  secureRoutes(app, {
    find: hostGuards.find,
    isDocumented: instance => hostHasDocument || instance[kSettings]?.docs
  })

  /** Registers the hooks that run before every route of Latchkey. In the service they apply to the whole app. */
  async function registerShell (around: FastifyInstance): Promise<void> {
    await around.register(settings, { options })
    if (app.hasDecorator(kServicesOnly)) return
    await around.register(errors)
    await around.register(metrics)
    await around.register(securityHeaders)
    await around.register(cors)
    await around.register(loadShedding)
    if (around === app || around.prefix !== '') await around.register(notFound)
  }
  const isStandalone = app.hasDecorator(kStandalone)
  if (isStandalone) await registerShell(app)

  // fastify-plugin creates no scope, so Fastify does not apply `prefix`. This scope applies it.
  await app.register(async function latchkeyScope (scope) {
    scope.addHook('onRoute', markUnguarded)
    if (!isStandalone) await registerShell(scope)
    const { decorators, docs, issuer } = scope[kSettings]
    hostGuards.assertFree(app, decorators, ['latchkey'])
    await scope.register(events)
    await scope.register(database)
    await scope.register(sharedSettings)
    await scope.register(audit)
    await scope.register(ledger)
    await scope.register(revocations)
    await scope.register(keys)
    await scope.register(passwords)
    await scope.register(throttle)
    await scope.register(clients)
    await scope.register(users)
    await scope.register(statusLists)
    await scope.register(sessions)
    await scope.register(tokens)
    await scope.register(personalAccessTokens)
    await scope.register(purge)
    decorateServices(app, scope)
    if (app.hasDecorator(kServicesOnly)) return

    await scope.register(validation)
    await scope.register(contentTypes)
    await scope.register(cookies)
    await scope.register(authentication)
    await scope.register(issuing)
    await scope.register(logins)
    await scope.register(rateLimit)
    await scope.register(hostLogins)
    Object.assign(app.latchkey, scope[kHostLogins])
    await scope.register(clientAuthentication)
    await scope.register(introspection)
    await scope.register(revocationFeed)
    await scope.register(serviceMetrics)

    await scope.register(discovery)
    await scope.register(openapi)
    await scope.register(docsPage)
    await scope.register(routes)
    // Last, because a start that fails must revoke nothing.
    await scope.register(roles)
    serveAtRoot(app, { issuer, metadata: scope[kServerMetadata] })
    if (isStandalone) serveHomePage(app, { prefix: scope.prefix, docs })
    hostGuards.register(app, scope[kAuthenticator], decorators)
  }, { prefix: options.prefix ?? '' })
}

function decorateServices (app: FastifyInstance, scope: FastifyInstance): void {
  const builtInUsers = scope[kBuiltInUsers]
  const services: Services = {
    get users () {
      if (builtInUsers === undefined) {
        throw new Error(
          'This app manages its users itself (option users): use its own user store instead of app.latchkey.users'
        )
      }
      return builtInUsers
    },
    sessions: scope[kSessions],
    personalAccessTokens: scope[kPersonalAccessTokens],
    clients: scope[kClients],
    revocations: scope[kRevocations],
    tokens: scope[kTokens],
    audit: scope[kAudit],
    keys: scope[kKeys],
    scopes: scope[kSettings].catalogue,
    roles: scope[kSettings].roles
  }
  // An app with routes also gets the logins: see `latchkeyScope`.
  app.decorate('latchkey', services as Latchkey)
}

const plugin: FastifyPluginAsync<LatchkeyOptions> = fp(latchkey, { name: 'fastify-latchkey', fastify: '5.x' })
export default plugin
export { plugin as latchkey }

export { LatchkeyError } from './lib/errors.js'
export type { AccessTokenClaims, AuthenticatedUser } from './lib/identity/access-token.js'
export type { PersonalAccessToken } from './lib/personal-access-tokens/rows.js'
export type {
  NewPersonalAccessToken, PersonalAccessTokens
} from './lib/personal-access-tokens/personal-access-tokens.js'
export type { Keys, VerifyOnlyRules } from './lib/keys/administration.js'
export type { KeyView } from './lib/keys/keyring.js'

export type * from './plugins/guards/decorators.js'
export type { Credential } from './plugins/guards/accepts.js'
export type { Guard, Guards } from './plugins/guards/guards.js'
export type { Confirmation } from './lib/sessions/login.js'
export type { HostLogins, LoginChecks, LoginCredentials, LoginDetails } from './plugins/host-logins.js'
export type { Login, Reissued } from './plugins/issuing.js'
export type * from './plugins/guards/public-routes.js'
export type { ErrorCode } from './schemas/errors.js'
export type { LatchkeyOptions } from './schemas/options.js'
export type { Actor, EventHook, EventType, SecurityEvent } from './schemas/events.js'
export type { ClaimsHook, User, UserDirectory } from './schemas/host.js'
// Only `export *` lets an app's declaration for this module extend the interfaces.
export type * from './schemas/scopes.js'
export type * from './schemas/user-ids.js'

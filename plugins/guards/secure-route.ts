import { subscribe } from 'node:diagnostics_channel'
import type { FastifyInstance, RouteOptions } from 'fastify'
import { dropStrayChallenge } from '../adapters/challenge.js'
import { noteAccepts, readAccepts } from './accepts.js'
import type { Credential } from './accepts.js'
import { createErrorHook, requirementOf } from './guards.js'
import type { GuardSource, Requirement } from './guards.js'
import { INEFFECTIVE, ineffective } from './hook-lists.js'
import { CHECKED, OWN_GUARDED, OWN_PUBLIC } from './public-routes.js'

const kWatched = Symbol('latchkey.watched')

// Fastify publishes each app when it is created. So a route that is declared before the registration is checked too.
subscribe('fastify.initialization', message => watchRoutes((message as { fastify: FastifyInstance }).fastify))

/**
 * Adds the hooks that guards need to an app.
 * @param source.isDocumented - whether to add OpenAPI `security` to a route. @fastify/swagger fails on schemes that its
 * document lacks.
 */
export function secureRoutes (
  app: FastifyInstance,
  { find, isDocumented }: Pick<GuardSource, 'find'> & { isDocumented: (instance: FastifyInstance) => boolean }
): void {
  watchRoutes(app)
  app.addHook('onError', createErrorHook(find))
  app.addHook('onSend', dropStrayChallenge)
  app.addHook('onRoute', function documentRoute (route) {
    if (isDocumented(this)) addSecurity(route, find(this)?.accepts ?? ['token'])
  })
}

/**
 * Secures each route when it is declared. Checks it again when the app starts, because a hook of the host may have
 * changed it.
 */
function watchRoutes (app: FastifyInstance): void {
  if (Reflect.has(app, kWatched)) return
  Reflect.defineProperty(app, kWatched, { value: true })
  const routes: RouteOptions[] = []
  app.addHook('onRoute', function secureRoute (route) {
    noteAccepts(app, route)
    secure(route)
    routes.push(route)
  })
  app.addHook('onReady', async function checkRoutes () {
    for (const route of routes.splice(0)) requirementsOf(route)
  })
}

/** If a route's hooks hold a guard, it authenticates at onRequest, before a body is read and validated. */
function secure (route: RouteOptions): void {
  const requirements = requirementsOf(route)
  if (route.config?.latchkey === 'public') route.config = { ...route.config, ...CHECKED }
  const first = strictestOf(requirements)
  if (first === undefined) return

  const onRequest = [route.onRequest ?? []].flat()
  if (!onRequest.includes(first.early)) route.onRequest = [first.early, ...onRequest]
  // It runs again when the body has arrived: see `createAuthenticator`.
  const preHandler = [route.preHandler ?? []].flat()
  if (requirementOf(preHandler[0]) === undefined) route.preHandler = [first.early, ...preHandler]
}

/**
 * Only an oauth2 scheme can list the scopes that a route needs.
 * @param byDefault - what routes accept by default.
 */
function addSecurity (route: RouteOptions, byDefault: readonly Credential[]): void {
  const requirements = requirementsOf(route)
  const first = strictestOf(requirements)
  if (first === undefined) return
  const scopes = [...new Set(requirements.flatMap(requirement => requirement.scopes))]
  const accepts = readAccepts(route) ?? byDefault
  const security: Array<Record<string, readonly string[]>> = [
    ...accepts.includes('token') ? [{ oauth2: scopes }, { bearer: [] }, { cookie: [] }] : [],
    ...accepts.includes('key') ? [{ key: [] }] : []
  ]
  if (first.isOptional) security.push({})
  route.schema = { security, ...route.schema }
}

function strictestOf (requirements: readonly Requirement[]): Requirement | undefined {
  return requirements.find(({ isOptional }) => !isOptional) ?? requirements[0]
}

/**
 * An `onRoute` hook for our own scope: routes that we have not guarded stay public under the guards of the host, and
 * guarded ones accept personal access tokens only if their config lists them.
 */
export function markUnguarded (route: RouteOptions): void {
  route.config = requirementsOf(route).some(({ isOurs }) => isOurs)
    // The option `accepts` applies only to the routes of the host.
    ? { latchkey: { accepts: ['token'] }, ...route.config, ...OWN_GUARDED }
    : { ...route.config, ...OWN_PUBLIC }
}

/**
 * Returns the requirements of the guards among a route's hooks. Throws a TypeError if one of them would protect
 * nothing, or contradicts the route.
 */
function requirementsOf (route: RouteOptions): Requirement[] {
  for (const hook of INEFFECTIVE) {
    if (guardsIn(route[hook]).length > 0) throw ineffective(`the ${hook} hook of ${nameOf(route)}`)
  }
  const requirements = [route.onRequest, route.preValidation, route.preHandler].flatMap(guardsIn)
  if (requirements.length > 0 && route.config?.latchkey === 'public') {
    throw new TypeError(`${nameOf(route)} is public (config.latchkey) and has a guard. Remove one of them.`)
  }
  return requirements
}

function guardsIn (hooks: unknown): Requirement[] {
  return [hooks].flat().map(requirementOf).filter(requirement => requirement !== undefined)
}

function nameOf ({ method, url }: RouteOptions): string {
  return `${String(method)} ${url}`
}

import type { FastifyInstance, RouteOptions } from 'fastify'
import { requirementOf, sendChallenge } from './guards.js'
import type { Requirement } from './guards.js'
import { INEFFECTIVE, ineffective } from './hook-lists.js'
import { OWN_PUBLIC } from './public-routes.js'

/**
 * Adds to an app what its guards need around them.
 * @param isDocumented - whether a route's OpenAPI `security` is of use: @fastify/swagger fails on schemes that its document lacks.
 */
export function secureRoutes (app: FastifyInstance, isDocumented: (instance: FastifyInstance) => boolean): void {
  app.addHook('onError', sendChallenge)
  app.addHook('onRoute', function secureRoute (route) {
    secure(route, isDocumented(this))
  })
}

/**
 * If a route's hooks hold a guard, it authenticates at onRequest, before a body is read and validated, and its OpenAPI `security`
 * shows it. A route that was declared earlier is guarded all the same.
 */
function secure (route: RouteOptions, isDocumented: boolean): void {
  const requirements = requirementsOf(route)
  const first = requirements.find(({ isOptional }) => !isOptional) ?? requirements[0]
  if (first === undefined) return
  if (route.config?.latchkey === 'public') throw new TypeError(`${nameOf(route)} is public (config.latchkey) and has a guard. Remove one of them.`)

  const onRequest = [route.onRequest ?? []].flat()
  if (!onRequest.includes(first.early)) route.onRequest = [first.early, ...onRequest]
  // Again when the body is there: see `Authenticator.authenticate`.
  const preHandler = [route.preHandler ?? []].flat()
  if (requirementOf(preHandler[0]) === undefined) route.preHandler = [first.early, ...preHandler]

  if (!isDocumented) return
  const scopes = [...new Set(requirements.flatMap(requirement => requirement.scopes))]
  // Only an oauth2 scheme can list the scopes that it needs.
  const security: Array<Record<string, readonly string[]>> = [{ oauth2: scopes }, { bearer: [] }, { cookie: [] }, ...(first.isOptional ? [{}] : [])]
  route.schema = { security, ...route.schema }
}

/** An `onRoute` hook for our own scope: the routes there without a guard stay public under the guards of the host. */
export function markUnguarded (route: RouteOptions): void {
  if (requirementsOf(route).length === 0) route.config = { ...route.config, ...OWN_PUBLIC }
}

/** What the guards among a route's hooks require. Throws a TypeError if one of them would protect nothing. */
function requirementsOf (route: RouteOptions): Requirement[] {
  for (const hook of INEFFECTIVE) {
    if ([route[hook]].flat().some(guard => requirementOf(guard) !== undefined)) throw ineffective(`the ${hook} hook of ${nameOf(route)}`)
  }
  return [route.onRequest, route.preValidation, route.preHandler].flat().map(requirementOf).filter(requirement => requirement !== undefined)
}

function nameOf ({ method, url }: RouteOptions): string {
  return `${String(method)} ${url}`
}

import type { FastifyInstance, FastifyRequest, RouteOptions } from 'fastify'
import type { AuthenticatedUser } from '../../lib/identity/access-token.js'

/** A kind of credential that a request can carry: an access token, or a personal access token. */
export type Credential = AuthenticatedUser['credential']

const CREDENTIALS: readonly Credential[] = ['token', 'key']

/** The `config` of our own routes that also accept personal access tokens. */
export const ACCEPTS_KEYS = { latchkey: { accepts: CREDENTIALS } }

/** Set on an app that has a route that refuses access tokens. Other apps need not check their routes. */
const kHasKeyRoutes = Symbol('latchkey.hasKeyRoutes')

declare module 'fastify' {
  interface FastifyInstance {
    [kHasKeyRoutes]?: true
  }
}

/**
 * Returns what a route accepts, or undefined if the default of the app applies. Throws a TypeError for a bad object.
 * Any other value leaves the route guarded, as if it had none.
 */
export function readAccepts ({ config, method, url }: RouteOptions): readonly Credential[] | undefined {
  const given: unknown = config?.latchkey
  if (typeof given !== 'object' || given === null) return undefined
  const { accepts, ...unknown } = given as { accepts?: unknown }
  const isLegal = accepts === undefined ||
    (Array.isArray(accepts) && accepts.length > 0 && accepts.every(kind => CREDENTIALS.includes(kind)))
  if (isLegal && Object.keys(unknown).length === 0) return accepts
  throw new TypeError(
    `${String(method)} ${url} has an invalid config.latchkey: it must be 'public', or { accepts } with a list of ` +
    "'token' (an access token) and 'key' (a personal access token)"
  )
}

/** Notes what a route accepts. */
export function noteAccepts (app: FastifyInstance, route: RouteOptions): void {
  if (readAccepts(route)?.includes('token') === false) {
    Reflect.defineProperty(app, kHasKeyRoutes, { value: true, configurable: true })
  }
}

/**
 * Whether a request may carry this kind of credential.
 * @param byDefault - what routes accept by default.
 */
export function isAccepted (
  kind: Credential, request: FastifyRequest, byDefault: readonly Credential[]
): boolean {
  const isDefault = byDefault.includes(kind)
  // Reading the options of a route costs more than everything else that a guard does.
  if (kind === 'token' && isDefault && request.server[kHasKeyRoutes] === undefined) return true
  const own = request.routeOptions.config?.latchkey
  return (typeof own === 'object' ? own?.accepts?.includes(kind) : undefined) ?? isDefault
}

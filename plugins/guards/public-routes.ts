import type { FastifyRequest } from 'fastify'
import type { Credential } from './accepts.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * `public`: a guard that is a hook of the app or of a plugin lets requests to this route through. `accepts`: the
     * kinds of credentials that guards of this route accept, `token` (an access token) or `key` (a personal access
     * token). Default: the option `accepts` of the plugin.
     */
    latchkey?: 'public' | { accepts: readonly Credential[] }
  }
}

/**
 * Marks the `config` of our own routes that need no guard. It is a symbol, so that no other route has it by accident.
 */
const kOwnPublicRoute = Symbol('latchkey.ownPublicRoute')

/** The `config` of a route of ours that stays public, whatever guard the host puts around its app. */
export const OWN_PUBLIC: object = { [kOwnPublicRoute]: true }

/** Marks the `config` of our own routes that have a guard. */
const kOwnGuardedRoute = Symbol('latchkey.ownGuardedRoute')

/** The `config` of a route of ours that has a guard of ours. */
export const OWN_GUARDED: object = { [kOwnGuardedRoute]: true }

/** Whether this is one of our own routes that have a guard. */
export function isOwnGuardedRoute ({ routeOptions: { config } }: FastifyRequest): boolean {
  return config !== undefined && kOwnGuardedRoute in config
}

/** Marks the `config` of a public route of the host that has been checked to have no guard of its own. */
const kChecked = Symbol('latchkey.checked')

/** The `config` of such a route. */
export const CHECKED: object = { [kChecked]: true }

/** Whether this is one of our own public routes. */
export function isOwnPublicRoute ({ routeOptions: { config } }: FastifyRequest): boolean {
  // Fastify has no config for an unknown path.
  return config !== undefined && kOwnPublicRoute in config
}

/** Whether the host has exempted this route from the guards around it. A route that was not checked stays closed. */
export function isPublicRoute ({ routeOptions: { config } }: FastifyRequest): boolean {
  return config?.latchkey === 'public' && kChecked in config
}

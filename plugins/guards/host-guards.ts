import type { FastifyInstance } from 'fastify'
import type { Authenticator } from './authenticator.js'
import { createGuards } from './guards.js'
import type { Guards } from './guards.js'

/** The guards that one of our plugins gives its host, to import and as decorators. */
export interface HostGuards extends Guards {
  /** Lets the imported guards find this registration, and decorates the app with guards that belong only to it. */
  register (app: FastifyInstance, authenticator: Authenticator): void
}

/**
 * Makes the guards that one of our plugins exports.
 * @param plugin - the name that an app imports it by, for errors.
 */
export function createHostGuards (plugin: string): HostGuards {
  const kRegistration = Symbol(`${plugin}.registration`)
  const { authenticate, authenticateOptional, requireScopes } = createGuards({
    plugin,
    find: instance => (instance as { [kRegistration]?: Authenticator })[kRegistration],
    exempts: true
  })

  return {
    authenticate,
    authenticateOptional,
    requireScopes,
    register (app, authenticator) {
      const guards = createGuards({ authenticator, find: () => authenticator, plugin, exempts: true })
      app.decorate(kRegistration, authenticator)
      app.decorate('authenticate', guards.authenticate)
      app.decorate('authenticateOptional', guards.authenticateOptional)
      app.decorate('requireScopes', guards.requireScopes)
    }
  }
}

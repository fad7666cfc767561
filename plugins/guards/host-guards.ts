import type { FastifyInstance } from 'fastify'
import type { DecoratorNames } from '../../lib/options/decorators.js'
import type { Authenticator } from './authenticator.js'
import { createGuards } from './guards.js'
import type { Guards, GuardSource } from './guards.js'

/** The guards that one of our plugins gives its host, to import and as decorators. */
export interface HostGuards extends Guards, Pick<GuardSource, 'find'> {
  /**
   * Throws if the plugin is already registered here, or if a name that it needs is taken.
   * @param names - the names of the guards, or undefined for no decorators.
   * @param others - further names that it needs, which no option changes.
   */
  assertFree (app: FastifyInstance, names: DecoratorNames | undefined, others?: readonly string[]): void
  /**
   * Lets the imported guards find this registration, and decorates the app with guards that belong only to it, unless
   * `names` is undefined.
   */
  register (app: FastifyInstance, authenticator: Authenticator, names: DecoratorNames | undefined): void
}

/**
 * Makes the guards that one of our plugins exports.
 * @param plugin - the name that an app imports it by, for errors.
 */
export function createHostGuards (plugin: string): HostGuards {
  const kRegistration = Symbol(`${plugin}.registration`)
  const find: GuardSource['find'] = instance => (instance as { [kRegistration]?: Authenticator })[kRegistration]
  const guards = createGuards({ plugin, find, exempts: true })
  const { authenticate, authenticateOptional, requireScopes, requireRecentLogin } = guards

  return {
    find,
    authenticate,
    authenticateOptional,
    requireScopes,
    requireRecentLogin,
    assertFree (app, names, others = []) {
      if (Object.hasOwn(app, kRegistration)) {
        throw new Error(
          `Latchkey: ${plugin} is registered twice in the same app or plugin. ` +
          'Remove one of the two, or register each in a plugin of its own without fastify-plugin.'
        )
      }
      for (const name of others) {
        if (Object.hasOwn(app, name)) {
          throw new Error(`Latchkey: app.${name} is already taken. Decorate your app with another name.`)
        }
      }
      for (const [guard, name] of Object.entries(names ?? {})) {
        if (!others.includes(name) && !isTaken(app, guard, name)) continue
        throw new Error(
          `Latchkey: app.${name} is already taken. Name Latchkey's guard with the option decorators, for example ` +
          `{ ${guard}: '${guard}Token' }. Or set decorators to false, and import the guards from ${plugin}.`
        )
      }
    },
    register (app, authenticator, names) {
      app.decorate(kRegistration, authenticator)
      if (names === undefined) return
      const guards = createGuards({ authenticator, find: () => authenticator, plugin, exempts: true })
      app.decorate(names.authenticate, guards.authenticate)
      app.decorate(names.authenticateOptional, guards.authenticateOptional)
      app.decorate(names.requireScopes, guards.requireScopes)
    }
  }
}

/**
 * A plugin may hide a decorator of the app around it, as Fastify allows. A name that the app has chosen must not also
 * hide a method of Fastify.
 */
function isTaken (app: FastifyInstance, guard: string, name: string): boolean {
  return Object.hasOwn(app, name) || (name !== guard && name in app)
}

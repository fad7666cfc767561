import fp from 'fastify-plugin'
import { readOptions } from '../lib/options/options.js'
import type { Settings } from '../lib/options/options.js'

export const kSettings = Symbol('latchkey.settings')

/**
 * Set on an app that holds only Latchkey, like the service's. Its unknown paths and the headers of all its responses
 * are ours too.
 */
export const kStandalone = Symbol('latchkey.standalone')

/**
 * Set on an app that needs only the services behind the routes, like the command line's. It registers and loads no
 * route.
 */
export const kServicesOnly = Symbol('latchkey.servicesOnly')

/**
 * Set on an app that lists or revokes keys. It opens even with a wrong secret, so that damaged keys can be found and
 * removed.
 */
export const kRepair = Symbol('latchkey.repair')

/** Set on an app that must not create its database, for example by a command that only reads or changes data. */
export const kExistingDatabase = Symbol('latchkey.existingDatabase')

declare module 'fastify' {
  interface FastifyInstance {
    [kSettings]: Settings
    [kStandalone]?: true
    [kServicesOnly]?: true
    [kRepair]?: true
    [kExistingDatabase]?: true
  }
}

/** Checks the options before anything is opened, so that a wrong one stops the boot and leaves nothing behind. */
export default fp<{ options: unknown }>(async function latchkeySettings (app, { options }) {
  app.decorate(kSettings, readOptions(options))
}, { name: 'latchkey-settings', fastify: '5.x' })

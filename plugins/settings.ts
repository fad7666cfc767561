import fp from 'fastify-plugin'
import { readOptions } from '../lib/options/options.js'
import type { Settings } from '../lib/options/options.js'

export const kSettings = Symbol('latchkey.settings')

/** On an app that holds nothing but Latchkey, as the service's does: its unknown paths, and the headers of all its answers, are ours too. */
export const kStandalone = Symbol('latchkey.standalone')

/** On an app that wants only the services behind the routes, as the command line does: no route is registered, and nothing is loaded for one. */
export const kServicesOnly = Symbol('latchkey.servicesOnly')

/**
 * Set on an app that lists or revokes keys. It opens even with a wrong secret, so that damaged keys can be found and
 * removed.
 */
export const kRepair = Symbol('latchkey.repair')

declare module 'fastify' {
  interface FastifyInstance {
    [kSettings]: Settings
    [kStandalone]?: true
    [kServicesOnly]?: true
    [kRepair]?: true
  }
}

/** Checks the options before anything is opened: a wrong one stops the boot and leaves nothing behind. */
export default fp<{ options: unknown }>(async function latchkeySettings (app, { options }) {
  app.decorate(kSettings, readOptions(options))
}, { name: 'latchkey-settings', fastify: '5.x' })

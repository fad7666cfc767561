import fp from 'fastify-plugin'
import { readOptions } from '../lib/options.js'
import type { Settings } from '../lib/options.js'

export const kSettings = Symbol('latchkey.settings')

declare module 'fastify' {
  interface FastifyInstance {
    [kSettings]: Settings
  }
}

/** Checks the options before anything is opened: a wrong one stops the boot and leaves nothing behind. */
export default fp<{ options: unknown }>(async function latchkeySettings (app, { options }) {
  app.decorate(kSettings, readOptions(options))
}, { name: 'latchkey-settings', fastify: '5.x' })

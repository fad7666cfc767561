import fp from 'fastify-plugin'
import { createPasswords } from '../lib/passwords/pool.js'
import type { Passwords } from '../lib/passwords/pool.js'
import { kSettings } from './settings.js'

export const kPasswords = Symbol('latchkey.passwords')

declare module 'fastify' {
  interface FastifyInstance {
    [kPasswords]: Passwords
  }
}

/** Creates the threads that hash passwords, because the event loop must never do that. */
export default fp(async function latchkeyPasswords (app) {
  const passwords = createPasswords({ cost: app[kSettings].bcryptCost })
  app.addHook('onClose', () => passwords.close())
  app.decorate(kPasswords, passwords)
}, { name: 'latchkey-passwords', fastify: '5.x', dependencies: ['latchkey-settings'] })

import fp from 'fastify-plugin'
import { createCookies } from './adapters/token-cookies.js'
import type { Cookies } from './adapters/token-cookies.js'
import { kSettings } from './settings.js'

export const kCookies = Symbol('latchkey.cookies')

declare module 'fastify' {
  interface FastifyInstance {
    [kCookies]: Cookies
  }
}

/** The cookie transport (RFC 6265bis). The names begin with `__Host-` if the deployment supports Secure cookies. */
export default fp(async function latchkeyCookies (app) {
  app.decorate(kCookies, await createCookies(app[kSettings]))
}, { name: 'latchkey-cookies', fastify: '5.x', dependencies: ['latchkey-settings'] })

import '@fastify/jwt'
import type { AuthenticatedUser } from '../lib/access-token.js'
import type { Guards } from './guards.js'

// What the full plugin and that of the verifier give their host alike: declared once, so that an app may import both.

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Lets a request through with a valid access token, else ends it with 401. Use it as the `onRequest` hook of a route; it then
     * runs again when the body is there. As a hook of a whole scope, add it at `preHandler` too where bodies may come slowly.
     */
    authenticate: Guards['authenticate']
    /**
     * Makes a guard that lets a request through whose token carries all these scopes, else ends it with 401 or 403. Use it as a
     * `preHandler`: authentication then runs at onRequest, before the body is read. Throws at once for a scope that is not in the catalogue.
     */
    requireScopes: Guards['requireScopes']
  }
}

declare module '@fastify/jwt' {
  // By inheritance: a host that declares a `user` of its own for @fastify/jwt keeps it, instead of a clash of two declarations.
  interface FastifyJWT extends LatchkeyJwt {}
}

/** What `request.user` is, unless the host's own declaration for @fastify/jwt says otherwise. */
export interface LatchkeyJwt {
  /** Who the request comes from, in guarded routes. */
  user: AuthenticatedUser
}

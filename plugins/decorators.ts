import '@fastify/jwt'
import type { AuthenticatedUser } from '../lib/identity/access-token.js'
import type { Guards } from './guards.js'

// What the full plugin and that of the verifier give their host alike: declared once, so that an app may import both.

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Rejects requests without a valid access token (401). Use it as the `onRequest` hook of a route. It then runs
     * again when the body has arrived. As a hook of a plugin or of the whole app, add it at `preHandler` too if bodies
     * may arrive slowly.
     */
    authenticate: Guards['authenticate']
    /** Like `authenticate`, but lets requests without a token through. Await it to get the user, or undefined. */
    authenticateOptional: Guards['authenticateOptional']
    /**
     * Makes a guard that requires all listed scopes (401, 403). Use it as a `preHandler`. Authentication then runs at
     * `onRequest`, before the body is read. Throws at once for an unknown scope.
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

import '@fastify/jwt'
import type { AuthenticatedUser } from '../../lib/identity/access-token.js'
import type { Guards } from './guards.js'

// The decorators that both the full plugin and the verifier's plugin add to their host. They are declared once, so that
// an app can import both.

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
  // This inherits, so that a host can declare a `user` of its own for @fastify/jwt. Two declarations would conflict.
  interface FastifyJWT extends LatchkeyJwt {}
}

/** The type of `request.user`, unless the host declares another one for @fastify/jwt. */
export interface LatchkeyJwt {
  /** The sender of the request, in guarded routes. */
  user: AuthenticatedUser
}

import type { FastifyInstance } from 'fastify'
import type { AuthenticatedUser } from '../../lib/identity/access-token.js'
import type { Guards } from './guards.js'

// The decorators that both the full plugin and the verifier's plugin add to their host. They are declared once, so that
// an app can import both. Fastify's interfaces inherit them, so that a declaration of the app wins. Two declarations
// would conflict.

declare module 'fastify' {
  interface FastifyInstance extends Omit<LatchkeyDecorators, keyof OwnDeclarations> {}
  interface FastifyRequest extends Omit<LatchkeyRequest, keyof OwnDeclarations | UserOfFastifyJwt> {}
}

/**
 * What your app declares itself, or does not have: `authenticate`, `authenticateOptional`, `requireScopes` or `user`.
 * Latchkey then declares no type for it. Empty unless your app extends it.
 */
export interface OwnDeclarations {}

/** The guards as decorators of the app. */
export interface LatchkeyDecorators {
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

/** The type of `request.user`, unless the app or @fastify/jwt declares it. */
export interface LatchkeyRequest {
  /** The sender of the request, in guarded routes. */
  user: AuthenticatedUser
}

/** @fastify/jwt declares `request.user` itself. Its types are in the program if the app has `app.jwt`. */
type UserOfFastifyJwt = 'jwt' extends keyof FastifyInstance ? 'user' : never

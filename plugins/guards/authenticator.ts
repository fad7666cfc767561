import type { FastifyReply, FastifyRequest } from 'fastify'
import type { AuthenticatedUser } from '../../lib/identity/access-token.js'
import { LatchkeyError } from '../../lib/errors.js'
import type { KeyAcceptance } from '../../lib/personal-access-tokens/key-acceptance.js'
import { isKey } from '../../lib/personal-access-tokens/value.js'
import type { Cookies } from '../adapters/token-cookies.js'
import { varyBy } from '../adapters/vary.js'
import { isAccepted } from './accepts.js'
import type { Credential } from './accepts.js'
import { isOwnGuardedRoute } from './public-routes.js'

/** What a registration of Latchkey gives its guards: the user of a request, and the known scopes. */
export interface Authenticator {
  /** The scheme that challenges name. */
  scheme: string
  /** What routes accept by default. */
  accepts: readonly Credential[]
  /**
   * Returns the user of a request, or a promise if the verification of the token must wait. It changes nothing.
   * @throws LatchkeyError `unauthenticated` without a token, otherwise with the code that says what is wrong with the
   * token.
   */
  authenticate (request: FastifyRequest): AuthenticatedUser | Promise<AuthenticatedUser>
  /** Lets a request through for its user, or without one. */
  admit (request: FastifyRequest, reply: FastifyReply, user: AuthenticatedUser | undefined): void
  /** Returns the user for whom `admit` let the request through, or undefined. */
  userOf (request: FastifyRequest): AuthenticatedUser | undefined
  /** The time in milliseconds. */
  now (): number
  /** Throws a RangeError that names the first unknown scope and lists the known ones. */
  assertKnown (scopes: readonly string[]): void
}

/** What guards need of `TokenVerification`. Its file would add the types of the store to the small package. */
interface TokenAcceptance {
  accept (token: string): Outcome
  confirm (token: string): Outcome
}

type Outcome = AuthenticatedUser | Promise<AuthenticatedUser>

const NOT_ACCEPTED: Readonly<Record<Credential, string>> = {
  token: 'This route accepts no access token: send a personal access token.',
  key: 'This route accepts no personal access token: send an access token.'
}

/** Creates the authenticator of one registration. */
export function createAuthenticator ({ tokens, keys, accepts, cookies, scheme, now, assertKnown }: {
  tokens: TokenAcceptance
  keys: KeyAcceptance
  /** What routes accept by default. */
  accepts: readonly Credential[]
  cookies: Pick<Cookies, 'readAccessToken' | 'readBearer'>
  scheme: string
  now: () => number
  assertKnown: (scopes: readonly string[]) => void
}): Authenticator {
  // `request.user` alone proves nothing: a hook of the host, another plugin or a second Latchkey may have set it.
  const kVerified = Symbol('latchkey.verified')
  type Guarded = FastifyRequest & { [kVerified]?: AuthenticatedUser }

  function accept (request: FastifyRequest, kind: Credential, text: string): Outcome {
    if (kind === 'token') return tokens.accept(text)
    // A login puts access tokens into cookies, and nothing else.
    if (cookies.readBearer(request) === undefined) throw new LatchkeyError('invalid_token')
    return keys.accept(text, request.ip)
  }

  /** Checks the credential of a request again after the request was admitted as `known`. */
  function confirm (request: FastifyRequest, kind: Credential, text: string): Outcome {
    return kind === 'token' ? tokens.confirm(text) : keys.confirm(text, request.ip)
  }

  return {
    scheme,
    accepts,
    authenticate (request: Guarded) {
      const known = request[kVerified]
      const isAdmitted = known !== undefined && request.user === known
      // A second check costs little, and a request with a body needs one, because a slow sender must not outlive a
      // revocation. It may outlive the expiry, so that a long upload is not lost.
      if (isAdmitted && !hasBody(request)) return known
      const text = cookies.readAccessToken(request)
      const kind = isKey(text) ? 'key' : 'token'
      if (!isAccepted(kind, request, accepts)) throw new LatchkeyError('invalid_token', { message: NOT_ACCEPTED[kind] })
      // Otherwise a slow sender could turn an expired token into an account or a key.
      if (!isAdmitted || isOwnGuardedRoute(request)) return accept(request, kind, text)
      // A hook of the host may have put another credential into the request.
      const check = (user: AuthenticatedUser): Outcome =>
        user.tokenId === known.tokenId ? known : accept(request, kind, text)
      const outcome = confirm(request, kind, text)
      return outcome instanceof Promise ? outcome.then(check) : check(outcome)
    },
    admit (request: Guarded, reply, user) {
      // A shared cache must not serve the response for an anonymous visitor to a user.
      if (user === undefined) return varyBy(reply, 'Authorization', 'Cookie')
      // A request may pass several guards. The next one has nothing to change if it finds the same user.
      if (request[kVerified] === user && request.user === user) return
      request[kVerified] = user
      request.user = user
      // A response to a token in the header is private by RFC 9111 section 3.5; one to a cookie is not.
      if (cookies.readBearer(request) === undefined) keepPrivate(reply)
    },
    userOf: (request: Guarded) => request[kVerified],
    now,
    assertKnown
  }
}

function hasBody ({ headers, body }: FastifyRequest): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined || body !== undefined
}

/** Keeps shared caches from giving one user's response to another, unless the host has already decided otherwise. */
function keepPrivate (reply: FastifyReply): void {
  if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'private')
  varyBy(reply, 'Cookie')
}

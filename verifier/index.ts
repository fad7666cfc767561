import type { AuthenticatedUser } from '../lib/identity/access-token.js'
import { LatchkeyError } from '../lib/errors.js'
import { BUILT_IN_SCOPES } from '../lib/identity/scopes.js'
import type { VerifierOptions } from '../schemas/verifier-options.js'
import { createParts } from './parts.js'
import { createPause } from './pause.js'
import { createReadiness } from './readiness.js'
import { readVerifierOptions } from './settings.js'
import { start } from './start.js'

/** The state of a verifier. */
export interface VerifierStatus {
  /**
   * Whether tokens are accepted. This needs keys, and current revocations. With `whenStale: 'introspect'`, asking the
   * service replaces the latter.
   */
  accepting: boolean
  /** Whether all revocations are known up to a moment within the bound. */
  fresh: boolean
  /** Milliseconds since that moment. Undefined if the feed has sent nothing yet, or there is no feed. */
  age: number | undefined
  /**
   * A sentence that says why tokens are not accepted, or why the verifier had to reconnect. Undefined if all is well.
   */
  error: string | undefined
}

/** Verifies the access tokens of a separate service, without a database and without a request for each token. */
export interface Verifier {
  /**
   * Resolves when tokens are accepted for the first time. Until then the verifier keeps trying, and `status()` and the
   * log say why. Rejects if the verifier is closed first.
   */
  ready (): Promise<void>
  /**
   * Returns the holder of this token, with the same members as in an app with the full plugin. Throws a `LatchkeyError`
   * with status 401 and the `code` `invalid_token`, `token_expired`, `token_revoked`, or, without a token,
   * `unauthenticated`. Throws `revocation_unknown` (status 503) if the revocation status is unknown. Returns a promise,
   * which rejects with the same errors, only if it must wait for the service.
   */
  verify (token: string | undefined): AuthenticatedUser | Promise<AuthenticatedUser>
  status (): VerifierStatus
  /** The names of all scopes. Undefined if the option `scopes` is not set and the service has not been reached yet. */
  scopes (): readonly string[] | undefined
  /** Closes all connections and timers. After that, no token is accepted. */
  close (): void
}

/**
 * Creates a verifier. It starts at once to read the endpoints of the service (RFC 8414), its keys (RFC 7517) and the
 * revocations. Until it has them, it rejects tokens with 503. Call `close` at the end, because the connection keeps the
 * process alive.
 * @throws TypeError if an option is invalid. The message names the option and its legal values.
 */
export function createVerifier (options: VerifierOptions): Verifier {
  const settings = readVerifierOptions(options)
  const { scopes } = settings
  const closing = new AbortController()
  const closed = closing.signal
  const readiness = createReadiness()
  const pause = createPause()
  const parts = createParts(settings, { closed, onProgress: noteIfAccepting })
  const { requests, discovery, keys, freshness, status, reporter, verification, client, feed, fallback } = parts

  function isAccepting (): boolean {
    return (
      !closed.aborted &&
      keys.areThere() &&
      (status.isKnown() || (fallback !== undefined && client?.isConfirmed() === true))
    )
  }

  function noteIfAccepting (): void {
    if (!isAccepting()) return
    if (status.isKnown()) reporter.accepting()
    readiness.resolve()
  }

  function recover (error: unknown, token: string): Promise<AuthenticatedUser> {
    if (
      closed.aborted ||
      fallback === undefined ||
      !(error instanceof LatchkeyError) ||
      error.code !== 'revocation_unknown'
    ) { throw error }
    return fallback(token)
  }

  start(parts, { pause, closed }).catch(reporter.failed)

  return {
    ready: () => readiness.promise,
    verify (token) {
      if (token === undefined) throw new LatchkeyError('unauthenticated')
      let outcome: AuthenticatedUser | Promise<AuthenticatedUser>
      try {
        outcome = verification.verify(token)
      } catch (error) {
        return recover(error, token)
      }
      return outcome instanceof Promise ? outcome.catch(error => recover(error, token)) : outcome
    },
    status () {
      const age = freshness.age()
      return {
        accepting: isAccepting(),
        fresh: freshness.isFresh(),
        age: age === Infinity ? undefined : age,
        error: reporter.error()
      }
    },
    scopes: () => scopes === undefined ? discovery.scopes() : Object.keys({ ...BUILT_IN_SCOPES, ...scopes }),
    close () {
      closing.abort()
      readiness.reject(new Error('The verifier was closed'))
      feed?.close()
      pause.close()
      requests.close()
    }
  }
}

export { challengeOf, readBearer } from '../lib/http/credentials.js'
export { LatchkeyError } from '../lib/errors.js'
export type { AccessTokenClaims, AuthenticatedUser } from '../lib/identity/access-token.js'
export type { ErrorCode } from '../schemas/errors.js'
export type { VerifierLog, VerifierOptions } from '../schemas/verifier-options.js'
export type * from '../schemas/user-ids.js'

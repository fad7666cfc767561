import type { AuthenticatedUser } from '../lib/identity/access-token.js'

/** The state of a verifier. */
export interface VerifierStatus {
  /**
   * Whether tokens are accepted. This needs keys, and current revocations. With `whenStale: 'introspect'`, the
   * verifier can ask the service instead of knowing the revocations.
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
  /** With the option `otherIssuers`, the state for each issuer. All other members then describe the worst of them. */
  issuers?: Readonly<Record<string, VerifierStatus>>
}

/** Verifies the access tokens of a separate service, without a database and without a request for each token. */
export interface Verifier {
  /**
   * Resolves when tokens of every issuer are accepted for the first time. Until then the verifier keeps trying, and
   * `status()` and the log say why. Rejects if the verifier is closed first.
   */
  ready (): Promise<void>
  /**
   * Returns the holder of this token, with the same members as in an app with the full plugin. Throws a `LatchkeyError`
   * with status 401 and the `code` `invalid_token`, `token_expired`, `token_revoked`, or, without a token,
   * `unauthenticated`. Throws `revocation_unknown` (status 503) if the revocation status is unknown. Returns a promise,
   * which rejects with the same errors, only if it must wait for the service.
   */
  verify (token: string | undefined): AuthenticatedUser | Promise<AuthenticatedUser>
  /**
   * Checks a token again that was accepted when its request arrived, for example after a long upload. The token may
   * have expired since then, but must not have been revoked. Returns and throws as `verify` does.
   */
  confirm (token: string | undefined): AuthenticatedUser | Promise<AuthenticatedUser>
  status (): VerifierStatus
  /**
   * The verifier's estimate of the service's time, in milliseconds. Compare claims such as `auth_time` with it, because
   * the clock of this machine may be wrong. With `otherIssuers`, it is the latest time of all services.
   */
  now (): number
  /** The names of all scopes. Undefined if the option `scopes` is not set and the service has not been reached yet. */
  scopes (): readonly string[] | undefined
  /**
   * Aborts the signals of all users, including those that it verifies later. Call it before you close a server, because
   * the server waits for the streams that end with a signal. `close` does the same.
   */
  endSignals (): void
  /** Closes all connections and timers. After that, no token is accepted. */
  close (): void
}

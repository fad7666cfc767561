import type { AuthenticatedUser } from '../identity/access-token.js'

/** Accepts personal access tokens, as `TokenVerification` accepts access tokens. */
export interface KeyAcceptance {
  /**
   * Returns the owner of a key, with the scopes of the key that the owner still has. Throws `invalid_token`,
   * `token_expired`, `too_many_requests` after too many unknown keys from this address, or a 503 if the revocations are
   * unknown. It returns a promise only if the key or the revocations must be read first.
   * @param address - the address that sent the key. Undefined: unknown keys are not counted.
   */
  accept (value: string, address: string | undefined): AuthenticatedUser | Promise<AuthenticatedUser>
  /** Checks a key again that was accepted when its request arrived. It may have expired since then. */
  confirm (value: string, address: string | undefined): AuthenticatedUser | Promise<AuthenticatedUser>
}

import type { AuthenticatedUser } from '../lib/identity/access-token.js'
import { LatchkeyError } from '../lib/errors.js'
import type { UserIdKind } from '../lib/identity/user-ids.js'
import type { Revocations } from '../lib/revocation/revocations.js'
import type { FollowedClock } from '../lib/time/followed-clock.js'
import type { SignalOf } from '../lib/tokens/verified-token.js'
import { createTokenVerification } from '../lib/tokens/verification.js'
import type { TimeReader, VerificationKeys } from '../lib/tokens/verification.js'
import type { Introspection } from './introspection.js'
import type { Reporter } from './reporter.js'

/** Asks the service about a token, and returns its holder. */
export type Fallback = (token: string) => Promise<AuthenticatedUser>

/**
 * Creates the check that asks the service about each token while the feed is stale. It accepts every key that was read,
 * because the service itself judges which keys are still valid. Because its keys differ, it has its own cache.
 */
export function createFallback ({ introspection, reporter, ...sources }: {
  keys: VerificationKeys
  clock: FollowedClock
  horizon: () => number
  ledger: TimeReader
  revocations: Pick<Revocations, 'isRevoked' | 'isStolen' | 'additions'>
  signalOf: SignalOf
  userIds: UserIdKind
  introspection: Introspection
  reporter: Reporter
}): Fallback {
  const offline = createTokenVerification({ ...sources, follower: { refresh: () => undefined } })
  return async function askService (token) {
    await offline.verify(token)
    try {
      await introspection.assertLive(token)
    } catch (cause) {
      if (cause instanceof LatchkeyError) throw cause
      reporter.failed(cause)
      throw new LatchkeyError('revocation_unknown', { cause, retryAfter: 1 })
    }
    // While the service answered, the token may have expired, or the feed may have sent a revocation.
    return await offline.verify(token)
  }
}

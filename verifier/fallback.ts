import type { AuthenticatedUser } from '../lib/identity/access-token.js'
import { LatchkeyError } from '../lib/errors.js'
import type { Revocations } from '../lib/revocation/revocations.js'
import type { Clock } from '../lib/time/clock.js'
import { createTokenVerification } from '../lib/tokens/verification.js'
import type { VerificationKeys } from '../lib/tokens/verification.js'
import type { Introspection } from './introspection.js'
import type { Reporter } from './reporter.js'

/**
 * What happens to tokens while it is not known what is revoked. The keys are others here, all that were read: which of them are
 * good the service knows, as it knows what is revoked. So this has a cache of its own.
 */
export function createFallback ({ keys, clock, revocations, introspection, reporter }: {
  keys: VerificationKeys
  clock: Clock
  revocations: Pick<Revocations, 'readTime' | 'isRevoked' | 'additions'>
  introspection: Introspection
  reporter: Reporter
}): (token: string) => Promise<AuthenticatedUser> {
  const offline = createTokenVerification({ keys, clock, revocations: { ...revocations, refresh: () => undefined } })
  return async function askService (token) {
    await offline.verify(token)
    try {
      await introspection.assertLive(token)
    } catch (cause) {
      if (cause instanceof LatchkeyError) throw cause
      reporter.failed(cause)
      throw new LatchkeyError('revocation_unknown', { cause, retryAfter: 1 })
    }
    // Meanwhile the token may have expired, or the feed may have said more.
    return await offline.verify(token)
  }
}

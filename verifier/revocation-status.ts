import type { Freshness } from './freshness.js'
import type { KeySource } from './keys.js'
import type { Reporter } from './reporter.js'

/** Checks whether the known revocations are current. */
export interface RevocationStatus {
  isKnown (): boolean
  /** Milliseconds since the moment up to which they are known. Without a feed: 0 while the keys count as current. */
  age (): number
  /** Throws if they are not current. The guards then respond 503. */
  assertKnown (): Promise<void> | undefined
}

/** Creates the status. It depends on the feed, or without a feed on the age of the keys. */
export function createRevocationStatus ({ issuer, hasFeed, keys, freshness, reporter, closed }: {
  issuer: string
  hasFeed: boolean
  keys: KeySource
  freshness: Freshness
  reporter: Reporter
  closed: AbortSignal
}): RevocationStatus {
  function isKnown (): boolean {
    return hasFeed ? freshness.isFresh() : keys.areRecent()
  }

  function assertKnownNow (): undefined {
    if (isKnown() && !closed.aborted) return undefined
    throw reporter.stale(closed.aborted ? 'the verifier was closed' : whyUnknown())
  }

  function whyUnknown (): string {
    if (!hasFeed) return `the keys of ${issuer} have not been read for too long`
    const age = freshness.age()
    return age === Infinity
      ? 'the feed has not sent the revocations yet'
      : `the known revocations are ${Math.round(age)} ms old, which is more than the bound`
  }

  return {
    isKnown,
    age: () => hasFeed ? freshness.age() : keys.areRecent() ? 0 : Infinity,
    assertKnown () {
      const reading = keys.loadIfDue()
      // Without a feed, only the JWKS shows that a key was revoked. After a quiet hour, wait for it: otherwise a token
      // of a key that was revoked long ago would be accepted.
      if (!hasFeed && reading !== undefined && keys.areThere()) return reading.then(assertKnownNow)
      return assertKnownNow()
    }
  }
}

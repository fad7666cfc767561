import type { Freshness } from './freshness.js'
import type { KeySource } from './keys.js'
import type { Reporter } from './reporter.js'

/** Whether it is known what is revoked. */
export interface RevocationStatus {
  isKnown (): boolean
  /** Throws where it is not known: `verify` then answers 503. */
  assertKnown (): Promise<void> | undefined
}

/** Creates the status: of the feed, or without one of the keys. */
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
    if (!hasFeed) return `the keys of ${issuer} could not be read for too long`
    const age = freshness.age()
    return age === Infinity ? 'the feed has not told yet what is revoked' : `the feed has told nothing for ${Math.round(age)} ms, which is more than the bound`
  }

  return {
    isKnown,
    assertKnown () {
      const reading = keys.loadIfDue()
      // Without a feed it is the keys that tell: after a quiet hour nobody must get in with one that was revoked long ago.
      if (!hasFeed && reading !== undefined && keys.areThere()) return reading.then(assertKnownNow)
      return assertKnownNow()
    }
  }
}

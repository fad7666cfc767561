import type { AuthenticatedUser } from '../lib/identity/access-token.js'
import { createClock } from '../lib/time/clock.js'
import { LatchkeyError } from '../lib/errors.js'
import { createRevocationIndex } from '../lib/revocation/rule-index.js'
import { BUILT_IN_SCOPES } from '../lib/identity/scopes.js'
import { createTokenVerification } from '../lib/tokens/verification.js'
import type { VerifierOptions } from '../schemas/verifier-options.js'
import { createServiceClient } from './client.js'
import { discover } from './discovery.js'
import type { ServiceMetadata } from './discovery.js'
import { createFeed } from './feed.js'
import { createFreshness } from './freshness.js'
import { createIntrospection } from './introspection.js'
import { readJwks } from './jwks.js'
import { createKeySource } from './keys.js'
import { createPause } from './pause.js'
import { createRequests } from './requests.js'
import { createReporter } from './reporter.js'
import { readVerifierOptions } from './settings.js'

/** What the endpoints are called in the metadata. */
const MEMBERS = {
  jwksUri: 'jwks_uri',
  tokenEndpoint: 'token_endpoint',
  introspectionEndpoint: 'introspection_endpoint',
  feedEndpoint: 'revocation_feed_endpoint'
} as const

/** What a verifier says of itself. */
export interface VerifierStatus {
  /** Whether tokens are accepted: there are keys, and what is revoked is known, or can be asked for, as the options want it. */
  accepting: boolean
  /** Whether the feed has told everything up to a moment that is not longer ago than the bound. */
  fresh: boolean
  /** Milliseconds since that moment. Undefined: it has not told anything yet, or there is no feed. */
  age: number | undefined
  /** Why it does not accept, or has had to reconnect, in a sentence. Undefined: nothing is wrong. */
  error: string | undefined
}

/** Verifies the access tokens of a service elsewhere: without a database, and without a call to the service for each token. */
export interface Verifier {
  /** Resolves when tokens are accepted for the first time. What keeps it from that is in `status()` and in the log; it goes on trying. Rejects when it is closed before. */
  ready (): Promise<void>
  /**
   * Who holds this token: the same as in an app with the full plugin. Throws a `LatchkeyError` with the `code` `invalid_token`, `token_expired` or `token_revoked`,
   * or `unauthenticated` where there is none (all of them status 401), or `revocation_unknown` (status 503) where it cannot be told. Returns a promise only where the service has to be asked;
   * then it rejects with the same.
   */
  verify (token: string | undefined): AuthenticatedUser | Promise<AuthenticatedUser>
  status (): VerifierStatus
  /** The names of the scopes that there are. Undefined: the option `scopes` does not say, and the service has not been reached yet. */
  scopes (): readonly string[] | undefined
  /** Ends its connections and timers. No token is accepted any more. */
  close (): void
}

/**
 * Creates a verifier, which begins at once to learn what it needs: where the service has what (RFC 8414), its keys (RFC 7517) and what
 * is revoked. Until it knows, tokens are refused with 503. Call `close` in the end: its connection keeps the process alive.
 * @throws TypeError in one sentence that names the option and the legal values.
 */
export function createVerifier (options: VerifierOptions): Verifier {
  const { issuer, audience, credentials, revocationBound: bound, whenStale, scopes, log, fetch, time } = readVerifierOptions(options)
  const requests = createRequests(fetch)
  const clock = createClock(time.wall, time.stopwatch)
  const index = createRevocationIndex()
  const freshness = createFreshness(time, bound)
  const pause = createPause()
  let metadata: ServiceMetadata | undefined
  const closing = new AbortController()

  const reporter = createReporter(log)
  const keys = createKeySource({
    async read () {
      const { members, maxAge } = await requests.json(endpointOf('jwksUri'), { headers: { 'cache-control': 'no-cache' } })
      return { ...readJwks(members, { issuer, audience }), maxAge }
    },
    time,
    onRead: noteIfAccepting,
    onFailure: reporter.failed
  })

  /** An endpoint that the service must have told. */
  function endpointOf (name: keyof typeof MEMBERS): string {
    if (metadata === undefined) throw new Error(`${issuer} has not been reached yet`)
    const endpoint = metadata[name]
    if (endpoint === undefined) throw new Error(`The metadata of ${issuer} lack an endpoint that is needed (${MEMBERS[name]})`)
    return endpoint
  }

  function areRevocationsKnown (): boolean {
    return credentials === undefined ? keys.areRecent() : freshness.isFresh()
  }

  /** Throws where it is not known what is revoked: `verify` then answers 503. */
  function assertKnown (): Promise<void> | undefined {
    const reading = keys.loadIfDue()
    // Without a feed it is the keys that tell: after a quiet hour nobody must get in with one that was revoked long ago.
    if (credentials === undefined && reading !== undefined && keys.areThere()) return reading.then(assertKnownNow)
    return assertKnownNow()
  }

  function assertKnownNow (): undefined {
    if (areRevocationsKnown() && !closing.signal.aborted) return undefined
    throw reporter.stale(closing.signal.aborted ? 'the verifier was closed' : whyUnknown())
  }

  function whyUnknown (): string {
    if (credentials === undefined) return `the keys of ${issuer} could not be read for too long`
    const age = freshness.age()
    return age === Infinity ? 'the feed has not told yet what is revoked' : `the feed has told nothing for ${Math.round(age)} ms, which is more than the bound`
  }

  let waiting: Array<() => void> = []

  /** Resolves with the next heartbeat, which says the service's time; or after the bound, where there is none. */
  async function readTime (): Promise<void> {
    await new Promise<void>(resolve => {
      waiting.push(resolve)
      setTimeout(() => {
        waiting = waiting.filter(other => other !== resolve)
        resolve()
      }, bound).unref()
    })
  }

  function noteState (): void {
    for (const resolve of waiting) resolve()
    waiting = []
    noteIfAccepting()
  }

  // Without a feed there is nothing to learn the time from.
  const common = {
    clock,
    ledger: { readTime: credentials === undefined ? async () => {} : readTime },
    revocations: { isRevoked: index.isRevoked, additions: index.additions }
  }
  const guarded = createTokenVerification({
    ...common,
    keys: credentials === undefined ? keys.all : keys.vouched,
    follower: { refresh: assertKnown }
  })
  const asking = credentials !== undefined && whenStale === 'introspect'
  const client = credentials === undefined
    ? undefined
    : createServiceClient({
      credentials,
      endpoint: () => endpointOf('tokenEndpoint'),
      // Both, that a client which may not introspect is noticed before it matters: it would get no token at all.
      scope: asking ? 'revocations:read tokens:introspect' : 'revocations:read',
      requests,
      time,
      onConfirmed: noteIfAccepting
    })
  const fallback = client === undefined || !asking ? undefined : createFallback(client)

  /**
   * What happens to tokens while it is not known what is revoked. The keys are others here, all that were read: which of them are
   * good the service knows, as it knows what is revoked. So this has a cache of its own.
   */
  function createFallback (serviceClient: NonNullable<typeof client>): (token: string) => Promise<AuthenticatedUser> {
    const offline = createTokenVerification({ ...common, keys: keys.all, follower: { refresh: () => undefined } })
    const introspection = createIntrospection({ endpoint: () => endpointOf('introspectionEndpoint'), client: serviceClient, requests, time, bound })
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

  function recover (error: unknown, token: string): Promise<AuthenticatedUser> {
    if (closing.signal.aborted || fallback === undefined || !(error instanceof LatchkeyError) || error.code !== 'revocation_unknown') throw error
    return fallback(token)
  }

  const feed = client === undefined
    ? undefined
    : createFeed({
      endpoint: () => endpointOf('feedEndpoint'), client, requests, time, bound, index, clock, keys, freshness, onState: noteState, onFailure: reporter.failed
    })

  let becomeReady: () => void
  let giveUp: (reason: Error) => void
  const readiness = new Promise<void>((resolve, reject) => {
    becomeReady = resolve
    giveUp = reject
  })
  readiness.catch(() => {})

  function isAccepting (): boolean {
    return !closing.signal.aborted && keys.areThere() && (areRevocationsKnown() || (fallback !== undefined && client?.isConfirmed() === true))
  }

  function noteIfAccepting (): void {
    if (!isAccepting()) return
    if (areRevocationsKnown()) reporter.accepting()
    becomeReady()
  }

  function assertEndpoints (): void {
    endpointOf('tokenEndpoint')
    endpointOf('feedEndpoint')
    if (fallback !== undefined) endpointOf('introspectionEndpoint')
  }

  /** Reads what does not change, and then the keys, until it has them. */
  async function start (): Promise<void> {
    while (!closing.signal.aborted) {
      try {
        metadata ??= await discover(issuer, requests)
        if (feed !== undefined) assertEndpoints()
        await keys.load()
        return await feed?.follow()
      } catch (error) {
        if (closing.signal.aborted) return
        reporter.failed(error)
        // It may get what it lacks when it is updated.
        metadata = undefined
        await pause.wait()
      }
    }
  }
  start().catch(reporter.failed)

  return {
    ready: () => readiness,
    verify (token) {
      if (token === undefined) throw new LatchkeyError('unauthenticated')
      let outcome: AuthenticatedUser | Promise<AuthenticatedUser>
      try {
        outcome = guarded.verify(token)
      } catch (error) {
        return recover(error, token)
      }
      return outcome instanceof Promise ? outcome.catch(error => recover(error, token)) : outcome
    },
    status () {
      const age = freshness.age()
      return { accepting: isAccepting(), fresh: freshness.isFresh(), age: age === Infinity ? undefined : age, error: reporter.error() }
    },
    scopes: () => scopes === undefined ? metadata?.scopes : Object.keys({ ...BUILT_IN_SCOPES, ...scopes }),
    close () {
      closing.abort()
      giveUp(new Error('The verifier was closed'))
      feed?.close()
      pause.close()
      requests.close()
    }
  }
}

export { challengeOf, readBearer } from '../lib/http/credentials.js'
export { LatchkeyError } from '../lib/errors.js'
export type { AccessTokenClaims, AuthenticatedUser } from '../lib/identity/access-token.js'
export type { VerifierLog, VerifierOptions } from '../schemas/verifier-options.js'

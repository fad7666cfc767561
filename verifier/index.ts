import type { AuthenticatedUser } from '../lib/identity/access-token.js'
import { createClock } from '../lib/time/clock.js'
import { LatchkeyError } from '../lib/errors.js'
import { createRevocationIndex } from '../lib/revocation/rule-index.js'
import { BUILT_IN_SCOPES } from '../lib/identity/scopes.js'
import { createTokenVerification } from '../lib/tokens/verification.js'
import type { VerifierOptions } from '../schemas/verifier-options.js'
import { createServiceClient } from './client.js'
import { createDiscovery } from './discovery.js'
import type { Discovery, EndpointName } from './discovery.js'
import { createFallback } from './fallback.js'
import { createFeed } from './feed.js'
import type { Feed } from './feed.js'
import { createFreshness } from './freshness.js'
import { createHeartbeats } from './heartbeats.js'
import { createIntrospection } from './introspection.js'
import { readJwks } from './jwks.js'
import { createKeySource } from './keys.js'
import type { KeySource } from './keys.js'
import { createPause } from './pause.js'
import type { Pause } from './pause.js'
import { createReporter } from './reporter.js'
import type { Reporter } from './reporter.js'
import { createRequests } from './requests.js'
import { createRevocationStatus } from './revocation-status.js'
import { readVerifierOptions } from './settings.js'

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
  const {
    issuer,
    audience,
    credentials,
    revocationBound: bound,
    whenStale,
    scopes,
    log,
    fetch,
    time
  } = readVerifierOptions(options)
  const requests = createRequests(fetch)
  const discovery = createDiscovery(issuer, requests)
  const clock = createClock(time.wall, time.stopwatch)
  const index = createRevocationIndex()
  const freshness = createFreshness(time, bound)
  const heartbeats = createHeartbeats(bound)
  const pause = createPause()
  const closing = new AbortController()
  const reporter = createReporter(log)
  const readiness = createReadiness()
  const keys = createKeySource({
    async read () {
      const { members, maxAge } = await requests.json(discovery.endpoint('jwksUri'), {
        headers: { 'cache-control': 'no-cache' }
      })
      return { ...readJwks(members, { issuer, audience }), maxAge }
    },
    time,
    onRead: noteIfAccepting,
    onFailure: reporter.failed
  })
  const status = createRevocationStatus({
    issuer,
    hasFeed: credentials !== undefined,
    keys,
    freshness,
    reporter,
    closed: closing.signal
  })
  // Without a feed, no heartbeat carries the time of the service.
  const ledger = { readTime: credentials === undefined ? async () => {} : heartbeats.next }
  const revocations = { isRevoked: index.isRevoked, additions: index.additions }
  const guarded = createTokenVerification({
    keys: credentials === undefined ? keys.all : keys.vouched,
    clock,
    follower: { refresh: status.assertKnown },
    ledger,
    revocations
  })
  const asking = credentials !== undefined && whenStale === 'introspect'
  const client = credentials && createServiceClient({
    credentials,
    endpoint: () => discovery.endpoint('tokenEndpoint'),
    // Request both scopes now. A client without tokens:introspect then gets no token at all, so the mistake shows
    // before the feed fails.
    scope: asking ? 'revocations:read tokens:introspect' : 'revocations:read',
    requests,
    time,
    onConfirmed: noteIfAccepting
  })
  const introspection =
    client && asking
      ? createIntrospection({
        endpoint: () => discovery.endpoint('introspectionEndpoint'),
        client,
        requests,
        time,
        bound
      })
      : undefined
  const fallback =
    introspection && createFallback({ keys: keys.all, clock, ledger, revocations, introspection, reporter })
  const feed =
    client &&
    createFeed({
      endpoint: () => discovery.endpoint('feedEndpoint'),
      client,
      requests,
      time,
      bound,
      index,
      clock,
      keys,
      freshness,
      onState: noteState,
      onFailure: reporter.failed
    })

  function noteState (): void {
    heartbeats.note()
    noteIfAccepting()
  }

  function isAccepting (): boolean {
    return (
      !closing.signal.aborted &&
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
      closing.signal.aborted ||
      fallback === undefined ||
      !(error instanceof LatchkeyError) ||
      error.code !== 'revocation_unknown'
    ) { throw error }
    return fallback(token)
  }

  start({
    discovery,
    needed: endpointsFor({ feed, fallback }),
    keys,
    feed,
    reporter,
    pause,
    closed: closing.signal
  }).catch(reporter.failed)

  return {
    ready: () => readiness.promise,
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

function createReadiness (): { promise: Promise<void>, resolve: () => void, reject: (reason: Error) => void } {
  let resolve = (): void => {}
  let reject = (_reason: Error): void => {}
  const promise = new Promise<void>((...functions) => { [resolve, reject] = functions })
  promise.catch(() => {})
  return { promise, resolve, reject }
}

function endpointsFor ({ feed, fallback }: { feed: unknown, fallback: unknown }): EndpointName[] {
  if (feed === undefined) return []
  return ['tokenEndpoint', 'feedEndpoint', ...(fallback === undefined ? [] : ['introspectionEndpoint' as const])]
}

/** Reads the metadata and the keys, trying until it has them, and then follows the feed. */
async function start ({ discovery, needed, keys, feed, reporter, pause, closed }: {
  discovery: Discovery
  needed: readonly EndpointName[]
  keys: KeySource
  feed: Feed | undefined
  reporter: Reporter
  pause: Pause
  closed: AbortSignal
}): Promise<void> {
  while (!closed.aborted) {
    try {
      await discovery.load()
      for (const name of needed) discovery.endpoint(name)
      await keys.load()
      return await feed?.follow()
    } catch (error) {
      if (closed.aborted) return
      reporter.failed(error)
      // An update of the service may add what the metadata lacks.
      discovery.forget()
      await pause.wait()
    }
  }
}

export { challengeOf, readBearer } from '../lib/http/credentials.js'
export { LatchkeyError } from '../lib/errors.js'
export type { AccessTokenClaims, AuthenticatedUser } from '../lib/identity/access-token.js'
export type { VerifierLog, VerifierOptions } from '../schemas/verifier-options.js'

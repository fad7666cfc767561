import { createRevocationIndex } from '../lib/revocation/rule-index.js'
import { createFollowedClock } from '../lib/time/followed-clock.js'
import type { FollowedClock } from '../lib/time/followed-clock.js'
import { createTokenSignals } from '../lib/tokens/signals.js'
import type { TokenSignals } from '../lib/tokens/signals.js'
import { createTokenVerification } from '../lib/tokens/verification.js'
import type { TokenVerification } from '../lib/tokens/verification.js'
import { createClockWatch } from './clock-watch.js'
import { createServiceClient } from './client.js'
import type { ServiceClient } from './client.js'
import { createDiscovery } from './discovery.js'
import type { Discovery } from './discovery.js'
import { createFallback } from './fallback.js'
import type { Fallback } from './fallback.js'
import { createFeed } from './feed.js'
import type { Feed } from './feed.js'
import { createFreshness } from './freshness.js'
import type { Freshness } from './freshness.js'
import { createHeartbeats } from './heartbeats.js'
import { createHorizon } from './horizon.js'
import { createIntrospection } from './introspection.js'
import type { Introspection } from './introspection.js'
import { readJwks } from './jwks.js'
import { createKeySource } from './keys.js'
import type { KeySource } from './keys.js'
import { createCheckKey } from './personal-access-tokens.js'
import type { CheckKey } from './personal-access-tokens.js'
import { createReporter } from './reporter.js'
import type { Reporter } from './reporter.js'
import { createRequests } from './requests.js'
import type { Requests } from './requests.js'
import { createRevocationStatus } from './revocation-status.js'
import type { RevocationStatus } from './revocation-status.js'
import type { Credentials, VerifierSettings } from './settings.js'

/** The parts of a verifier. */
export interface Parts extends Partial<OnlineParts> {
  requests: Requests
  /** The time of the service. */
  clock: FollowedClock
  discovery: Discovery
  keys: KeySource
  freshness: Freshness
  status: RevocationStatus
  reporter: Reporter
  signals: TokenSignals
  verification: TokenVerification
}

/** The parts that a verifier has only with the credentials of a machine client. */
interface OnlineParts {
  client: ServiceClient
  feed: Feed
  /** Undefined unless `whenStale` is `introspect`. */
  fallback: Fallback | undefined
  /** Undefined unless `accepts` has `key`. */
  checkKey: CheckKey | undefined
}

interface Hooks {
  closed: AbortSignal
  /** Called after each step that may let the verifier accept tokens. */
  onProgress: () => void
}

/** Creates the parts of a verifier and connects them. None of them starts to work yet. */
export function createParts (settings: VerifierSettings, { closed, onProgress }: Hooks): Parts {
  const { issuer, address, credentials, revocationBound: bound, userIds, time } = settings
  const requests = createRequests(settings.fetch, createClockWatch(settings))
  const discovery = createDiscovery({ issuer, address }, requests)
  const clock = createFollowedClock(time.stopwatch, time.wall)
  const horizon = createHorizon()
  const index = createRevocationIndex()
  const freshness = createFreshness(time, bound)
  const heartbeats = createHeartbeats(bound)
  const reporter = createReporter(settings)
  const keys = createKeys(settings, { requests, discovery, reporter, onProgress })
  const hasFeed = credentials !== undefined
  const status = createRevocationStatus({ issuer, hasFeed, keys, freshness, reporter, closed })
  // Without a feed, no heartbeat carries the time of the service.
  const ledger = { readTime: hasFeed ? heartbeats.next : async () => {} }
  const revocations = { isRevoked: index.isRevoked, isStolen: index.isStolen, additions: index.additions }
  const sources = { clock, horizon: horizon.read, ledger, revocations, userIds }
  const follower = { refresh: status.assertKnown }
  const trusted = hasFeed ? keys.vouched : keys.all
  const signals = createTokenSignals({
    clock,
    trusts: (kid, now) => trusted.find(kid, now) !== undefined,
    revocations: { ...revocations, horizon: horizon.read },
    knowledge: { refresh: status.assertKnown, age: status.age },
    bound,
    stopwatch: time.stopwatch
  })
  trusted.onChange(signals.noteKeys)
  const verification = createTokenVerification({ ...sources, keys: trusted, follower, signalOf: signals.of })
  const base = { requests, clock, discovery, keys, freshness, status, reporter, signals, verification }
  if (!hasFeed) return base

  const { client, introspection } = createClient(settings, { credentials, requests, discovery, onProgress })
  const feed = createFeed({
    endpoint: () => discovery.endpoint('feedEndpoint'),
    client,
    requests,
    time,
    bound,
    index,
    clock,
    horizon,
    keys,
    freshness,
    onRules: signals.noteRules,
    onState () {
      heartbeats.note()
      onProgress()
    },
    onFailure: reporter.failed
  })
  const fallback = settings.whenStale === 'introspect' && introspection !== undefined
    ? createFallback({ ...sources, keys: keys.all, signalOf: signals.of, introspection, reporter })
    : undefined
  const checkKey = settings.accepts.includes('key') && introspection !== undefined
    ? createCheckKey({ ...settings, clock, introspection, signalOf: signals.of, reporter })
    : undefined
  return { ...base, client, feed, fallback, checkKey }
}

/** Creates the keys of the service, which are read from the JWKS that its metadata names. */
function createKeys (
  { issuer, audience, time }: VerifierSettings,
  { requests, discovery, reporter, onProgress }:
    Pick<Parts, 'requests' | 'discovery' | 'reporter'> & Pick<Hooks, 'onProgress'>
): KeySource {
  return createKeySource({
    async read () {
      const { members, maxAge } = await requests.json(discovery.endpoint('jwksUri'), {
        headers: { 'cache-control': 'no-cache' }
      })
      return { ...readJwks(members, { issuer, audience }), maxAge }
    },
    time,
    onRead: onProgress,
    onFailure: reporter.failed
  })
}

/** Creates the verifier's machine client. Also creates its introspection, if any option needs that. */
function createClient (
  { revocationBound: bound, whenStale, accepts, time }: VerifierSettings,
  { credentials, requests, discovery, onProgress }:
    Pick<Parts, 'requests' | 'discovery'> & Pick<Hooks, 'onProgress'> & { credentials: Credentials }
): { client: ServiceClient, introspection: Introspection | undefined } {
  const asks = whenStale === 'introspect' || accepts.includes('key')
  const client = createServiceClient({
    credentials,
    endpoint: () => discovery.endpoint('tokenEndpoint'),
    // Request both scopes now. A client without tokens:introspect then gets no token at all, so the mistake shows
    // before the feed fails.
    scope: asks ? 'revocations:read tokens:introspect' : 'revocations:read',
    requests,
    time,
    onConfirmed: onProgress
  })
  if (!asks) return { client, introspection: undefined }
  const endpoint = (): string => discovery.endpoint('introspectionEndpoint')
  return { client, introspection: createIntrospection({ endpoint, client, requests, time, bound }) }
}

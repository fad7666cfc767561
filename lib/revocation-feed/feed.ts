import type { Static } from 'typebox'
import type { RevocationPage } from '../../schemas/revocations.js'
import type { Clock } from '../time/clock.js'
import { LatchkeyError } from '../errors.js'
import { FEED_LIMITS } from './stream-limits.js'
import type { FeedLimits } from './stream-limits.js'
import { reachMoment } from './complete-as-of.js'
import { demandBeat, demandRead, kidsOf } from './following.js'
import type { Following } from './following.js'
import { createFeedReader } from './reader.js'
import { createFeedCursors, readLastSeq, readRules, toWire } from './rules.js'
import { openStream } from './stream.js'
import type { FeedStream, StreamRequest } from './stream.js'
import type { Keyring } from '../keys/keyring.js'
import type { Revocations } from '../revocation/revocations.js'
import type { Follower } from '../store/change-follower.js'
import type { Store } from '../store/store.js'
import type { Tokens } from '../tokens/tokens.js'

export { FEED_SCOPE } from './following.js'
export type { FeedStream } from './stream.js'

/** A page of rules, as of a moment. */
interface PageRead {
  page: Static<typeof RevocationPage>
  moment: number
  /** Milliseconds since the epoch. */
  time: number
}

/** The revocation feed of a process. All its moments are those of `performance.now()`. */
export interface RevocationFeed {
  /**
   * Reads a page of at most `limit` rules after the cursor. If there are no more, the page holds everything that was
   * acknowledged by `moment`. Rejects with a 503 if that is unknown.
   */
  read (query: { after: string | undefined, limit: number }): Promise<PageRead>
  /**
   * Opens a stream of everything after the cursor. It ends when the token is no longer good.
   * @throws LatchkeyError `feed_unavailable` if there are too many streams, or if the process is about to end.
   */
  open (request: StreamRequest): FeedStream
  /** Ends every stream, and opens no more. */
  close (): void
  /** How many streams are open. */
  readonly streams: number
}

/**
 * Creates the feed. While there are streams, one reader follows the store for all of them: at once when this process
 * commits, and with each heartbeat for what others have committed.
 * @param storeId - from `readStoreId`.
 * @param readHorizon - reads the horizon from the store: see `readHorizon` of `lib/store/meta.ts`. Receivers refuse a
 *   horizon that is later than the clock.
 * @param stopwatch - `performance.now`, the clock of `Follower.asOf`.
 * @param log - receives a line when the reader fails, and when it works again.
 */
export function createRevocationFeed ({ store, storeId, limits = FEED_LIMITS, ...services }: {
  store: Store
  storeId: number
  readHorizon: () => Promise<number>
  follower: Follower
  revocations: Revocations
  tokens: Tokens
  keyring: Keyring
  clock: Clock
  stopwatch: () => number
  log: { warn (details: object, message: string): void, info (message: string): void }
  limits?: Readonly<FeedLimits>
}): RevocationFeed {
  const { revocations, keyring } = services
  const cursors = createFeedCursors(storeId, store.epoch)
  const feed: Following = {
    ...services,
    store,
    limits,
    cursors,
    reader: createFeedReader({ store, cursors, readHorizon: () => feed.beat?.horizon ?? 0 }),
    streams: new Set(),
    epoch: store.epoch(),
    beat: undefined,
    beatsBegun: 0,
    isBeatDue: false,
    isReadDue: false,
    isRunning: false,
    isFailing: false,
    timers: []
  }
  let isClosed = false

  revocations.onRules(() => demandRead(feed))
  keyring.onChange(() => demandBeat(feed))

  return {
    read: query => readPage(feed, query),

    open (request) {
      if (isClosed) throw new LatchkeyError('feed_unavailable', { retryAfter: 1 })
      return openStream(feed, request)
    },

    close () {
      isClosed = true
      for (const stream of feed.streams) stream.end()
    },

    get streams () {
      return feed.streams.size
    }
  }
}

async function readPage (feed: Following, { after, limit }: {
  after: string | undefined
  limit: number
}): Promise<PageRead> {
  const { store, follower, clock, stopwatch, cursors, readHorizon } = feed
  const before = store.epoch()
  const moment = await reachMoment(follower, stopwatch)
  const time = clock.now()
  const keys = kidsOf(feed)
  const asked = cursors.parse(after)
  const position = asked > 0 && asked > await readLastSeq(store) ? 0 : asked
  const rows = await readRules(store, position, limit + 1)
  const taken = rows.slice(0, limit)
  if (store.epoch() !== before) {
    throw new LatchkeyError('revocation_unknown', { cause: new Error('Another server has taken over'), retryAfter: 1 })
  }
  // Read after the rules, so that it covers every rule that was purged before they were read.
  const horizon = await readHorizon()
  const page = {
    cursor: cursors.format(taken.at(-1)?.seq ?? position),
    more: rows.length > limit,
    horizon,
    keys,
    ...toWire(taken, horizon)
  }
  return { page, moment, time }
}

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../time/clock.js'
import { LatchkeyError } from '../errors.js'
import { reachMoment } from './complete-as-of.js'
import type { FeedReader } from './reader.js'
import type { FeedCursors } from './rules.js'
import type { FeedLimits } from './stream-limits.js'
import type { Keyring } from '../keys/keyring.js'
import type { Follower } from '../store/change-follower.js'
import type { Store } from '../store/store.js'
import type { Tokens } from '../tokens/tokens.js'

// Follows the store for all streams of a process.

/** The scope that the feed requires. */
export const FEED_SCOPE = 'revocations:read'

/** How many streams are written to in one turn of the event loop. */
const BATCH = 50

/** What was true at a moment. A stream that has sent everything up to `head` may say so. */
export interface Beat {
  number: number
  moment: number
  head: number
  time: number
  /** Read after the rules up to `head`, so it covers every rule that was purged before. */
  horizon: number
  keys: string[]
}

/** A stream that has not ended. */
export interface OpenStream {
  end (): void
  /** Makes `next` look again. */
  wake (): void
  token: string
  owner: string
  openedAt: number
  /** When its key was found to be revoked. */
  keylessSince: number | undefined
  /** When its receiver last stopped taking events. Undefined while the receiver waits for us. */
  idleSince: number | undefined
}

/** What the functions of one feed share. */
export interface Following {
  readonly store: Store
  readonly follower: Follower
  readonly tokens: Tokens
  readonly keyring: Keyring
  readonly clock: Clock
  readonly stopwatch: () => number
  readonly log: { warn (details: object, message: string): void, info (message: string): void }
  readonly limits: Readonly<FeedLimits>
  readonly cursors: FeedCursors
  readonly reader: FeedReader
  readonly readHorizon: () => Promise<number>
  readonly streams: Set<OpenStream>
  epoch: number
  beat: Beat | undefined
  beatsBegun: number
  isBeatDue: boolean
  isReadDue: boolean
  isRunning: boolean
  isFailing: boolean
  timers: NodeJS.Timeout[]
}

/** Returns the ids of the published keys. */
export function kidsOf ({ keyring, clock }: Pick<Following, 'keyring' | 'clock'>): string[] {
  return keyring.jwks(clock.now()).map(({ kid }) => kid)
}

/**
 * Another server may reuse numbers that were already read here, so every stream starts again, with all rules. If the
 * streams ended instead, their receivers would get no news until they have reconnected.
 */
function followEpoch (feed: Following): void {
  const { store, reader } = feed
  if (store.epoch() === feed.epoch) return
  feed.epoch = store.epoch()
  feed.beat = undefined
  reader.forget()
}

/** Ends the streams that have reached the end of their lifetime. */
function endOverdue ({ stopwatch, limits, streams }: Following): void {
  const now = stopwatch()
  for (const { openedAt, idleSince, keylessSince, end } of streams) {
    const isIdle = idleSince !== undefined && now - idleSince >= limits.patience
    const isKeyless = keylessSince !== undefined && now - keylessSince >= limits.farewell
    if (now - openedAt >= limits.lifetime || isIdle || isKeyless) end()
  }
}

async function makeBeat (feed: Following): Promise<void> {
  const { store, follower, clock, stopwatch, reader, readHorizon, streams } = feed
  followEpoch(feed)
  const number = ++feed.beatsBegun
  endOverdue(feed)
  const moment = await reachMoment(follower, stopwatch)
  for (const stream of streams) await checkToken(feed, stream)
  const time = clock.now()
  const keys = kidsOf(feed)
  // This reads after the moment, so it finds everything that was acknowledged by then, because that is committed.
  const head = await reader.advance()
  const horizon = await readHorizon()
  if (store.epoch() === feed.epoch) feed.beat = { number, moment, head, time, horizon, keys }
  // Another server has taken over meanwhile, and its state is still unknown.
  else feed.isBeatDue = true
}

/**
 * Ends a stream whose token is no longer valid. While that is unknown, the stream stays open and sends nothing new. If
 * the key of the token was revoked, the stream continues for a moment. Its receiver needs the state without that key,
 * and time to open another stream. Otherwise all receivers would lose the feed at once.
 */
async function checkToken ({ tokens, stopwatch }: Following, stream: OpenStream): Promise<void> {
  try {
    const outcome = tokens.verify(stream.token)
    const { scopes } = outcome instanceof Promise ? await outcome : outcome
    if (!scopes.includes(FEED_SCOPE)) stream.end()
  } catch (error) {
    if (!(error instanceof LatchkeyError)) throw error
    // It was valid when the stream opened, so its key has changed since.
    if (error.code === 'invalid_token') stream.keylessSince ??= stopwatch()
    else if (error.statusCode !== 503) stream.end()
  }
}

/**
 * Does what is due, one round at a time. Another round does what becomes due meanwhile. It never rejects, because no
 * caller awaits it.
 */
async function run (feed: Following): Promise<void> {
  const { log, reader, streams } = feed
  if (feed.isRunning) return
  feed.isRunning = true
  try {
    while (streams.size > 0 && (feed.isBeatDue || feed.isReadDue)) {
      const isBeat = feed.isBeatDue
      feed.isBeatDue = feed.isReadDue = false
      await (isBeat ? makeBeat(feed) : reader.advance())
      let woken = 0
      for (const stream of streams) {
        stream.wake()
        // Writing to a thousand connections takes about 50 ms, so requests get their turn in between.
        if (++woken % BATCH === 0) await nextTurn()
      }
      if (feed.isFailing) log.info('the revocation feed follows the store again')
      feed.isFailing = false
    }
  } catch (err) {
    // The receivers get no events, and so accept no tokens, until a later heartbeat works.
    if (!feed.isFailing) {
      log.warn({ err }, 'the revocation feed cannot follow the store; its receivers get no events until it can')
    }
    feed.isFailing = true
  } finally {
    feed.isRunning = false
    if (streams.size === 0) rest(feed)
  }
}

/** Makes a heartbeat as soon as possible. */
export function demandBeat (feed: Following): void {
  feed.isBeatDue = true
  run(feed)
}

/** Reads new rules as soon as possible. */
export function demandRead (feed: Following): void {
  feed.isReadDue = true
  run(feed)
}

/** Starts the heartbeats, unless they run already. */
export function startBeats (feed: Following): void {
  const { limits, timers } = feed
  if (timers.length === 0) {
    feed.timers = [
      setInterval(() => demandBeat(feed), limits.heartbeat).unref(),
      setInterval(() => look(feed), limits.look).unref()
    ]
  }
  demandBeat(feed)
}

/**
 * Brings the rules of other processes into the index, which then notifies the feed. If this fails, the next heartbeat
 * fails too and logs it.
 */
function look ({ follower }: Following): void {
  try {
    follower.refresh()?.catch(() => {})
  } catch {}
}

/** Stops following the store until the next stream opens. */
export function rest (feed: Following): void {
  for (const timer of feed.timers) clearInterval(timer)
  feed.timers = []
  feed.beat = undefined
  feed.reader.forget()
}

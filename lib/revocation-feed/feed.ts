import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Static } from 'typebox'
import type { RevocationPage } from '../../schemas/revocations.js'
import type { Clock } from '../time/clock.js'
import { LatchkeyError } from '../errors.js'
import { FEED_LIMITS } from './stream-limits.js'
import type { FeedLimits } from './stream-limits.js'
import { reachMoment } from './complete-as-of.js'
import { createFeedReader } from './reader.js'
import type { FeedEvent } from './reader.js'
import { createFeedCursors, readLastSeq, readRules, toWire } from './rules.js'
import type { Keyring } from '../keys/keyring.js'
import type { Ledger } from '../ledger/ledger.js'
import type { Revocations } from '../revocation/revocations.js'
import type { Follower } from '../store/change-follower.js'
import type { Store } from '../store/store.js'
import type { Tokens } from '../tokens/tokens.js'

/** The scope that the feed is read with. */
export const FEED_SCOPE = 'revocations:read'

/** How many streams are written to in one turn of the event loop. */
const BATCH = 50

/** What one receiver is sent. Nothing is made before it is asked for: a slow receiver costs one event, however much happens. */
export interface FeedStream {
  /** The next event, as soon as there is one; undefined when the stream has ended. Ask for one at a time. Rejects where the store cannot be read. */
  next (): Promise<FeedEvent | undefined>
  /** Ends it: the receiver has gone. */
  close (): void
}

/** The revocation feed of a process. */
export interface RevocationFeed {
  /**
   * A page of at most `limit` rules after the cursor, and the moment (of `performance.now()`, as all moments here) as of which it
   * holds everything that was acknowledged, where there is no more. `time`: milliseconds since the epoch. Rejects with a 503 where that cannot be told.
   */
  read (query: { after: string | undefined, limit: number }): Promise<{ page: Static<typeof RevocationPage>, moment: number, time: number }>
  /**
   * A stream of what comes after the cursor, for whoever holds `token`, as long as that is good.
   * @param owner - whose token that is.
   * @param arrivedAt - the moment at which the request for it arrived.
   * @param onEnd - called once when it ends, whoever ended it.
   * @throws LatchkeyError `feed_unavailable` where there are too many, or the process is about to end.
   */
  open (request: { after: string | undefined, arrivedAt: number, token: string, owner: string, onEnd: () => void }): FeedStream
  /** Ends every stream, and opens no more. */
  close (): void
  /** How many streams there are. */
  readonly streams: number
}

/** What was true at a moment: a stream that has sent everything up to `head` may say so. */
interface Beat {
  number: number
  moment: number
  head: number
  time: number
  keys: string[]
}

interface OpenStream {
  end (): void
  /** Lets `next` look again. */
  wake (): void
  token: string
  owner: string
  openedAt: number
  /** Since when its receiver takes nothing; undefined while it waits for us. */
  idleSince: number | undefined
}

/**
 * Creates the feed. While there are streams one reader follows the store for all of them, at once when this process commits, and
 * with each heartbeat for what others have committed.
 * @param storeId - of `readStoreId`.
 * @param stopwatch - `performance.now`: what `Follower.asOf` counts in.
 * @param log - told when the reader fails, and when it works again.
 */
export function createRevocationFeed ({ store, storeId, ledger, follower, revocations, tokens, keyring, clock, stopwatch, log, limits = FEED_LIMITS }: {
  store: Store
  storeId: number
  ledger: Ledger
  follower: Follower
  revocations: Revocations
  tokens: Tokens
  keyring: Keyring
  clock: Clock
  stopwatch: () => number
  log: { warn (details: object, message: string): void, info (message: string): void }
  limits?: Readonly<FeedLimits>
}): RevocationFeed {
  const cursors = createFeedCursors(storeId, store.epoch)
  const reader = createFeedReader({ store, cursors, clock })
  const streams = new Set<OpenStream>()
  let epoch = store.epoch()
  let isClosed = false

  let beat: Beat | undefined
  let beatsBegun = 0
  let isBeatDue = false
  let isReadDue = false
  let isRunning = false
  let isFailing = false
  let timers: NodeJS.Timeout[] = []

  const kids = (): string[] => keyring.jwks(clock.now()).map(({ kid }) => kid)

  /** Another server may give numbers again that were read already: every receiver begins anew. */
  function followEpoch (): void {
    if (store.epoch() === epoch) return
    epoch = store.epoch()
    for (const stream of streams) stream.end()
    reader.forget()
  }

  async function makeBeat (): Promise<void> {
    followEpoch()
    const number = ++beatsBegun
    for (const stream of streams) {
      const now = stopwatch()
      if (now - stream.openedAt >= limits.lifetime || (stream.idleSince !== undefined && now - stream.idleSince >= limits.patience)) stream.end()
    }
    const moment = await reachMoment(follower, stopwatch)
    // A node whose clock is ahead issues tokens without a rule that would tell us of it: receivers must not refuse them as from the future.
    await ledger.readTime()
    for (const stream of streams) if (!await mayGoOn(stream.token)) stream.end()
    const time = clock.now()
    const keys = kids()
    // After the moment: what was acknowledged by then is committed, so that this reads it.
    const head = await reader.advance()
    // Where another server was found meanwhile nothing is known of it yet: the next beat begins anew.
    if (store.epoch() === epoch) beat = { number, moment, head, time, keys }
  }

  /** Whether a token is still good. Where that cannot be told the stream stays: it says nothing new until it can. */
  async function mayGoOn (token: string): Promise<boolean> {
    try {
      const outcome = tokens.verify(token)
      const { scopes } = outcome instanceof Promise ? await outcome : outcome
      return scopes.includes(FEED_SCOPE)
    } catch (error) {
      if (!(error instanceof LatchkeyError)) throw error
      return error.statusCode === 503
    }
  }

  /** One at a time: what comes up meanwhile is done by another round. It never rejects: nobody waits for it. */
  async function run (): Promise<void> {
    if (isRunning) return
    isRunning = true
    try {
      while (streams.size > 0 && (isBeatDue || isReadDue)) {
        const isBeat = isBeatDue
        isBeatDue = isReadDue = false
        await (isBeat ? makeBeat() : reader.advance())
        let woken = 0
        for (const stream of streams) {
          stream.wake()
          // To write to a thousand connections takes some 50 ms: requests go between.
          if (++woken % BATCH === 0) await nextTurn()
        }
        if (isFailing) log.info('the revocation feed follows the store again')
        isFailing = false
      }
    } catch (err) {
      // The receivers hear nothing, and believe nothing, until a later heartbeat works.
      if (!isFailing) log.warn({ err }, 'the revocation feed cannot follow the store; its receivers are told nothing until it can')
      isFailing = true
    } finally {
      isRunning = false
      if (streams.size === 0) rest()
    }
  }

  function demandBeat (): void {
    isBeatDue = true
    run()
  }

  /** Brings the rules of other processes into the index, which tells us of them. What fails here fails with the next heartbeat too, and is told then. */
  function look (): void {
    try {
      follower.refresh()?.catch(() => {})
    } catch {}
  }

  /** Until the next stream comes. */
  function rest (): void {
    for (const timer of timers) clearInterval(timer)
    timers = []
    beat = undefined
    reader.forget()
  }

  revocations.onRules(function sendRules () {
    isReadDue = true
    run()
  })
  keyring.onChange(demandBeat)

  return {
    async read ({ after, limit }) {
      const before = store.epoch()
      const moment = await reachMoment(follower, stopwatch)
      const time = clock.now()
      const keys = kids()
      const asked = cursors.parse(after)
      const position = asked > 0 && asked > await readLastSeq(store) ? 0 : asked
      const rows = await readRules(store, position, limit + 1)
      const taken = rows.slice(0, limit)
      if (store.epoch() !== before) throw new LatchkeyError('revocation_unknown', { cause: new Error('Another server has taken over'), retryAfter: 1 })
      return { page: { cursor: cursors.format(taken.at(-1)?.seq ?? position), more: rows.length > limit, keys, rules: toWire(taken, time) }, moment, time }
    },

    open ({ after, arrivedAt, token, owner, onEnd }) {
      if (isClosed) throw new LatchkeyError('feed_unavailable', { retryAfter: 1 })
      const ofOne = [...streams].filter(stream => stream.owner === owner).length
      if (streams.size >= limits.streams || ofOne >= limits.streamsOfOne) throw new LatchkeyError('feed_unavailable', { retryAfter: 5 })

      let position: number | undefined
      let sent = 0
      let isWoken = false
      let waiting: (() => void) | undefined
      // A cursor may come from another node, and be ahead of what was read here before it.
      const firstBeat = beatsBegun + 1
      const stream: OpenStream = {
        token,
        owner,
        openedAt: stopwatch(),
        idleSince: stopwatch(),
        wake () {
          isWoken = true
          waiting?.()
          waiting = undefined
        },
        end () {
          if (!streams.delete(stream)) return
          stream.wake()
          if (streams.size === 0 && !isRunning) rest()
          onEnd()
        }
      }
      streams.add(stream)
      if (timers.length === 0) timers = [setInterval(demandBeat, limits.heartbeat).unref(), setInterval(look, limits.look).unref()]
      demandBeat()

      function toState ({ moment, time, keys }: Beat): FeedEvent {
        return { event: 'state', data: JSON.stringify({ as_of: Math.floor(moment - arrivedAt), time, keys }) }
      }

      /** What is due at the moment; undefined where nothing is. */
      async function find (): Promise<FeedEvent | undefined> {
        for (;;) {
          if (beat === undefined || reader.head === undefined || beat.number < firstBeat) return undefined
          if (position === undefined) {
            const asked = cursors.parse(after)
            position = asked > reader.head ? 0 : asked
          }
          // First of all, and of the beat as it was: who commits all the time must not keep it from being told.
          if (beat.number > sent && position >= beat.head) {
            sent = beat.number
            return toState(beat)
          }
          if (position >= reader.head) return undefined
          const taken = await reader.take(position)
          // Of the one server or the other: the cursor would not say which.
          if (store.epoch() !== epoch) return undefined
          position = taken.position
          if (taken.event !== undefined) return taken.event
        }
      }

      return {
        async next () {
          stream.idleSince = undefined
          try {
            while (streams.has(stream)) {
              isWoken = false
              const found = await find()
              if (found !== undefined) return found
              // Not where it was woken before it slept: that would be told with the next heartbeat only.
              if (!isWoken) await new Promise<void>(resolve => { waiting = resolve })
            }
            return undefined
          } finally {
            stream.idleSince = stopwatch()
          }
        },
        close: stream.end
      }
    },

    close () {
      isClosed = true
      for (const stream of streams) stream.end()
    },

    get streams () {
      return streams.size
    }
  }
}

import type { EventSourceMessage } from 'eventsource-parser'
import type { Clock } from '../lib/time/clock.js'
import { RULE_RETENTION } from '../lib/revocation/rule-index.js'
import type { RevocationIndex } from '../lib/revocation/rule-index.js'
import type { ServiceClient } from './client.js'
import { openEventStream } from './event-stream.js'
import type { EventStream } from './event-stream.js'
import type { Freshness } from './freshness.js'
import type { KeySource } from './keys.js'
import { readRules, readState } from './messages.js'
import { readMoment } from '../lib/time/elapsed-time.js'
import type { Moment, Stopwatches } from '../lib/time/elapsed-time.js'
import { createPause } from './pause.js'
import type { Pause } from './pause.js'
import { UnexpectedAnswer } from './requests.js'
import type { Requests } from './requests.js'

/** Milliseconds: the service ends a stream after five minutes. */
const LONGEST_STREAM = 270_000

/** Of the life of the token that opened it, after which the service ends it too. */
const STREAM_SHARE = 0.8

/** Milliseconds without a word after which a stream is given up, or twice the bound where that is more. */
const SILENCE = 2_000

/** How many rules of each kind are looked at after a heartbeat, for those that no longer matter. */
const SWEEP = 1_000

/** What can stand in a header. Without a cursor everything comes again, which does no harm. */
const CURSOR = /^[\x21-\x7E]{1,256}$/

/** Follows the feed of revocations. */
export interface Feed {
  /** Does so until it is closed: what goes wrong is reported, and tried again. */
  follow (): Promise<void>
  close (): void
}

/** What the feed is made of, and what it keeps up to date. */
export interface FeedOptions {
  endpoint: () => string
  client: ServiceClient
  requests: Requests
  time: Stopwatches
  /** Milliseconds. */
  bound: number
  index: RevocationIndex
  clock: Clock
  keys: KeySource
  freshness: Freshness
  /** Told after each heartbeat, and with the reason when a stream could not be opened, or has ended before its time. */
  onState: () => void
  onFailure: (reason: Error) => void
}

/** What the functions of the feed share. */
interface Receiver extends FeedOptions {
  pause: Pause
  /** Where the next stream goes on: the id of the last rules that are in. */
  cursor: string | undefined
}

/** A stream, once it has told everything. */
interface Following {
  stream: EventStream
  /** Whether it did before it ended. */
  hasCaughtUp: Promise<boolean>
  /** Resolves when it turns out to lag behind. */
  lags: Promise<void>
  /** Milliseconds after which the next one should take over. */
  lifetime: number
}

const LAGS = new Error('The feed lags behind: the request for it was held up, or the service itself is not up to date')

/** Creates the receiver of the feed: `GET /revocations` as server-sent events. */
export function createFeed (options: FeedOptions): Feed {
  const { client, onFailure } = options
  const pause = createPause()
  const receiver: Receiver = { ...options, pause, cursor: undefined }
  const closing = new AbortController()
  let current: EventStream | undefined
  let previous: EventStream | undefined

  /** Returns when it is time for the next stream; this one may still run, so that no heartbeat is missed. Throws where it has ended. */
  async function followOne (): Promise<void> {
    const { stream, hasCaughtUp, lags, lifetime } = await open(receiver)
    previous = current
    current = stream
    if (closing.signal.aborted) stream.close(new Error('The verifier was closed'))
    if (!await hasCaughtUp) {
      current = previous
      throw await stream.ended
    }
    previous?.close(new Error('Another stream has taken over'))
    const alarm = pause.alarm(lifetime)
    const end = await Promise.race([stream.ended, alarm.rung, lags.then(() => LAGS)])
    alarm.cancel()
    if (end === undefined) return
    if (end !== LAGS) throw end
    onFailure(LAGS)
    await pause.wait()
  }

  return {
    async follow () {
      while (!closing.signal.aborted) {
        try {
          await followOne()
        } catch (error) {
          if (closing.signal.aborted) return
          if (error instanceof UnexpectedAnswer && error.status === 401) client.forget()
          onFailure(error as Error)
          await pause.wait()
        }
      }
    },
    close () {
      closing.abort()
      pause.close()
      for (const stream of [current, previous]) stream?.close(new Error('The verifier was closed'))
    }
  }
}

function takeRules (receiver: Receiver, { data, id }: EventSourceMessage): void {
  for (const rule of readRules(data)) receiver.index.add(rule)
  // After they are in: what is asked for next comes after them.
  if (id !== undefined && CURSOR.test(id)) receiver.cursor = id
}

/** The two clocks should have seen the same time go by since the request was sent. */
function assertClocksAgree ({ time, bound }: Receiver, sent: Moment): void {
  const now = readMoment(time)
  const apart = Math.abs((now.wall - sent.wall) - (now.stopwatch - sent.stopwatch))
  if (apart > bound / 4) throw new Error(`The clock of this machine was set, or the machine slept: its clocks are ${Math.round(apart)} ms apart`)
}

/** Returns how old what it says is. */
function takeState (receiver: Receiver, { data }: EventSourceMessage, sent: Moment): number {
  const { clock, freshness, keys, index, onState } = receiver
  const { asOf, time: serviceTime, keys: kids } = readState(data)
  clock.advanceTo(serviceTime)
  const { age, isNewest } = freshness.learn(sent, asOf)
  // Of two streams, or of a link that held something back, the newest rules: a key that was revoked must not come back.
  if (isNewest) keys.vouch(kids)
  index.sweep(clock.now() - RULE_RETENTION, SWEEP)
  onState()
  // Last: what was learnt holds; a new stream has a moment that can be believed to count from.
  assertClocksAgree(receiver, sent)
  return age
}

/**
 * Watches what one stream says. Its moments are counted from that at which it was asked for: where that was held up on its way, all
 * that it says looks as old for good, and only another stream can do better.
 */
function createLagWatch ({ time, bound, pause }: Receiver): { look (age: number): void, lags: Promise<void> } {
  let since: number | undefined
  let tell = (): void => {}
  const lags = new Promise<void>(resolve => { tell = resolve })
  return {
    look (age) {
      const now = time.stopwatch()
      if (age <= bound / 2) {
        since = undefined
        pause.reset()
      } else if (now - (since ??= now) >= bound / 4) tell()
    },
    lags
  }
}

async function open (receiver: Receiver): Promise<Following> {
  const { client, endpoint, requests, time, bound } = receiver
  const { text, remaining } = await client.token()
  const { cursor } = receiver
  let catchUp: (value: boolean) => void
  const caughtUp = new Promise<boolean>(resolve => { catchUp = resolve })
  const watch = createLagWatch(receiver)
  const stream = openEventStream({
    url: endpoint(),
    headers: { authorization: `Bearer ${text}`, ...(cursor === undefined ? {} : { 'last-event-id': cursor }) },
    requests,
    time,
    silence: Math.max(SILENCE, 2 * bound),
    onEvent (event, sent) {
      if (event.event === 'rules') takeRules(receiver, event)
      if (event.event !== 'state') return
      watch.look(takeState(receiver, event, sent))
      catchUp(true)
    }
  })
  return {
    stream,
    hasCaughtUp: Promise.race([caughtUp, stream.ended.then(() => false)]),
    lags: watch.lags,
    lifetime: Math.min(LONGEST_STREAM, remaining * STREAM_SHARE)
  }
}

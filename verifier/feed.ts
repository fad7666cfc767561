import type { EventSourceMessage } from 'eventsource-parser'
import type { FollowedClock } from '../lib/time/followed-clock.js'
import type { RevocationIndex, Rule } from '../lib/revocation/rule-index.js'
import type { ServiceClient } from './client.js'
import { openEventStream } from './event-stream.js'
import type { EventStream } from './event-stream.js'
import type { Freshness } from './freshness.js'
import { RulesMissing } from './horizon.js'
import type { Horizon } from './horizon.js'
import type { KeySource } from './keys.js'
import { readRules, readState } from './messages.js'
import { readMoment } from '../lib/time/elapsed-time.js'
import type { Moment, Stopwatches } from '../lib/time/elapsed-time.js'
import { createPause } from './pause.js'
import type { Pause } from './pause.js'
import { createReadiness } from './readiness.js'
import { UnexpectedAnswer } from './requests.js'
import type { Requests } from './requests.js'

/** Milliseconds. It is shorter than the five minutes after which the service ends a stream. */
const LONGEST_STREAM = 270_000

/** A stream is used for this share of its token's lifetime. The service ends it when the token expires. */
const STREAM_SHARE = 0.8

/** A stream that sends nothing for this many milliseconds, or for twice the bound if that is more, is replaced. */
const SILENCE = 2_000

/** How many rules of each kind are checked after a heartbeat, to remove those that have expired. */
const SWEEP = 1_000

/** A cursor that fits into a header. Without a cursor, the service sends all rules again, which does no harm. */
const CURSOR = /^[\x21-\x7E]{1,256}$/

/** A receiver of the revocation feed. */
export interface Feed {
  /** Follows the feed until it is closed. It reports failures and tries again. */
  follow (): Promise<void>
  close (): void
}

/** The dependencies of a feed, and the state that it keeps up to date. */
export interface FeedOptions {
  endpoint: () => string
  client: ServiceClient
  requests: Requests
  time: Stopwatches
  /** Milliseconds. */
  bound: number
  index: RevocationIndex
  clock: FollowedClock
  horizon: Horizon
  keys: KeySource
  freshness: Freshness
  /** Called when rules were added to the index. */
  onRules: (rules: readonly Rule[]) => void
  /** Called after each heartbeat. */
  onState: () => void
  /** Called with the reason if a stream could not be opened, or has ended early. */
  onFailure: (reason: Error) => void
}

/** A feed's options and the state that its functions share. */
interface Receiver extends FeedOptions {
  pause: Pause
  /** The id of the last rules that were added to the index. The next stream starts after them. */
  cursor: string | undefined
}

/** An open stream. */
interface Following {
  stream: EventStream
  /** Resolves with true when the stream is up to date, with false if it ends before that. */
  hasCaughtUp: Promise<boolean>
  /** Resolves with the reason if another stream should be tried, because this one lags behind or is silent. */
  trouble: Promise<Error>
  /** Resolves if another stream should replace this one because the service has removed a key. */
  renewal: Promise<void>
  /** Milliseconds after which another stream should replace it. */
  lifetime: number
}

const LAGS = new Error('The feed lags behind: the request was delayed, or the service itself is not up to date')

/** Creates the receiver of the feed: `GET /revocations` as server-sent events. */
export function createFeed (options: FeedOptions): Feed {
  const { client, onFailure } = options
  const pause = createPause()
  const receiver: Receiver = { ...options, pause, cursor: undefined }
  const closing = new AbortController()
  let current: EventStream | undefined
  let previous: EventStream | undefined
  /** Whether the service has rejected the token of the latest attempt. */
  let isRefused = false

  /**
   * Follows one stream, and returns when it is time for the next. This one keeps running until the next has caught up,
   * so that no heartbeat is missed. This includes a silent stream: if the service has lost its database, that stream
   * continues before any other stream can be opened. Throws if the stream has ended.
   */
  async function followOne (): Promise<void> {
    const { stream, hasCaughtUp, trouble, renewal, lifetime } = await open(receiver)
    previous = current
    current = stream
    if (closing.signal.aborted) stream.close(new Error('The verifier was closed'))
    if (!await hasCaughtUp) {
      current = previous
      throw await stream.ended
    }
    previous?.close(new Error('Another stream has replaced this one'))
    const alarm = pause.alarm(lifetime)
    const ended = stream.ended.then(reason => { throw reason })
    const reason = await Promise.race([ended, alarm.rung, renewal, trouble]).finally(alarm.cancel)
    if (reason === undefined) return
    onFailure(reason)
    await pause.wait()
  }

  function closeAll (reason: Error): void {
    for (const stream of [current, previous]) stream?.close(reason)
  }

  /** Prepares the next attempt, and waits until it may start. */
  async function recover (error: Error): Promise<void> {
    if (error instanceof RulesMissing) {
      // An older stream could delete rules that the next one sends again.
      closeAll(error)
      receiver.cursor = undefined
    }
    const answer = error instanceof UnexpectedAnswer ? error : undefined
    const wasRefused = isRefused
    isRefused = answer?.status === 401
    if (isRefused) client.forget()
    // After the first rejection, a new token may help, for example because the key of the old one was revoked.
    if (wasRefused || !isRefused) await pause.wait(answer?.retryAfter)
  }

  return {
    async follow () {
      while (!closing.signal.aborted) {
        try {
          await followOne()
          isRefused = false
        } catch (error) {
          if (closing.signal.aborted) return
          onFailure(error as Error)
          await recover(error as Error)
        }
      }
    },
    close () {
      closing.abort()
      pause.close()
      closeAll(new Error('The verifier was closed'))
    }
  }
}

function takeRules (receiver: Receiver, { data, id }: EventSourceMessage): void {
  const rules = readRules(data)
  for (const rule of rules) receiver.index.add(rule)
  receiver.onRules(rules)
  // Only after the rules are in the index, because the next stream starts after this cursor.
  if (id !== undefined && CURSOR.test(id)) receiver.cursor = id
}

/** Checks that both clocks have measured the same time since the request was sent. */
function assertClocksAgree ({ time, bound }: Receiver, sent: Moment): void {
  const now = readMoment(time)
  const apart = Math.abs((now.wall - sent.wall) - (now.stopwatch - sent.stopwatch))
  if (apart > bound / 4) {
    throw new Error(
      `The clock of this machine was set, or the machine slept: its two clocks differ by ${Math.round(apart)} ms`
    )
  }
}

/**
 * Takes a state. Returns its age, in milliseconds, and whether a key is no longer valid.
 * @param isComplete - see `Horizon.take`.
 */
function takeState (
  receiver: Receiver,
  { data }: EventSourceMessage,
  { sent, isComplete }: { sent: Moment, isComplete: boolean }
): { age: number, hasLostKey: boolean } {
  const { clock, horizon, freshness, keys, index, onState } = receiver
  const state = readState(data)
  horizon.take(state, isComplete)
  const { age, isNewest } = freshness.learn(sent, state.asOf)
  // Two streams overlap, and a link can delay an event. An older list of keys must not bring back a revoked key.
  let hasLostKey = false
  if (isNewest) {
    hasLostKey = keys.vouch(state.keys)
    // The service read its clock no earlier than that age ago, so it cannot show a later time now.
    clock.set(state.time + age)
  }
  index.sweep(horizon.read(), SWEEP)
  onState()
  // Last, because the state is valid even if this throws. A new stream then starts from a moment that can be trusted.
  assertClocksAgree(receiver, sent)
  return { age, hasLostKey }
}

/**
 * Watches one stream for a lag, and calls `onLag` with the reason. Ages are measured from the moment at which the
 * stream was requested. If that request was delayed on its way, every later event looks too old by the same time, and
 * only a new stream can help.
 */
function createLagWatch ({ time, bound, pause }: Receiver, onLag: (reason: Error) => void): (age: number) => void {
  let since: number | undefined
  return function look (age) {
    const now = time.stopwatch()
    if (age <= bound / 2) {
      since = undefined
      pause.reset()
    } else if (now - (since ??= now) >= bound / 4) onLag(LAGS)
  }
}

async function open (receiver: Receiver): Promise<Following> {
  const { client, endpoint, requests, time, bound } = receiver
  const { text, remaining } = await client.token()
  const { cursor } = receiver
  let hasState = false
  let catchUp: (value: boolean) => void
  const caughtUp = new Promise<boolean>(resolve => { catchUp = resolve })
  let complain = (_reason: Error): void => {}
  const trouble = new Promise<Error>(resolve => { complain = resolve })
  const renewal = createReadiness()
  const look = createLagWatch(receiver, complain)
  const stream = openEventStream({
    url: endpoint(),
    headers: { authorization: `Bearer ${text}`, ...(cursor === undefined ? {} : { 'last-event-id': cursor }) },
    requests,
    time,
    silence: Math.max(SILENCE, 2 * bound),
    onSilence (reason) {
      if (hasState) complain(reason)
      else stream.close(reason)
    },
    onEvent (event, sent) {
      if (event.event === 'rules') takeRules(receiver, event)
      if (event.event !== 'state') return
      const isComplete = cursor === undefined && !hasState
      const { age, hasLostKey } = takeState(receiver, event, { sent, isComplete })
      look(age)
      hasState = true
      catchUp(true)
      if (!hasLostKey) return
      // If that key signed the token of this stream, the service ends the stream soon.
      client.forget()
      renewal.resolve()
    }
  })
  return {
    stream,
    hasCaughtUp: Promise.race([caughtUp, stream.ended.then(() => false)]),
    trouble,
    renewal: renewal.promise,
    lifetime: Math.min(LONGEST_STREAM, remaining * STREAM_SHARE)
  }
}

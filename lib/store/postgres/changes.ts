import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { ageOf, MACHINE, NEVER, readMoment } from '../../time/elapsed-time.js'
import type { Moment } from '../../time/elapsed-time.js'
import type { Store } from '../store.js'
import { SERVER_COLUMNS, toClientConfig } from './pool.js'
import type { ServerRow } from './pool.js'

/** How often within the bound it is asked whether a notification was missed. */
const POLLS_PER_BOUND = 4

/** Milliseconds between two attempts to listen again. */
const RETRY_DELAY = 250

/** Milliseconds that a connection may take to be made, and to begin to listen: longer than `pg` itself waits. */
const PATIENCE = 7_000

/** What a store tells of the commits of others. */
type Changes = Pick<Store, 'changed' | 'ask' | 'asOf' | 'epoch' | 'onChange' | 'close'>

/** What the server answers. */
export interface ChangesRow extends ServerRow {
  /** Of the last commit that changed rules or keys. */
  number: number | null
}

/** Asks for a `ChangesRow`. */
export const CHANGES_QUERY = `select (select value from meta where name = 'changes') as number, ${SERVER_COLUMNS}`

/** What a store tells, and what its pool tells it. */
export interface ChangesFollower extends Changes {
  /** Says which server a new connection has reached, by when it was started. */
  meet (started: number): void
}

/**
 * Follows the number of the last commit that changed rules or keys. LISTEN says at once that there is another one, and proves nothing while it
 * is silent: the connection may be cut off. So the number is asked for, several times within the bound, and an answer counts from when it was asked for.
 * @param first - what was answered when the store was opened.
 * @param query - runs `CHANGES_QUERY` on some connection.
 * @param bound - milliseconds.
 * @param onAnotherServer - called when another server answers than before: what is connected to the one before must not be used again.
 */
export function followChanges ({ url, bound, first, query, onAnotherServer, log }: {
  url: string
  bound: number
  first: ChangesRow
  query: () => Promise<ChangesRow | undefined>
  onAnotherServer: () => void
  log: (error: unknown, message: string) => void
}): ChangesFollower {
  const listeners: Array<() => void> = []
  const heard = { number: first.number ?? 0, epoch: first.started, at: -Infinity }
  let told = { number: heard.number, epoch: heard.epoch }
  let { started } = first
  let restored = 0
  let confirmed: Moment = NEVER
  let asking: Promise<void> | undefined
  let relisten = (): void => {}
  const closing = new AbortController()

  function isNews (): boolean {
    // Another server may have given the number that we know to another commit.
    return heard.number !== told.number || heard.epoch !== told.epoch
  }

  function hear (number: number): void {
    heard.number = number
    heard.at = performance.now()
    if (isNews()) for (const listener of listeners) listener()
  }

  /**
   * While the one before can still be reached, as after a failover by name, one connection may lead here and another there: what the one
   * confirms must not be read of the other.
   */
  function meetAnother (server: number): void {
    started = server
    heard.epoch = started + restored
    confirmed = NEVER
    onAnotherServer()
  }

  function take (row: ChangesRow | undefined, asked: Moment): void {
    if (closing.signal.aborted) return
    if (row?.standby !== false) throw new Error('The database is a standby: it does not know what is committed now')
    const number = row.number ?? 0
    if (row.started !== started) meetAnother(row.started)
    else if (number < heard.number) {
      // An answer on one connection may be overtaken by that on another.
      if (heard.at > asked.stopwatch) return
      // Else a backup was restored beneath us.
      restored++
      heard.epoch = started + restored
    }
    if (asked.stopwatch > confirmed.stopwatch) confirmed = asked
    hear(number)
  }

  function isCurrent (): boolean {
    return ageOf(confirmed, MACHINE) <= bound
  }

  async function askOnce (): Promise<void> {
    const asked = readMoment(MACHINE)
    // What comes later than the bound is of no use: see `Follower.refresh`.
    take(await within(bound, query()), asked)
  }

  async function listen (): Promise<void> {
    const client = new pg.Client({ ...toClientConfig(url), application_name: 'latchkey listener' })
    // A signal and not a promise to race with: what is raced with so often, and never settles, keeps all that it ever raced with.
    const lost = new AbortController()
    let wake = (): void => {}
    let isNotified = false
    function lose (error: Error): void {
      lost.abort(error)
      wake()
    }
    const close = (): void => lose(new Error('The app has closed'))
    client.on('error', lose)
    client.on('end', () => lose(new Error('The server has closed the connection')))
    closing.signal.addEventListener('abort', close)
    relisten = () => lose(new Error('Another server has taken over'))
    try {
      await within(PATIENCE, client.connect(), lost.signal)
      // What it says is not believed: every role of the server may notify.
      client.on('notification', () => {
        isNotified = true
        wake()
      })
      await within(PATIENCE, client.query('listen latchkey'), lost.signal)
      for (;;) {
        isNotified = false
        const asked = readMoment(MACHINE)
        const { rows } = await within(bound, client.query<ChangesRow>(CHANGES_QUERY), lost.signal)
        take(rows[0], asked)
        if (!isNotified) {
          await new Promise<void>(resolve => {
            wake = resolve
            setTimeout(resolve, bound / POLLS_PER_BOUND).unref()
          })
        }
        lost.signal.throwIfAborted()
      }
    } catch (error) {
      lost.signal.throwIfAborted()
      throw error
    } finally {
      relisten = () => {}
      closing.signal.removeEventListener('abort', close)
      client.removeAllListeners('notification')
      // Not waited for: where the server is cut off it would take until the timeout of the system.
      client.end().catch(() => {})
    }
  }

  async function keepListening (): Promise<void> {
    let isReported = false
    while (!closing.signal.aborted) {
      const begun = performance.now()
      try {
        await listen()
      } catch (error) {
        if (closing.signal.aborted) return
        if (performance.now() - begun > 2 * RETRY_DELAY) isReported = false
        if (!isReported) log(error, 'the connection that hears of revocations by other nodes is lost; until there is another one, the database is asked')
        isReported = true
        await delay(RETRY_DELAY, undefined, { ref: false, signal: closing.signal }).catch(() => {})
      }
    }
  }

  const listening = keepListening()

  return {
    changed () {
      if (isNews()) {
        told = { number: heard.number, epoch: heard.epoch }
        return true
      }
      return isCurrent() ? false : undefined
    },
    async ask () {
      asking ??= askOnce().finally(() => { asking = undefined })
      await asking
    },
    meet (server) {
      if (server === started) return
      meetAnother(server)
      relisten()
    },
    asOf: () => confirmed.stopwatch,
    epoch: () => heard.epoch,
    onChange (listener) {
      listeners.push(listener)
    },
    async close () {
      closing.abort()
      confirmed = NEVER
      await listening
    }
  }
}

/** The answer, or an error where it takes longer than so many milliseconds, or `lost` comes first. */
async function within<T> (milliseconds: number, answer: Promise<T>, lost?: AbortSignal): Promise<T> {
  const timer = new AbortController()
  const giveUp = (): void => timer.abort()
  answer.catch(() => {})
  lost?.addEventListener('abort', giveUp)
  try {
    if (lost?.aborted === true) giveUp()
    return await Promise.race([
      answer,
      delay(milliseconds, undefined, { signal: timer.signal }).then(() => { throw new Error(`No answer of the database within ${milliseconds} ms`) })
    ])
  } finally {
    lost?.removeEventListener('abort', giveUp)
    timer.abort()
  }
}

import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Store } from './store.js'
import { toClientConfig } from './postgres-pool.js'

/** How often within the bound it is asked whether a notification was missed. */
const POLLS_PER_BOUND = 4

/** Milliseconds between two attempts to listen again. */
const RETRY_DELAY = 250

/** Milliseconds that a connection may take to be made, and to begin to listen: longer than `pg` itself waits. */
const PATIENCE = 7_000

/** A moment on both clocks: the monotonic one is never set, the wall clock goes on while the machine sleeps. */
interface Moment {
  monotonic: number
  wall: number
}

function moment (): Moment {
  return { monotonic: performance.now(), wall: Date.now() }
}

/** What a store tells of the commits of others. */
type Changes = Pick<Store, 'changed' | 'ask' | 'asOf' | 'epoch' | 'onChange' | 'close'>

/** What the server answers. */
export interface ChangesRow {
  /** Of the last commit that changed rules or keys. */
  number: number | null
  /** A standby may be any time behind, and says nothing about now. */
  standby: boolean
  /** When it was started: a server that took over from another, or came back after a crash, was so at another moment. */
  started: number
}

/** Asks for a `ChangesRow`. */
export const CHANGES_QUERY = `select (select value from meta where name = 'changes') as number, pg_is_in_recovery() as standby,
  floor(extract(epoch from pg_postmaster_start_time()) * 1000)::bigint as started`

/**
 * Follows the number of the last commit that changed rules or keys. LISTEN brings it at once, and proves nothing while it is silent: the
 * connection may be cut off. So it is also asked for, several times within the bound, and an answer counts from when it was asked for.
 * @param query - runs `CHANGES_QUERY` on some connection.
 * @param bound - milliseconds.
 */
export function followChanges ({ url, bound, query, log }: { url: string, bound: number, query: () => Promise<ChangesRow | undefined>, log: (error: unknown, message: string) => void }): Changes {
  const listeners: Array<() => void> = []
  const heard = { number: 0, epoch: 0, at: -Infinity }
  let told = { number: 0, epoch: 0 }
  let started = 0
  let restored = 0
  let confirmed: Moment = { monotonic: -Infinity, wall: -Infinity }
  let asking: Promise<void> | undefined
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

  function take (row: ChangesRow | undefined, asked: Moment): void {
    if (closing.signal.aborted) return
    if (row?.standby !== false) throw new Error('The database is a standby: it does not know what is committed now')
    const number = row.number ?? 0
    const goesBack = row.started === started && number < heard.number
    // An answer on one connection may be overtaken by a notification on another.
    if (goesBack && heard.at > asked.monotonic) return
    // Else a backup was restored beneath us.
    if (goesBack) restored++
    started = row.started
    heard.epoch = started + restored
    if (asked.monotonic > confirmed.monotonic) confirmed = asked
    hear(number)
  }

  function isCurrent (): boolean {
    return performance.now() - confirmed.monotonic <= bound && Date.now() - confirmed.wall <= bound
  }

  async function askOnce (): Promise<void> {
    const asked = moment()
    // What comes later than the bound is of no use: see `Follower.refresh`.
    take(await within(bound, query()), asked)
  }

  async function listen (): Promise<void> {
    const client = new pg.Client({ ...toClientConfig(url), application_name: 'latchkey listener' })
    // A signal and not a promise to race with: what is raced with so often, and never settles, keeps all that it ever raced with.
    const lost = new AbortController()
    const close = (): void => lost.abort(new Error('The app has closed'))
    client.on('error', error => lost.abort(error))
    client.on('end', () => lost.abort(new Error('The server has closed the connection')))
    closing.signal.addEventListener('abort', close)
    try {
      await within(PATIENCE, client.connect(), lost.signal)
      client.on('notification', ({ payload }) => {
        // Answers and notifications come in the order of the commits; an answer on another connection may have overtaken this one.
        const number = Number(payload)
        if (number > heard.number) hear(number)
      })
      await within(PATIENCE, client.query('listen latchkey'), lost.signal)
      for (;;) {
        const asked = moment()
        const { rows } = await within(bound, client.query<ChangesRow>(CHANGES_QUERY), lost.signal)
        take(rows[0], asked)
        await delay(bound / POLLS_PER_BOUND, undefined, { ref: false, signal: lost.signal })
      }
    } catch (error) {
      lost.signal.throwIfAborted()
      throw error
    } finally {
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
    asOf: () => confirmed.monotonic,
    epoch: () => heard.epoch,
    onChange (listener) {
      listeners.push(listener)
    },
    async close () {
      closing.abort()
      confirmed = { monotonic: -Infinity, wall: -Infinity }
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

import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Store } from './store.js'
import { toClientConfig } from './postgres-pool.js'

/** How often within the bound it is asked whether a notification was missed. */
const POLLS_PER_BOUND = 4

/** Milliseconds between two attempts to listen again. */
const RETRY_DELAY = 250

/** A moment on both clocks: the monotonic one is never set, the wall clock goes on while the machine sleeps. */
interface Moment {
  monotonic: number
  wall: number
}

function moment (): Moment {
  return { monotonic: performance.now(), wall: Date.now() }
}

/** Runs SQL on a connection of the pool. */
type Query = <Row> (text: string) => Promise<Row[]>

/** The number, and whether it is that of a standby: it may be behind, and says nothing about now. */
const READ_CHANGES = "select (select value from meta where name = 'changes') as number, pg_is_in_recovery() as standby"
type ChangesRow = { number: number | null, standby: boolean }

/** The timeline: another one after each promotion of a standby. */
const READ_TIMELINE = "select ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int as timeline"

/** What a store tells of the commits of others. */
type Changes = Pick<Store, 'changed' | 'ask' | 'asOf' | 'epoch' | 'onChange' | 'close'>

/**
 * Follows the number of the last commit that changed rules or keys. LISTEN brings it at once, and proves nothing while it is silent: the
 * connection may be cut off. So it is also asked for, several times within the bound, and an answer counts from when it was asked for.
 * @param bound - milliseconds.
 */
export function followChanges ({ url, bound, query, log }: { url: string, bound: number, query: Query, log: (error: unknown, message: string) => void }): Changes {
  const listeners: Array<() => void> = []
  let told = 0
  let heard = 0
  let confirmed: Moment = { monotonic: -Infinity, wall: -Infinity }
  let epoch = 0
  let isAnother = false
  let asking: Promise<void> | undefined
  const closing = new AbortController()

  function hear (number: number): void {
    const isNews = number !== heard
    heard = number
    if (isNews) tell()
  }

  function tell (): void {
    for (const listener of listeners) listener()
  }

  function takeIn ([row]: ChangesRow[], asked: Moment): void {
    if (row?.standby !== false) throw new Error('The database is a standby: it does not know what is committed now')
    confirmed = asked
    hear(row.number ?? 0)
  }

  /** Where it is another one than before, all that was followed by number has to be looked at again. */
  async function readTimeline (client: pg.Client): Promise<void> {
    const timeline = await client.query<{ timeline: number }>(READ_TIMELINE).then(({ rows }) => rows[0]?.timeline ?? epoch, error => {
      // Services that only speak the protocol have no timelines, and no standby that lacks commits.
      if (error instanceof pg.DatabaseError) return epoch
      throw error
    })
    if (timeline === epoch) return
    isAnother = epoch !== 0
    epoch = timeline
    if (isAnother) tell()
  }

  function isCurrent (): boolean {
    return performance.now() - confirmed.monotonic <= bound && Date.now() - confirmed.wall <= bound
  }

  async function askOnce (): Promise<void> {
    const asked = moment()
    // What comes later than the bound is of no use: see `Follower.refresh`.
    takeIn(await within(bound, query<ChangesRow>(READ_CHANGES)), asked)
  }

  async function listen (): Promise<void> {
    const client = new pg.Client(toClientConfig(url))
    const lost = new Promise<never>((_resolve, reject) => {
      client.on('error', reject)
      client.on('end', () => reject(new Error('The server has closed the connection')))
      closing.signal.addEventListener('abort', () => reject(new Error('The app has closed')), { once: true })
    })
    lost.catch(() => {})
    try {
      await Promise.race([client.connect(), lost])
      client.on('notification', ({ payload }) => {
        // Answers and notifications come in the order of the commits; an answer on another connection may have overtaken this one.
        const number = Number(payload)
        if (number > heard) hear(number)
      })
      await Promise.race([client.query('listen latchkey'), lost])
      await Promise.race([readTimeline(client), lost])
      for (;;) {
        const asked = moment()
        const { rows } = await Promise.race([within(bound, client.query<ChangesRow>(READ_CHANGES)), lost])
        takeIn(rows, asked)
        await Promise.race([delay(bound / POLLS_PER_BOUND, undefined, { ref: false }), lost])
      }
    } finally {
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
      if (isAnother || heard !== told) {
        isAnother = false
        told = heard
        return true
      }
      return isCurrent() ? false : undefined
    },
    async ask () {
      asking ??= askOnce().finally(() => { asking = undefined })
      await asking
    },
    asOf: () => confirmed.monotonic,
    epoch: () => epoch,
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

/** The answer, or an error where it takes longer than so many milliseconds. */
async function within<T> (milliseconds: number, answer: Promise<T>): Promise<T> {
  const timer = new AbortController()
  answer.catch(() => {})
  try {
    return await Promise.race([
      answer,
      delay(milliseconds, undefined, { signal: timer.signal }).then(() => { throw new Error(`No answer of the database within ${milliseconds} ms`) })
    ])
  } finally {
    timer.abort()
  }
}

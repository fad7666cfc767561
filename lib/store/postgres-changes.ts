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

/** What a store tells of the commits of others. */
type Changes = Pick<Store, 'changed' | 'ask' | 'asOf' | 'epoch' | 'onChange' | 'close'>

/**
 * Follows the number of the last commit that changed rules or keys. LISTEN brings it at once, and proves nothing while it is silent: the
 * connection may be cut off. So it is also asked for, several times within the bound, and an answer counts from when it was asked for.
 * @param query - reads the number on some connection.
 * @param bound - milliseconds.
 */
export function followChanges ({ url, bound, query, log }: { url: string, bound: number, query: () => Promise<number>, log: (error: unknown, message: string) => void }): Changes {
  const listeners: Array<() => void> = []
  let told = 0
  let heard = 0
  let confirmed: Moment = { monotonic: -Infinity, wall: -Infinity }
  let epoch = 0
  let asking: Promise<void> | undefined
  const closing = new AbortController()

  function hear (number: number, asked?: Moment): void {
    // It never goes back but where another server has taken over that lacks the last commits.
    if (number < heard) epoch++
    const isNews = number !== heard
    heard = number
    if (asked !== undefined) confirmed = asked
    if (isNews) for (const listener of listeners) listener()
  }

  function isCurrent (): boolean {
    return performance.now() - confirmed.monotonic <= bound && Date.now() - confirmed.wall <= bound
  }

  async function askOnce (): Promise<void> {
    const asked = moment()
    // What comes later than the bound is of no use: see `Follower.refresh`.
    hear(await within(bound, query()), asked)
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
      // Another server may have answered: see `Store.epoch`.
      epoch++
      for (;;) {
        const asked = moment()
        const { rows } = await Promise.race([within(bound, client.query<{ value: number }>("select value from meta where name = 'changes'")), lost])
        hear(rows[0]?.value ?? 0, asked)
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
      if (heard !== told) {
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

import { ageOf, MACHINE, NEVER, readMoment } from '../../time/elapsed-time.js'
import type { Moment } from '../../time/elapsed-time.js'
import type { OpenOptions, Store } from '../store.js'
import { startListener } from './listener.js'
import type { ListenerOptions } from './listener.js'
import { createServerTime } from './server-time.js'
import type { ServerTime } from './server-time.js'
import type { ChangesRow } from './timeline.js'
import { within } from './timeout.js'

/** The part of a store that reports the commits of other nodes. */
type Changes = Pick<Store, 'changed' | 'poll' | 'asOf' | 'epoch' | 'onChange' | 'close'>

export interface ChangesFollower extends Changes {
  /** The server's time, or a little less. */
  now (): number
  /** Records the server that a new connection has reached. `started`: when that server started. */
  meet (started: number): void
}

interface FollowOptions {
  servers: ListenerOptions['servers']
  /** The schema of Latchkey's tables. */
  schema: string
  /** Milliseconds. */
  bound: number
  /** The answer to `toChangesQuery` when the store was opened. */
  first: ChangesRow
  /** Runs `toChangesQuery` on some connection. */
  query: () => Promise<ChangesRow | undefined>
  /** Called when a different server answers than before. Connections to the previous server must not be used again. */
  onAnotherServer: () => void
  log: OpenOptions['log']
}

/** What this node knows about the commits of all nodes. */
interface Knowledge {
  readonly options: FollowOptions
  readonly listeners: Array<() => void>
  /** The latest number that a server has sent, its epoch, and when it arrived. */
  readonly latest: { number: number, epoch: number, at: number }
  /** What `changed` has last reported. */
  reported: { number: number, epoch: number }
  /** When the current server started. */
  started: number
  /** How often a backup was restored. */
  restored: number
  /** The moment up to which every commit is known. */
  confirmed: Moment
  readonly time: ServerTime
  /** Aborted when the store closes. */
  readonly closing: AbortSignal
}

/**
 * Follows the number of the last commit that changed rules or keys. LISTEN reports a new number at once. Its silence
 * proves nothing, because the connection may be cut off. So this node also asks for the number several times within the
 * bound. An answer describes the moment when the node asked.
 */
export function followChanges (options: FollowOptions): ChangesFollower {
  const { first, bound, query, log } = options
  const latest = { number: first.number ?? 0, epoch: first.started, at: -Infinity }
  const closing = new AbortController()
  const known: Knowledge = {
    options,
    listeners: [],
    latest,
    reported: { number: latest.number, epoch: latest.epoch },
    started: first.started,
    restored: 0,
    confirmed: NEVER,
    time: createServerTime(log),
    closing: closing.signal
  }
  known.time.take(first.time, readMoment(MACHINE))
  let polling: Promise<void> | undefined

  async function pollOnce (): Promise<void> {
    const asked = readMoment(MACHINE)
    // An answer that arrives after the bound is useless: see `Follower.refresh`.
    take(known, await within(bound, query()), asked)
  }

  const listener = startListener({ ...options, closing: closing.signal, take: (row, asked) => take(known, row, asked) })

  return {
    changed () {
      known.time.assertRight()
      if (isNews(known)) {
        known.reported = { number: latest.number, epoch: latest.epoch }
        return true
      }
      return ageOf(known.confirmed, MACHINE) <= bound ? false : undefined
    },
    async poll () {
      polling ??= pollOnce().finally(() => { polling = undefined })
      await polling
    },
    meet (server) {
      if (server === known.started) return
      meetAnother(known, server)
      listener.renew()
    },
    now: known.time.now,
    asOf: () => known.confirmed.stopwatch,
    epoch: () => latest.epoch,
    onChange (listener) {
      known.listeners.push(listener)
    },
    async close () {
      closing.abort()
      known.confirmed = NEVER
      await listener.stopped
    }
  }
}

/** Processes an answer to the query that was sent at the moment `asked`. */
function take (known: Knowledge, row: ChangesRow | undefined, asked: Moment): void {
  if (known.closing.aborted) return
  if (row?.standby !== false) throw new Error('The database is a standby, so it does not know the latest commits')
  const { latest } = known
  const number = row.number ?? 0
  known.time.take(row.time, asked)
  if (row.started !== known.started) meetAnother(known, row.started)
  else if (number < latest.number) {
    // An answer on one connection may overtake an answer on another.
    if (latest.at > asked.stopwatch) return
    // Otherwise a backup was restored on the running server.
    known.restored++
    latest.epoch = known.started + known.restored
  }
  if (asked.stopwatch > known.confirmed.stopwatch) known.confirmed = asked
  announce(known, number)
}

/** Stores the latest number. Calls the listeners if `changed` now has something to report. */
function announce (known: Knowledge, number: number): void {
  known.latest.number = number
  known.latest.at = performance.now()
  if (isNews(known)) for (const listener of known.listeners) listener()
}

function isNews ({ latest, reported }: Knowledge): boolean {
  // Another server may have given the number that this node knows to another commit.
  return latest.number !== reported.number || latest.epoch !== reported.epoch
}

/**
 * Changes to another server. The previous server may still be reachable, for example after a failover by name. Then one
 * connection may lead to one server and the next to the other. An answer of one server must not count for the other.
 */
function meetAnother (known: Knowledge, server: number): void {
  known.started = server
  known.latest.epoch = known.started + known.restored
  known.confirmed = NEVER
  known.options.onAnotherServer()
}

import type { Transaction } from 'kysely'
import type { SecurityEvent } from '../../schemas/events.js'
import { raiseTime, readTime } from '../store/meta.js'
import type { Store } from '../store/store.js'
import type { Tables } from '../store/tables.js'
import type { Clock } from '../time/clock.js'
import { keepEvents } from './audit.js'
import { createEvent } from './events.js'
import type { Events, NewEvent } from './events.js'

/**
 * Records events as part of a transaction. The audit trail keeps them with it, and listeners are called after its
 * commit.
 */
type RecordEvent = (...events: NewEvent[]) => Promise<void>

/** A write transaction of the ledger. */
export interface LedgerWrite {
  trx: Transaction<Tables>
  /** Milliseconds. */
  now: number
  record: RecordEvent
}

/** The write path of every domain: it gives each transaction its time, and keeps what happened in the audit trail. */
export interface Ledger {
  /**
   * Runs a write transaction. It resolves after the commit, so only then may the write be acknowledged. `work` may run
   * more than once. `now` is not before the time of any earlier write to this store, whatever the clocks of the other
   * processes show.
   * @param putInForce - runs after the commit and before listeners are called. If it throws, the write stays committed,
   * but the caller gets the error. Default: nothing.
   */
  write<T> (work: (write: LedgerWrite) => Promise<T>, putInForce?: () => void): Promise<T>
  /**
   * Keeps the current time in the store, unless a time at or after `until` (milliseconds) is already kept there. Every
   * write keeps it too. Call it before the process ends, and before reporting that something has expired.
   * Default of `until`: keeps the time in any case.
   */
  keepTime (until?: number): Promise<void>
  /** Advances our clock to the time kept in the store: the clock of another process may be ahead of ours. */
  readTime (): Promise<void>
}

/** Creates the ledger of a store. */
export function createLedger ({ store, clock, events }: { store: Store, clock: Clock, events: Events }): Ledger {
  /** The latest time known to be in the store. */
  let kept = 0

  async function write<T> (work: (write: LedgerWrite) => Promise<T>, putInForce?: () => void): Promise<T> {
    let happened: SecurityEvent[] = []
    let now = 0
    const result = await store.transaction(async trx => {
      happened = []
      now = await raiseTime(trx, clock.now(), clock.now())
      clock.advanceTo(now)
      return await work({
        trx,
        now,
        async record (...added) {
          const created = added.map(event => createEvent(event, now))
          await keepEvents(trx, created)
          happened.push(...created)
        }
      })
    })
    kept = Math.max(kept, now)
    putInForce?.()
    for (const event of happened) events.emit(event)
    return result
  }

  return {
    write,
    async keepTime (until = Infinity) {
      if (kept < until) await write(async () => {})
    },
    async readTime () {
      kept = Math.max(kept, await store.read(db => readTime(db, clock.now())))
      clock.advanceTo(kept)
    }
  }
}

import type { Transaction } from 'kysely'
import type { SecurityEvent } from '../../schemas/events.js'
import type { Lock } from '../store/lock.js'
import type { Store } from '../store/store.js'
import type { StoreClock } from '../time/clock.js'
import type { Tables } from '../store/tables.js'
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
  /** The store's time in milliseconds, read after the transaction obtained its locks. */
  now: number
  record: RecordEvent
  /** See `StoreClock.pass`. */
  pass (time: number): void
}

/** The write path of every domain: it gives each transaction its time, and keeps what happened in the audit trail. */
export interface Ledger {
  /**
   * Runs a write transaction. It resolves after the commit, so only then may the write be acknowledged. `work` may run
   * more than once.
   * @param locks - see `Lock`.
   * @param putInForce - runs after the commit and before listeners are called. If it throws, the write stays committed,
   * but the caller gets the error. Default: nothing.
   */
  write<T> (
    locks: readonly Lock[], work: (write: LedgerWrite) => Promise<T>, putInForce?: () => void
  ): Promise<T>
  /** Calls the listeners for events that happened without a transaction, and that the audit trail does not keep. */
  tell (event: NewEvent, now: number): void
}

/** Creates the ledger of a store. */
export function createLedger (
  { store, clock, events }: { store: Store, clock: StoreClock, events: Events }
): Ledger {
  return {
    async write (locks, work, putInForce) {
      let happened: SecurityEvent[] = []
      const result = await store.transaction(async (trx, time) => {
        happened = []
        const now = clock.from(time)
        return await work({
          trx,
          now,
          async record (...added) {
            const created = added.map(event => createEvent(event, now))
            await keepEvents(trx, created)
            happened.push(...created)
          },
          pass: clock.pass
        })
      }, locks)
      putInForce?.()
      for (const event of happened) events.emit(event)
      return result
    },

    tell (event, now) {
      events.emit(createEvent(event, now))
    }
  }
}

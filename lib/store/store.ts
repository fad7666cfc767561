import type { Kysely, Transaction } from 'kysely'
import { LatchkeyError } from '../errors.js'
import type { Tables } from './tables.js'

/**
 * Where everything that outlives a process is kept. A commit is durable when its promise resolves.
 * Every method rejects with `store_unavailable` (503) where the engine is locked, full, read-only, corrupt or gone.
 */
export interface Store {
  /** Reads. */
  read<T> (work: (db: Kysely<Tables>) => Promise<T>): Promise<T>
  /**
   * Writes: all of `work` or nothing of it, and never beside another writer. May run `work` more than once, and commit it together with others;
   * it must only touch the store, and have waited for all that it asked of it when it ends.
   */
  transaction<T> (work: (trx: Transaction<Tables>) => Promise<T>): Promise<T>
  /**
   * Runs `work`, unless another node is in the middle of what it runs alone: then it does nothing and gives undefined. For housekeeping
   * that need not be done twice, and does no harm where it is.
   */
  alone<T> (work: () => Promise<T>): Promise<T | undefined>
  /**
   * Whether somebody else has committed revocation rules or keys since the last call: another process on the same file, another node.
   * Undefined: too long ago that this was known for certain, `ask` first. Throws where it cannot be told.
   */
  changed (): boolean | undefined
  /** Asks the engine what `changed` could not tell. Rejects where it does not answer in time. */
  ask (): Promise<void>
  /** The moment, in milliseconds of `performance.now()`, up to which `changed` has told everything that was committed. */
  asOf (): number
  /**
   * Another number when another server has taken over, which may lack the last commits of the one before and give their numbers to
   * others: what was followed by number must then be read again from some way back. `changed` tells of it.
   */
  epoch (): number
  /** Calls `listener` when the engine says by itself that `changed` has something to tell. Not every engine does. */
  onChange (listener: () => void): void
  close (): Promise<void>
}

/** How a database is opened. */
export interface OpenOptions {
  /** Milliseconds for which it may be unknown what other nodes have committed: see `Store.changed`. */
  bound: number
  log: (error: unknown, message: string) => void
  /** What errors call the database. Default: the option `database`. */
  name?: string
  /** Whether it must be a database of ours already, and is not made. Default: false. */
  mustExist?: boolean
  /** Milliseconds that a server may take for a statement, the wait for a lock with it. Default: 5 s. */
  patience?: number
}

/** The engine cannot do now what was asked of it: not the asker's fault, and worth another try. */
export function storeUnavailable (cause: unknown): LatchkeyError {
  return new LatchkeyError('store_unavailable', { cause, retryAfter: 1 })
}

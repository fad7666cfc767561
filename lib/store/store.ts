import type { Kysely, Transaction } from 'kysely'
import type { Tables } from './tables.js'

/**
 * Where everything that outlives a process is kept. A commit is durable when its promise resolves.
 * Every method rejects with `store_unavailable` (503) where the engine is locked, full, read-only, corrupt or gone.
 */
export interface Store {
  /** Reads. */
  read<T> (work: (db: Kysely<Tables>) => Promise<T>): Promise<T>
  /** Writes: all of `work` or nothing of it, and never beside another writer. May run `work` more than once; it must only touch the store. */
  transaction<T> (work: (trx: Transaction<Tables>) => Promise<T>): Promise<T>
  /** Whether somebody else has committed since the last call: another process on the same file, another node. Throws where that cannot be told. */
  changed (): boolean
  close (): Promise<void>
}

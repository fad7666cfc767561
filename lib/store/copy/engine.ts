import type { Queryable } from '../tables.js'
import type { TableName } from './tables.js'

/** What `latchkey copy` needs to know about an engine. */
export interface CopyEngine {
  /** The most parameters that a query may have. */
  readonly mostParameters: number
  /** Whether a text may contain NUL. */
  readonly holdsNul: boolean
  /** Keeps this transaction open for as long as the work on the other database takes. */
  wait (trx: Queryable): Promise<void>
  /**
   * Prevents all other writes until the transaction ends. Returns a mark of the transaction for `isMarked`, or
   * undefined if the engine needs none.
   */
  hold (trx: Queryable): Promise<number | undefined>
  /** Whether the transaction with this mark runs on the same database. */
  isMarked (db: Queryable, mark: number): Promise<boolean>
  /** Returns the last number that a table has given to a row, or 0 if it has given none. */
  lastNumber (trx: Queryable, table: TableName): Promise<number>
  /** Makes a table continue with numbers above `last`. */
  continueAfter (trx: Queryable, table: TableName, last: number): Promise<void>
  /** Returns an error of the engine as `Store` reports it, and any other error unchanged. */
  translate (error: unknown): unknown
  /** Whether an error of `Engine.open` may disappear without a change to the command: try again. */
  isAway (error: unknown): boolean
}

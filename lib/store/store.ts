import type { Kysely, Transaction } from 'kysely'
import { LatchkeyError } from '../errors.js'
import type { Lock } from './lock.js'
import type { Rotate } from './rotation.js'
import type { Tables } from './tables.js'

/** What errors call the database that a service is started with. */
export const DATABASE_OPTION = 'The option database (LATCHKEY_DATABASE)'

/**
 * Stores everything that outlives a process. A commit is durable when its promise resolves. Every method rejects with
 * `store_unavailable` (503) if the engine is locked, full, read-only, corrupt or gone. It rejects with `overloaded`
 * (503) if the engine works but too many operations wait for it.
 */
export interface Store {
  /** Runs queries that only read. */
  read<T> (work: (db: Kysely<Tables>) => Promise<T>): Promise<T>
  /**
   * Commits all writes of `work`, or none of them. Two transactions that name the same thing in their locks run
   * one after the other, unless both share it. The store may run `work` more than once, and may commit it together
   * with others. So `work` must only touch the store, and must wait for all its queries before it ends.
   * @param work - gets the store's time in milliseconds, read when the transaction held its locks.
   * @param locks - what the transaction decides on. Default: nothing that another transaction could change.
   */
  transaction<T> (work: (trx: Transaction<Tables>, now: number) => Promise<T>, locks?: readonly Lock[]): Promise<T>
  /** See `Rotate`. Undefined if a transaction costs no more than one statement. */
  rotate?: Rotate
  /** The store's time in milliseconds. It can be set back. With a server, it is never ahead of the server's clock. */
  now (): number
  /**
   * Resolves if a login could write now. Otherwise it rejects with the same error and after the same time as the login.
   * It does not wait behind other writers of this process.
   */
  proveWritable (): Promise<void>
  /**
   * Runs `work`, unless another node currently runs such work. In that case it does nothing and returns undefined. Use
   * it for housekeeping that one node can do for all, and that is harmless if two nodes do it.
   */
  onOneNode<T> (work: () => Promise<T>): Promise<T | undefined>
  /**
   * Whether another process on the same file, or another node, has committed revocation rules or keys since the last
   * call. Returns undefined if the last answer of the engine is too old: call `poll` first. Throws if it cannot know,
   * or a `WrongClock` if this machine must not serve.
   */
  changed (): boolean | undefined
  /** Asks the engine for what `changed` could not report. Rejects if the engine does not answer in time. */
  poll (): Promise<void>
  /** The moment, in milliseconds of `performance.now()`, up to which `changed` has reported every commit. */
  asOf (): number
  /**
   * A number that changes when another server takes over. That server may lack the last commits of the previous one,
   * and may give their numbers to other commits. A reader that follows such numbers must then start again from further
   * back. `changed` reports the takeover too.
   */
  epoch (): number
  /**
   * Calls `listener` when the engine announces a change that `changed` will report. Not every engine announces them.
   */
  onChange (listener: () => void): void
  close (): Promise<void>
}

/** How to open a database. */
export interface OpenOptions {
  /** Milliseconds for which commits of other nodes may remain unknown: see `Store.changed`. */
  bound: number
  log: (error: unknown, message: string) => void
  /** What errors call the database. Default: the option `database`. */
  name?: string
  /** Replaces the clock of the engine, for tests. Default: the machine's clock, or the server's. */
  now?: (() => number) | undefined
  /** Whether to refuse a database that Latchkey has not created already. Default: false. */
  mustExist?: boolean
  /** Milliseconds that a server may take for a statement, including its wait for a lock. Default: `timeout`, or 5 s. */
  patience?: number
  /**
   * The total milliseconds that an operation may wait: for a connection, for locks, and for every answer.
   * Default: no limit, except `patience` for each step.
   */
  timeout?: number
  /**
   * Milliseconds. If an operation has waited longer than this for a connection, and the server still answers others,
   * the next operations are refused as `overloaded` at once. Default: never.
   */
  longestQueue?: number
  /** Receives how many milliseconds a write transaction waited before it could begin or gave up. */
  onWait?: (milliseconds: number) => void
  /**
   * Whether to continue on a server that lacks changes which this process has seen acknowledged. Default: false.
   */
  acceptLostCommits?: boolean
}

/** The engine works, but is overloaded. The caller is not at fault, and may try again. */
export function storeOverloaded (cause: unknown): LatchkeyError {
  const message = 'Too many requests are waiting for the database: try again in a moment.'
  return new LatchkeyError('overloaded', { message, cause, retryAfter: 1 })
}

/** The server that answers must not be used. The message says why, and what to do. */
export class UnfitServer extends Error {
  override readonly name: string = 'UnfitServer'
}

/** This machine must not use the server, because the machine's clock is wrong by too much. */
export class WrongClock extends UnfitServer {
  override readonly name = 'WrongClock'
}

/** Returns the error of a server that must not be used, if that is the cause of an error. */
export function findUnfitServer (error: unknown): UnfitServer | undefined {
  if (error instanceof UnfitServer) return error
  return error instanceof Error ? findUnfitServer(error.cause) : undefined
}

/** Only a change to the option `database` or to the database itself can help. The message says what to change. */
export class UnfitDatabase extends Error {
  override readonly name = 'UnfitDatabase'
}

/** The engine cannot do this now. The caller is not at fault, and may try again. */
export function storeUnavailable (cause: unknown): LatchkeyError {
  return new LatchkeyError('store_unavailable', { cause, retryAfter: 1 })
}

/** Returns an error that means that the state of the store is unknown, whatever went wrong. */
export function toUnavailable (error: unknown): LatchkeyError {
  return error instanceof LatchkeyError ? error : storeUnavailable(error)
}

import type { CopyEngine } from './copy/engine.js'
import type { OpenOptions, Store } from './store.js'

/**
 * A database engine: the contract that a folder of `lib/store` implements in its `engine.ts`. That file loads no
 * driver, because a process needs the driver of one engine only, and loading it takes a good part of a start.
 */
export interface Engine {
  /** What messages call the engine. */
  readonly name: string
  /** Whether nodes on several machines share a database, so that each of them must be given the same secret. */
  readonly isShared: boolean
  /** Whether the option `database` names a database of this engine. */
  matches (database: string): boolean
  /** Returns the option `database` for a message, without anything secret in it. */
  describe (database: string): string
  /** Returns the path of the file that holds the database, or undefined if there is no such file. */
  fileOf (database: string): string | undefined
  /** Loads the driver and opens the database. */
  open (database: string, options: OpenOptions): Promise<Store>
  /** Loads what `latchkey copy` needs to know about the engine. */
  loadCopyEngine (): Promise<CopyEngine>
}

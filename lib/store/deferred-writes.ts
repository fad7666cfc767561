import type { Transaction } from 'kysely'
import type { Store } from './store.js'
import type { Tables } from './tables.js'

/** Milliseconds from the first note to the write. */
const DELAY = 1_000

/** How many notes one transaction writes. This blocks other requests for about a millisecond. */
const STEP = 100

/** How many notes may wait if the store cannot be written to. */
const MOST_WAITING = 10_000

/**
 * Writes that no response waits for, such as the time of the last use. They are collected for a second, and committed
 * together. A process that is killed loses the notes of that second. So note only values that will be noted again, or
 * that may be lost.
 */
export interface DeferredWrites<Value> {
  /**
   * Notes a value. It replaces an earlier one with the same key. Returns false if too many wait. Then nothing is
   * noted, and the caller may try again later.
   */
  note (key: string, value: Value): boolean
  /** Returns the value that is noted but not yet committed. */
  waiting (key: string): Value | undefined
  /** Commits what is noted. Rejects if the store fails. The notes are then kept. */
  flush (): Promise<void>
}

/**
 * Creates deferred writes to one table.
 * @param write - writes some notes. It may run more than once.
 * @param onFailure - receives the error of a failed write. The write is tried again after a second.
 */
export function createDeferredWrites<Value> (store: Pick<Store, 'transaction'>, { write, onFailure }: {
  write: (trx: Transaction<Tables>, notes: ReadonlyArray<readonly [string, Value]>) => Promise<void>
  onFailure: (error: unknown) => void
}): DeferredWrites<Value> {
  const notes = new Map<string, Value>()
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<void> = Promise.resolve()

  function schedule (): void {
    timer ??= setTimeout(() => {
      timer = undefined
      flush().catch(error => {
        onFailure(error)
        schedule()
      })
    }, DELAY).unref()
  }

  async function writeAll (): Promise<void> {
    const entries = [...notes]
    for (let start = 0; start < entries.length; start += STEP) {
      const step = entries.slice(start, start + STEP)
      await store.transaction(trx => write(trx, step))
      for (const [key, value] of step) {
        // A newer value for the same key may have been noted meanwhile.
        if (notes.get(key) === value) notes.delete(key)
      }
    }
  }

  function flush (): Promise<void> {
    const flushing = writing.then(writeAll)
    writing = flushing.catch(() => {})
    return flushing
  }

  return {
    note (key, value) {
      if (notes.size >= MOST_WAITING && !notes.has(key)) return false
      notes.set(key, value)
      schedule()
      return true
    },
    waiting: key => notes.get(key),
    flush
  }
}

import { engineOf } from './engines.js'
import type { OpenOptions, Store } from './store.js'

/** Opens the store that the option `database` names. */
export async function openStore (database: string, options: OpenOptions): Promise<Store> {
  const store = await engineOf(database).open(database, options)
  const { onWait } = options
  return onWait === undefined ? store : { ...store, transaction: measureWaits(store.transaction, onWait) }
}

/** Measures how long each transaction waits for its turn: for a connection, for locks, or for other transactions. */
function measureWaits (
  transaction: Store['transaction'], onWait: (milliseconds: number) => void
): Store['transaction'] {
  return async function measured (work, locks) {
    const asked = performance.now()
    let isWaiting = true
    function endWait (): void {
      // The store may run the work again.
      if (isWaiting) onWait(performance.now() - asked)
      isWaiting = false
    }
    try {
      return await transaction((trx, now) => {
        endWait()
        return work(trx, now)
      }, locks)
    } finally {
      endWait()
    }
  }
}

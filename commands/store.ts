import type { Store } from '../lib/store/store.js'
import { readConfiguration } from './configuration.js'

/** Opens only the database, which must exist, and closes it when `work` is done. */
export async function withStore (work: (store: Store) => Promise<void>): Promise<void> {
  const { check } = await readConfiguration()
  const { database, revocationBound: bound } = check()
  const { openStore } = await import('../lib/store/open.js')
  const store = await openStore(database, { bound, log: () => {}, mustExist: true })
  try {
    await work(store)
  } finally {
    await store.close()
  }
}

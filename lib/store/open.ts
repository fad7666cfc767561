import { engineOf } from './engines.js'
import type { OpenOptions, Store } from './store.js'

/** Opens the store that the option `database` names. */
export async function openStore (database: string, options: OpenOptions): Promise<Store> {
  return await engineOf(database).open(database, options)
}

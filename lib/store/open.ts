import { isPostgres } from './database-url.js'
import { openSqlite } from './sqlite/open.js'
import type { OpenOptions, Store } from './store.js'

/** Opens the store that the option `database` names. */
export async function openStore (database: string, options: OpenOptions): Promise<Store> {
  if (!isPostgres(database)) return await openSqlite(database, options)
  // Loaded where it is wanted: most processes start on SQLite.
  const { openPostgres } = await import('./postgres/open.js')
  return await openPostgres(database, options)
}

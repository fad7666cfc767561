import { isPostgres } from './database-url.js'
import { openSqlite } from './sqlite.js'
import type { Store } from './store.js'

/**
 * Opens the store that the option `database` names.
 * @param bound - milliseconds for which it may be unknown what other nodes have committed.
 */
export async function openStore (database: string, { bound, log }: { bound: number, log: (error: unknown, message: string) => void }): Promise<Store> {
  if (!isPostgres(database)) return await openSqlite(database)
  // Loaded where it is wanted: most processes start on SQLite.
  const { openPostgres } = await import('./postgres.js')
  return await openPostgres(database, { bound, log })
}

import { storeUnavailable } from '../store.js'

function codeOf (error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

/** Whether another process currently holds a lock. */
export function isLocked (error: unknown): boolean {
  return /^SQLITE_(BUSY|LOCKED)/.test(codeOf(error))
}

/** Returns `store_unavailable` if SQLite currently cannot do its work, and any other error unchanged. */
export function translate (error: unknown): unknown {
  if (/^SQLITE_(?!CONSTRAINT|ERROR|MISUSE|RANGE)/.test(codeOf(error))) return storeUnavailable(error)
  return isClosed(error) ? storeUnavailable(error) : error
}

/** better-sqlite3 and Kysely throw these errors when the app has closed. */
function isClosed (error: unknown): boolean {
  return error instanceof Error && /connection is not open|driver has already been destroyed/.test(error.message)
}

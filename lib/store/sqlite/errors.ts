import { storeUnavailable } from '../store.js'

function codeOf (error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

/** Whether another process is in the way, for now. */
export function isLocked (error: unknown): boolean {
  return /^SQLITE_(BUSY|LOCKED)/.test(codeOf(error))
}

/** What SQLite cannot do now as `store_unavailable`; all else as it is. */
export function translate (error: unknown): unknown {
  if (/^SQLITE_(?!CONSTRAINT|ERROR|MISUSE|RANGE)/.test(codeOf(error))) return storeUnavailable(error)
  // Of better-sqlite3 and of Kysely, when the app has closed.
  if (error instanceof Error && /connection is not open|driver has already been destroyed/.test(error.message)) return storeUnavailable(error)
  return error
}

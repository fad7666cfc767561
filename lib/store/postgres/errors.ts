import pg from 'pg'
import { LatchkeyError } from '../../errors.js'
import { storeUnavailable } from '../store.js'
import { TooLateError } from './timeout.js'

/**
 * Whether PostgreSQL refused a query because of the query itself. These are the classes 21 (cardinality), 22 (data), 23
 * (constraint), 42 (syntax or access) and P0. All other errors concern the server, the connection or the transaction.
 */
export function isRefusal (error: unknown): boolean {
  return error instanceof pg.DatabaseError && /^(21|22|23|42|P0)/.test(error.code ?? '')
}

/** Whether a query was given up, here or by the server, because it took too long. */
export function isTimeout (error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return error.code === '57014'
  return error instanceof TooLateError || (error instanceof Error && error.message === 'Query read timeout')
}

/**
 * Returns `store_unavailable` if the app has closed, and any other error unchanged. The pool has already translated
 * the errors of the engine.
 */
export function translate (error: unknown): unknown {
  const isClosed = error instanceof Error && /driver has already been destroyed/.test(error.message)
  return isClosed ? storeUnavailable(error) : error
}

/** Returns the engine's message. If a name has several addresses, `pg` reports an error for each, and no message. */
export function messageOf (error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join(', ')
  if (!(error instanceof Error)) return String(error)
  return error instanceof LatchkeyError ? messageOf(error.cause) : error.message
}

/** Whether waiting cannot help: the password or a name is wrong. */
export function isFinal (error: unknown): error is LatchkeyError {
  if (!(error instanceof LatchkeyError) || !(error.cause instanceof Error)) return false
  return /^(28|3D)/.test(String((error.cause as { code?: unknown }).code))
}

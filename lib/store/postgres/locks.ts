// The name of an advisory lock is two numbers, and belongs to the whole database. The app may take locks of its own
// there, and each schema may hold another Latchkey. One Latchkey must not wait for another. Each connection has only
// Latchkey's schema in its search_path, so all roles that use the same tables take the same lock.

const SCHEMA = 'pg_catalog.hashtext(pg_catalog.current_schema()::text)'

/** Returns the name of an advisory lock of the Latchkey in the current schema, as SQL. */
export function nameLock (number: number): string {
  return `${number}, ${SCHEMA}`
}

/** Held by each write transaction ("latc"). */
export const WRITER = nameLock(0x6c617463)

/** Held by the node that runs `Store.onOneNode`. */
export const ONE_NODE = nameLock(0x6c617464)

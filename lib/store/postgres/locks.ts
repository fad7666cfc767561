import { createHash } from 'node:crypto'
import pg from 'pg'
import type { Lock } from '../lock.js'
import { withoutNul } from './nul.js'

// The name of an advisory lock is a number that belongs to the whole database. The app may take locks of its own there,
// and each schema may hold another Latchkey. One Latchkey must not wait for another. Each connection has only
// Latchkey's schema in its search_path, so all roles that use the same tables take the same lock.

const SCHEMA = 'pg_catalog.hashtext(pg_catalog.current_schema()::text)'

/** Returns the name of an advisory lock of the Latchkey in the current schema, as SQL. */
export function nameLock (number: number): string {
  return `${number}, ${SCHEMA}`
}

/** Held by the node that runs `Store.onOneNode` ("latd"). */
export const ONE_NODE = nameLock(0x6c617464)

/** Held by the node that brings the schema up to date ("latm"). */
export const MIGRATION = nameLock(0x6c61746d)

/** Returns the number of the advisory lock for something in a schema. If two things get the same number, one waits. */
export function numberOf (schema: string, { on, id = '' }: Pick<Lock, 'on' | 'id'>): bigint {
  return createHash('sha256').update(`latchkey\0${schema}\0${on}\0${id}`).digest().readBigInt64BE()
}

/**
 * Returns the SQL that takes the locks, until the end of the transaction. Every transaction takes its locks in the same
 * order, so none waits for another that waits for it. The row of a user is locked too, because a refresh in one
 * statement locks that row (see `rotation.ts`).
 */
export function lockAll (schema: string, locks: readonly Lock[]): string[] {
  const numbered = locks.map(lock => ({ ...lock, number: numberOf(schema, lock) }))
  // Each lock once, and the exclusive one first.
  numbered.sort((a, b) => a.number === b.number
    ? Number(a.isShared) - Number(b.isShared)
    : a.number < b.number ? -1 : 1)
  const sorted = numbered.filter(({ number }, index) => number !== numbered[index - 1]?.number)
  const calls = sorted.map(({ number, isShared }) =>
    `pg_catalog.pg_advisory_xact_lock${isShared ? '_shared' : ''}('${number}'::bigint)`)
  const rows = sorted.filter(({ on, isShared }) => on === 'user' && !isShared)
    .map(({ id = '' }) => `select 1 from latchkey_users where id = ${pg.escapeLiteral(withoutNul(id))} for update`)
  return calls.length === 0 ? [] : [`select ${calls.join(', ')}`, ...rows]
}

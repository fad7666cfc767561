import { randomInt } from 'node:crypto'
import type { RawBuilder } from 'kysely'
import { LatchkeyError } from '../../errors.js'
import type { CopyEngine } from '../copy/engine.js'
import { TABLES } from '../copy/tables.js'
import type { TableName } from '../copy/tables.js'
import { sql } from '../kysely.js'
import { translate } from './errors.js'
import { nameLock } from './locks.js'

/** Settings that end a transaction if it takes long, or is idle for long. Older servers do not have all of them. */
const LIMITS = ['idle_in_transaction_session_timeout', 'transaction_timeout']

export const copyEngine: CopyEngine = {
  mostParameters: 65_535,
  holdsNul: false,
  async wait (trx) {
    await sql`select pg_catalog.set_config(name, '0', true) from pg_catalog.pg_settings
      where name in (${sql.join(LIMITS)})`.execute(trx)
  },
  async hold (trx) {
    // This lock stops all writers, so every page shows the same moment.
    await sql`lock table ${sql.join(TABLES.map(table => sql.table(table)))} in share mode`.execute(trx)
    const mark = randomInt(2 ** 31)
    await sql`select pg_catalog.pg_advisory_xact_lock(${sql.raw(nameLock(mark))})`.execute(trx)
    return mark
  },
  // A database may have several names and addresses, but it has only one set of advisory locks.
  async isMarked (db, mark) {
    const { rows } = await sql<{ free: boolean }>`
      select pg_catalog.pg_try_advisory_xact_lock(${sql.raw(nameLock(mark))}) as free`.execute(db)
    return rows[0]?.free !== true
  },
  async lastNumber (trx, table) {
    const { rows } = await sql<{ last: number | null }>`
      select pg_catalog.pg_sequence_last_value(${sequenceOf(table)}) as last`.execute(trx)
    return rows[0]?.last ?? 0
  },
  async continueAfter (trx, table, last) {
    if (last > 0) await sql`select pg_catalog.setval(${sequenceOf(table)}, ${last}::bigint)`.execute(trx)
  },
  translate,
  isAway: error => error instanceof Error && error.cause instanceof LatchkeyError
}

function sequenceOf (table: TableName): RawBuilder<unknown> {
  return sql`pg_catalog.pg_get_serial_sequence(${table}, 'seq')::regclass`
}

import { randomInt } from 'node:crypto'
import { isPostgres } from '../database-url.js'
import { TABLES } from './tables.js'
import type { TableName } from './tables.js'
import { sql } from '../kysely.js'
import type { Queryable } from '../tables.js'

/** What a copy needs and the engines spell differently. */
export interface CopyEngine {
  /** Whether a text may have NUL in it. */
  readonly holdsNul: boolean
  /** Keeps this transaction open, however long the other database has the word. */
  wait (trx: Queryable): Promise<void>
  /** Keeps all others from writing until the transaction ends. Gives a mark of it for `isMarked`, where the engine has such. */
  hold (trx: Queryable): Promise<number | undefined>
  /** Whether the transaction with this mark is one of the same database. */
  isMarked (db: Queryable, mark: number): Promise<boolean>
  /** The last number that a table has given to a row, 0 where there was none. */
  lastNumber (trx: Queryable, table: TableName): Promise<number>
  /** Makes a table go on above `last`. */
  continueAfter (trx: Queryable, table: TableName, last: number): Promise<void>
}

/** The engine of a database. */
export function engineOf (database: string): CopyEngine {
  return isPostgres(database) ? POSTGRES : SQLITE
}

const SQLITE: CopyEngine = {
  holdsNul: true,
  async wait () {},
  // Whoever begins a transaction of ours is the only writer of the file.
  hold: async () => undefined,
  // Two names of one file are found before it is opened.
  isMarked: async () => false,
  async lastNumber (trx, table) {
    const { rows } = await sql<{ seq: number }>`select seq from sqlite_sequence where name = ${table}`.execute(trx)
    return rows[0]?.seq ?? 0
  },
  async continueAfter (trx, table, last) {
    await sql`delete from sqlite_sequence where name = ${table}`.execute(trx)
    await sql`insert into sqlite_sequence (name, seq) values (${table}, ${last})`.execute(trx)
  }
}

/** What ends a transaction of PostgreSQL that takes long, or is idle for long. Older servers do not know all of them. */
const LIMITS = ['idle_in_transaction_session_timeout', 'transaction_timeout']

const POSTGRES: CopyEngine = {
  holdsNul: false,
  async wait (trx) {
    await sql`select set_config(name, '0', true) from pg_settings where name in (${sql.join(LIMITS)})`.execute(trx)
  },
  async hold (trx) {
    // Ours have to wait for their turn as it is; this holds off everybody else, so that each page is read of the same moment.
    await sql`lock table ${sql.join(TABLES.map(table => sql.table(table)))} in share mode`.execute(trx)
    const mark = randomInt(2 ** 47)
    await sql`select pg_advisory_xact_lock(${mark}::bigint)`.execute(trx)
    return mark
  },
  // A database has several names and addresses, but advisory locks of its own.
  async isMarked (db, mark) {
    const { rows } = await sql<{ free: boolean }>`select pg_try_advisory_xact_lock(${mark}::bigint) as free`.execute(db)
    return rows[0]?.free !== true
  },
  async lastNumber (trx, table) {
    const { rows } = await sql<{ last: number | null }>`select pg_sequence_last_value(pg_get_serial_sequence(${table}, 'seq')::regclass) as last`.execute(trx)
    return rows[0]?.last ?? 0
  },
  async continueAfter (trx, table, last) {
    if (last > 0) await sql`select setval(pg_get_serial_sequence(${table}, 'seq'), ${last}::bigint)`.execute(trx)
  }
}

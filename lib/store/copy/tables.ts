import type { RawBuilder } from 'kysely'
import { sql } from '../kysely.js'
import type { Queryable, Tables } from '../tables.js'

export type TableName = keyof Tables & string

/** Tables that number their rows. They never use a number twice, even if the last rows were purged. */
type NumberedTable = { [Name in TableName]: 'seq' extends keyof Tables[Name] ? Name : never }[TableName]

/**
 * Each table with its primary key, in the order of the copy. The compiler requires all tables, and
 * test/lib/store/copy/copy.test.ts compares them with the databases.
 */
export const PRIMARY_KEYS: { readonly [Name in TableName]: ReadonlyArray<keyof Tables[Name] & string> } = {
  latchkey_users: ['id'],
  latchkey_sessions: ['id'],
  latchkey_status_lists: ['id'],
  latchkey_rules: ['seq'],
  latchkey_clients: ['id'],
  latchkey_personal_access_tokens: ['id'],
  latchkey_keys: ['kid'],
  latchkey_attempts: ['key'],
  latchkey_events: ['seq'],
  latchkey_meta: ['name'],
  latchkey_settings: ['name'],
  latchkey_roles: ['name']
}

export const TABLES = Object.keys(PRIMARY_KEYS) as TableName[]

export const NUMBERED: Readonly<Record<NumberedTable, true>> = {
  latchkey_rules: true, latchkey_events: true
}

/**
 * Rows that belong to the engine. PostgreSQL's triggers count the commits that other nodes must learn about, including
 * the commit of the copy.
 */
const NOT_COPIED: { readonly [Name in TableName]?: RawBuilder<boolean> } = {
  latchkey_meta: sql<boolean>`name = 'changes'`
}

/** A row of any table: a value for each column. */
export type Row = Readonly<Record<string, unknown>>

/** The most rows in memory at a time. */
const PAGE = 1_000

/** Counts the rows of a table that are copied. */
export async function countRows (db: Queryable, table: TableName): Promise<number> {
  const { rows } = await sql<{ number: number }>`
    select count(*) as number from ${sql.table(table)} where ${isCopied(table)}`.execute(db)
  return rows[0]?.number ?? 0
}

/**
 * Yields all rows of a table that are copied, in the order of its primary key. The order is the same in every engine.
 */
export async function * readPages (db: Queryable, table: TableName): AsyncGenerator<Row[]> {
  const key = PRIMARY_KEYS[table] as readonly string[]
  const columns = sql.join(key.map(column => sql.ref(column)))
  let last: Row | undefined
  do {
    const position = sql.join(key.map(column => last?.[column]))
    const after = last === undefined ? sql`` : sql` and (${columns}) > (${position})`
    const { rows } = await sql<Row>`select * from ${sql.table(table)} where ${isCopied(table)}${after}
      order by ${columns} limit ${sql.lit(PAGE)}`.execute(db)
    if (rows.length > 0) yield rows
    last = rows.length < PAGE ? undefined : rows.at(-1)
  } while (last !== undefined)
}

function isCopied (table: TableName): RawBuilder<boolean> {
  const own = NOT_COPIED[table]
  return own === undefined ? sql<boolean>`1 = 1` : sql<boolean>`not (${own})`
}

/** Deletes the rows that a new database begins with, because the copy brings its own. */
export async function clear (trx: Queryable, table: TableName): Promise<void> {
  await sql`delete from ${sql.table(table)} where ${isCopied(table)}`.execute(trx)
}

/** Describes a row's primary key for a message. */
export function describeKey (table: TableName, row: Row): string {
  return PRIMARY_KEYS[table].map(column => `${column} ${JSON.stringify(row[column as string])}`).join(', ')
}

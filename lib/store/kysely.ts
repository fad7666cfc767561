import { createRequire } from 'node:module'
import type * as kysely from 'kysely'

// What is used of Kysely. Its CommonJS build: 260 files, which take half the time to load so, and that is a twentieth of a start.
export const {
  CompiledQuery, DEFAULT_MIGRATION_TABLE, Kysely, Migrator, PostgresDialect, PostgresDriver, sql, SqliteAdapter, SqliteDialect, SqliteDriver
} = createRequire(import.meta.url)('kysely') as typeof kysely

export type Kysely<Tables> = kysely.Kysely<Tables>
export type CompiledQuery<Row = unknown> = kysely.CompiledQuery<Row>

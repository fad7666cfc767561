import { createRequire } from 'node:module'
import type * as kysely from 'kysely'

// The parts of Kysely that Latchkey uses, from its CommonJS build. Kysely has 260 files. Loaded this way they take half
// the time, which saves a twentieth of a start.
export const {
  CompiledQuery, Kysely, Migrator, PostgresAdapter, PostgresDialect, PostgresDriver, sql, SqliteAdapter, SqliteDialect
} = createRequire(import.meta.url)('kysely') as typeof kysely

export type Kysely<Tables> = kysely.Kysely<Tables>
export type CompiledQuery<Row = unknown> = kysely.CompiledQuery<Row>

import type * as kysely from 'kysely'
import commonJs from './commonjs-kysely.cjs'

// The parts of Kysely that Latchkey uses, from its CommonJS build. Kysely has 260 files. Loaded this way they take half
// the time, which saves a twentieth of a start. Bundlers follow `require` in a CommonJS file, but not `createRequire`.
export const {
  CompiledQuery, Kysely, Migrator, PostgresAdapter, PostgresDialect, PostgresDriver, sql, SqliteAdapter, SqliteDialect
} = commonJs.kysely

export type Kysely<Tables> = kysely.Kysely<Tables>
export type CompiledQuery<Row = unknown> = kysely.CompiledQuery<Row>

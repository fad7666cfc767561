import type { DatabaseIntrospector, DatabaseMetadata, Kysely, SchemaMetadata, TableMetadata } from 'kysely'
import { sql } from '../kysely.js'

/**
 * Lists the tables for Kysely's migrator. Kysely's own introspector calls functions that another role could replace:
 * see `search-path.ts`.
 */
export class QualifiedIntrospector implements DatabaseIntrospector {
  readonly #db: Kysely<unknown>

  constructor (db: Kysely<unknown>) {
    this.#db = db
  }

  async getSchemas (): Promise<SchemaMetadata[]> {
    const { rows } = await sql<SchemaMetadata>`select nspname as name from pg_catalog.pg_namespace`.execute(this.#db)
    return rows
  }

  async getTables (): Promise<TableMetadata[]> {
    const { rows } = await sql<{ schema: string, name: string }>`
      select schemaname as schema, tablename as name from pg_catalog.pg_tables`.execute(this.#db)
    return rows.map(table => ({ ...table, isView: false, columns: [] }))
  }

  async getMetadata (): Promise<DatabaseMetadata> {
    return { tables: await this.getTables() }
  }
}

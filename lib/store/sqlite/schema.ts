import type { SchemaDialect } from '../migrations.js'

export const schemaDialect: SchemaDialect = {
  text: 'text',
  addSequence: table => table.addColumn('seq', 'integer', column => column.primaryKey().autoIncrement()),
  // `PRAGMA data_version` reports each commit.
  async announceChanges () {}
}

import { sql } from 'kysely'
import t from 'tap'
import { NUMBERED, PRIMARY_KEYS } from '../../../../lib/store/copy/tables.js'
import { ON_POSTGRES } from '../../../helper.js'
import { openStore } from '../../support.js'

// That what is copied is complete. The copying itself is in test/commands/copy.test.ts, through the command line.

t.test('every table of the database is copied, by its primary key, and every numbered one goes on numbering', async t => {
  const store = await openStore(t)
  const tables = (await store.read(db => db.introspection.getTables()))
    .filter(({ name }) => !name.startsWith('latchkey_migration'))
  t.same(Object.keys(PRIMARY_KEYS).sort(), tables.map(({ name }) => name).sort())
  for (const [table, key] of Object.entries(PRIMARY_KEYS)) {
    const { rows } = await store.read(db => (ON_POSTGRES
      ? sql<{
        name: string
      }>`select column_name as name from information_schema.key_column_usage where constraint_name = ${`${table}_pkey`} order by ordinal_position`
      : sql<{ name: string }>`select name from pragma_table_info(${table}) where pk > 0 order by pk`).execute(db))
    t.same(rows.map(({ name }) => name), key, table)
  }
  t.same(
    Object.keys(NUMBERED).sort(),
    tables.filter((
      { columns }
    ) => columns.some((
      { name, isAutoIncrementing }
    ) => name === 'seq' || isAutoIncrementing)).map(({ name }) => name).sort()
  )
})

import { sql } from '../kysely.js'
import type { SchemaDialect } from '../migrations.js'
import { CHANNEL } from './channel.js'

export const schemaDialect: SchemaDialect = {
  // Ordered by bytes as in SQLite, so that a cursor of a page means the same on every engine and in every locale.
  text: sql`text collate "C"`,
  // The identity column numbers rows in the order of the inserts. For rules, that is the order of the commits too: see
  // `announceChanges`.
  addSequence: table => table.addColumn('seq', 'bigint', column => column.primaryKey().generatedByDefaultAsIdentity()),
  // Numbers the commits that other nodes must learn about. Triggers do it, so that no query can forget it. They run
  // before the rows get their numbers, and the row of the count stays locked until the commit. So a reader that has
  // seen a number has seen every lower one. A session with another search_path may write to the tables too, so the
  // function has its own path, and finds its table in the schema of the trigger.
  async announceChanges (db) {
    await sql`create function latchkey_changed() returns trigger language plpgsql
      set search_path = pg_catalog, pg_temp as $$
      declare number bigint;
      begin
        execute pg_catalog.format('insert into %I.latchkey_meta as meta (name, value) values (''changes'', 1)
          on conflict (name) do update set value = meta.value + 1 returning value', tg_table_schema::text) into number;
        perform pg_catalog.pg_notify(${sql.lit(CHANNEL)}, number::text);
        return null;
      end $$`.execute(db)
    await sql`create trigger latchkey_rules_changed before insert on latchkey_rules
      for each statement execute function latchkey_changed()`.execute(db)
    await sql`create trigger latchkey_keys_changed before insert or update or delete on latchkey_keys
      for each statement execute function latchkey_changed()`.execute(db)
  }
}

import { sql } from '../kysely.js'
import type { SchemaDialect } from '../migrations.js'

export const schemaDialect: SchemaDialect = {
  // Ordered by bytes as in SQLite, so that a cursor of a page means the same on every engine and in every locale.
  text: sql`text collate "C"`,
  // The identity column numbers rows in the order of the inserts. Writers take turns, so it is also the order of the
  // commits.
  addSequence: table => table.addColumn('seq', 'bigint', column => column.primaryKey().generatedByDefaultAsIdentity()),
  // Numbers the commits that other nodes must learn about. Triggers do it, so that no query can forget it.
  async announceChanges (db) {
    await sql`create or replace function latchkey_changed() returns trigger language plpgsql as $$
      declare number bigint;
      begin
        insert into meta (name, value) values ('changes', 1)
          on conflict (name) do update set value = meta.value + 1 returning value into number;
        perform pg_notify('latchkey', number::text);
        return null;
      end $$`.execute(db)
    await sql`create or replace trigger latchkey_rules after insert on rules
      for each statement execute function latchkey_changed()`.execute(db)
    await sql`create or replace trigger latchkey_keys after insert or update or delete on keys
      for each statement execute function latchkey_changed()`.execute(db)
  }
}

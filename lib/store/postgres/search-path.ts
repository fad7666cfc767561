import pg from 'pg'
import { CompiledQuery } from '../kysely.js'
import type { OpenOptions } from '../store.js'
import type { Queryable } from '../tables.js'

// The search_path of a role may name schemas in which other roles create objects. Such a role could add a function that
// fits Latchkey's call better than the one of PostgreSQL, and Latchkey would run it with its own rights
// (CVE-2018-1058). A new schema at the beginning of the path would hide Latchkey's tables. So Latchkey chooses one
// schema when it opens the database, and each connection then searches only pg_catalog and that schema. Other roles may
// be able to create objects there too, so Latchkey's SQL names pg_catalog, or passes the exact types of a function.

/** Returns the search_path of a connection to the Latchkey in `schema`. PostgreSQL searches pg_catalog before it. */
export function toSearchPath (schema: string): string {
  // PostgreSQL would search pg_temp first if the path did not name it.
  return `${pg.escapeIdentifier(schema)}, pg_temp`
}

interface SchemaRow {
  name: string
  /** Whether it holds the tables of a Latchkey. */
  isUsed: boolean
  /** The owner of such tables, if it is a role that this role has no reason to trust. */
  stranger: string | null
  /** Whether every role may create objects in it. */
  isOpen: boolean
}

// Latchkey creates these two tables first, and creates no other table that exists already. So their owner is the owner
// of all its tables.
const MIGRATION_TABLES = `from pg_catalog.pg_class as c where c.relnamespace operator(pg_catalog.=) n.oid
  and c.relname operator(pg_catalog.=) any ('{latchkey_migration,latchkey_migration_lock}'::pg_catalog.name[])`

const TRUSTED = `pg_catalog.pg_has_role(c.relowner, 'member') or c.relowner operator(pg_catalog.=) n.nspowner
  or c.relowner operator(pg_catalog.=) any (
    select datdba from pg_catalog.pg_database
    where datname operator(pg_catalog.=) pg_catalog.current_database()
    union all select oid from pg_catalog.pg_roles where rolsuper
  )`

/** Lists the schemas of the search_path that the role may use, in order. */
const SCHEMAS_QUERY = `select n.nspname::pg_catalog.text as name,
  exists (select ${MIGRATION_TABLES}) as "isUsed",
  (select pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text ${MIGRATION_TABLES} and not (${TRUSTED}) limit 1)
    as stranger,
  pg_catalog.has_schema_privilege('public', n.oid, 'create') as "isOpen"
  from pg_catalog.unnest(pg_catalog.current_schemas(false)) with ordinality as path (name, position)
  join pg_catalog.pg_namespace as n on n.nspname operator(pg_catalog.=) path.name
  where n.nspname operator(pg_catalog.<>) 'pg_catalog'
  order by path.position`

/**
 * Chooses the schema that holds the tables of this Latchkey, or the first one if there are no tables yet.
 * @throws Error if there is no schema, or if the choice is not clear.
 */
export async function findSchema (db: Queryable, log: OpenOptions['log']): Promise<string> {
  const { rows } = await db.executeQuery<SchemaRow>(CompiledQuery.raw(SCHEMAS_QUERY))
  const [first] = rows
  if (first === undefined) throw await noSchema(db)
  const found = choose(rows) ?? first
  if (found !== first) {
    log(new Error(`The search_path begins with the schema ${first.name}, but ${found.name} holds Latchkey's tables`),
      `this node uses the schema ${found.name}; set the search_path of its role to that schema`)
  }
  if (found.isOpen) {
    log(new Error(`Every role of the database may create objects in the schema ${found.name}`),
      `another role could run code with the rights of Latchkey; run: ${closing(found)}`)
  }
  return found.name
}

function closing ({ name }: SchemaRow): string {
  return `revoke create on schema ${pg.escapeIdentifier(name)} from public`
}

/** Returns the schema that holds the tables, if there is one. A stranger's tables count only if there are no others. */
function choose (rows: SchemaRow[]): SchemaRow | undefined {
  const used = rows.filter(({ isUsed }) => isUsed)
  const [own, second] = used.filter(({ stranger }) => stranger === null)
  if (second !== undefined) {
    throw new Error(`the schemas ${own?.name} and ${second.name} of the search_path both hold tables of Latchkey; ` +
      'set the search_path to the schema to use')
  }
  const [planted] = used
  if (own === undefined && planted !== undefined) {
    throw new Error(`the role ${planted.stranger} owns the tables of Latchkey in the schema ${planted.name}; ` +
      'set the search_path to another schema, or grant that role to the role of Latchkey if you trust it')
  }
  return own
}

async function noSchema (db: Queryable): Promise<Error> {
  const { rows: [row] } = await db.executeQuery<{ path: string }>(
    CompiledQuery.raw("select pg_catalog.current_setting('search_path') as path"))
  return new Error(`the search_path (${row?.path}) names no schema that exists and that the role may use; ` +
    'create the schema or correct the search_path')
}

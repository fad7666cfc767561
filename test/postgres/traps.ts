import type pg from 'pg'

/** The types of the values that Latchkey passes to functions and operators, and of what PostgreSQL returns for them. */
const TYPES = ['text', 'pg_lsn', 'name', 'oid', 'regclass', 'integer', 'bigint', 'numeric', 'double precision', 'boolean', '"char"']

const FUNCTIONS = [
  'hashtext', 'current_schema', 'current_schemas', 'current_setting', 'set_config', 'current_database', 'format',
  'pg_notify', 'pg_advisory_lock', 'pg_advisory_xact_lock', 'pg_advisory_xact_lock_shared', 'clock_timestamp',
  'pg_try_advisory_xact_lock', 'pg_is_in_recovery', 'pg_postmaster_start_time',
  'floor', 'setval', 'pg_get_serial_sequence', 'pg_sequence_last_value', 'quote_ident', 'col_description', 'pg_has_role',
  'has_schema_privilege', 'pg_get_userbyid', 'count', 'max', 'unnest', 'nextval', 'pg_backend_pid', 'pg_control_system',
  'pg_walfile_name', 'pg_current_wal_lsn', 'pg_current_wal_flush_lsn'
]

const TRIPLES = [['text', 'oid', 'text'], ['text', 'text', 'boolean']]

const OPERATORS = ['+', '-', '*', '=', '<>', '<', '<=', '>', '>=', '||', '!~']

/**
 * Creates functions and operators in the schema public for every combination of types. Each of them writes down the
 * role that has run it. Returns what they have written.
 */
export async function setTraps (client: pg.Client): Promise<() => Promise<unknown[]>> {
  const body = (name: string): string => `language plpgsql set search_path = pg_catalog as $trap$ begin
    insert into public.loot values ('${name} as ' || current_user);
    return null;
  end $trap$`
  const texts = ['create table public.loot (what text); grant insert on public.loot to public']
  const pairs = TYPES.flatMap(left => TYPES.map(right => [left, right] as const))
  for (const name of FUNCTIONS) {
    for (const types of [[], ...TYPES.map(type => [type]), ...pairs, ...TRIPLES]) {
      texts.push(`create function public.${name}(${types.join()}) returns bigint ${body(name)}`)
    }
  }
  for (const [left, right] of pairs) {
    texts.push(`create function public.trap(${left}, ${right}) returns boolean ${body(`${left} with ${right}`)}`)
    for (const operator of OPERATORS) {
      texts.push(`create operator public.${operator} (leftarg = ${left}, rightarg = ${right}, function = public.trap)`)
    }
  }
  await client.query(`set search_path = pg_catalog; ${texts.join(';\n')}`)
  return async () => (await client.query('select distinct what from public.loot')).rows
}

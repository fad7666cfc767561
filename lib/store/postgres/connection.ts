import pg from 'pg'
import { toSearchPath } from './search-path.js'
import { SERVER_TIME } from './time.js'

/** Milliseconds to connect, or to obtain a connection from the pool. */
const CONNECT_TIMEOUT = 5_000

/** Milliseconds that a statement may take, and that a transaction may wait for its next statement. */
const STATEMENT_TIMEOUT = 5_000

/** Additional milliseconds to wait for an answer. A server that is cut off never sends one. */
const ANSWER_DELAY = 1_000

/** The type of 64-bit integers. PostgreSQL sends them as text. Latchkey stores milliseconds and counts in them. */
const BIGINT = 20

/**
 * Returns the settings of every connection.
 * @param patience - milliseconds that a statement may take, including its wait for a lock, and that a transaction may
 *   wait for its next statement.
 */
export function toClientConfig (url: string, patience = STATEMENT_TIMEOUT): pg.ClientConfig {
  return {
    connectionString: url,
    application_name: 'latchkey',
    connectionTimeoutMillis: CONNECT_TIMEOUT,
    statement_timeout: patience,
    query_timeout: patience + ANSWER_DELAY,
    // A node that freezes in a transaction must not block the writers of all other nodes for longer.
    idle_in_transaction_session_timeout: patience,
    keepAlive: true,
    keepAliveInitialDelayMillis: 5_000,
    types: { getTypeParser }
  }
}

const getTypeParser: pg.CustomTypesConfig['getTypeParser'] = (oid, format) => {
  return Number(oid) === BIGINT && format !== 'binary' ? toSafeNumber : pg.types.getTypeParser(oid, format)
}

function toSafeNumber (text: string): number {
  const number = Number(text)
  if (!Number.isSafeInteger(number)) {
    throw new RangeError(`The database contains ${text}, which is too large for an exact number: correct that row`)
  }
  return number
}

/** Identifies the server that answers. */
interface ServerRow {
  /** A standby may lag behind by any amount of time, so its answer does not describe the present. */
  standby: boolean
  /**
   * When the server started, in milliseconds. A server that took over from another, or restarted after a crash, has
   * another start time.
   */
  started: number
}

/** The columns of a `ServerRow`. */
const SERVER_COLUMNS = `pg_catalog.pg_is_in_recovery() as standby,
  pg_catalog.floor(
    extract(epoch from pg_catalog.pg_postmaster_start_time()) operator(pg_catalog.*) 1000
  )::bigint as started`

/** The answer to `CHANGES_QUERY`. */
export interface ChangesRow extends ServerRow {
  /** The number of the last commit that changed rules or keys. */
  number: number | null
  /** The server's clock. */
  time: number
}

export const CHANGES_QUERY =
  `select (select value from latchkey_meta where name = 'changes') as number, ${SERVER_TIME} as time, ${SERVER_COLUMNS}`

/** The first query on each new connection. The default search_path still applies to it: see `search-path.ts`. */
const GREETING = `select ${SERVER_COLUMNS}, pg_catalog.set_config('search_path', $1, false),
  case when pg_catalog.current_setting('synchronous_commit') operator(pg_catalog.=) 'off'
    then pg_catalog.set_config('synchronous_commit', 'on', false) end`

/**
 * Prepares a new connection for use, and returns when its server started. Rejects if the server cannot be used.
 * @param schema - the only one that the connection searches for tables. Default: the search_path of the role.
 */
export async function greet (client: pg.ClientBase, schema?: string): Promise<number> {
  // For connections in use. The current query gets the error as well.
  client.on('error', () => {})
  // Latchkey responds 200 after a durable commit, however the server is configured. Stricter settings are kept.
  const { rows: [greeting] } = await client.query<ServerRow>(GREETING, [
    // Null restores the default. A pooler may hand over a connection that another client has used.
    schema === undefined ? null : toSearchPath(schema)
  ])
  // A standby's answer may be out of date by any amount of time, and would be mistaken for the current state.
  if (greeting?.standby !== false) throw new Error('The server is a standby, or is still recovering')
  return greeting.started
}

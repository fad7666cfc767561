import pg from 'pg'
import { toSearchPath } from './search-path.js'
import { SERVER_TIME } from './time.js'
import type { ChangesRow, TimelineRow, Timelines } from './timeline.js'

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

/** Returns the query for the number of the last change. */
export function toChangesQuery ({ columns }: Timelines): string {
  return `select (select value from latchkey_meta where name = 'changes') as number, ${SERVER_TIME} as time, ${columns}`
}

/**
 * Returns the first query on each new connection. The default search_path still applies to it: see `search-path.ts`.
 */
function toGreeting ({ columns }: Timelines): string {
  return `select ${columns}, pg_catalog.set_config('search_path', $1, false),
    case when pg_catalog.current_setting('synchronous_commit') operator(pg_catalog.=) 'off'
      then pg_catalog.set_config('synchronous_commit', 'on', false) end`
}

export interface GreetOptions {
  timelines: Timelines
  /** The only schema that the connection searches for tables. Default: the search_path of the role. */
  schema?: string
}

/**
 * Prepares a new connection for use, and returns the server that it leads to. Rejects if the server cannot be used.
 */
export async function greet (client: pg.ClientBase, { timelines, schema }: GreetOptions): Promise<TimelineRow> {
  // For connections in use. The current query gets the error as well.
  client.on('error', () => {})
  const asked = performance.now()
  // Null restores the default. A pooler may hand over a connection that another client has used.
  const values = [schema === undefined ? null : toSearchPath(schema)]
  // Latchkey responds 200 after a durable commit, however the server is configured. Stricter settings are kept.
  const ask = async (): Promise<pg.QueryResult<TimelineRow>> => await client.query(toGreeting(timelines), values)
  const { rows: [greeting] } = await ask().catch(async (error: unknown) => {
    // Some managed servers refuse to show their log.
    if (!isRefusedFunction(error) || !timelines.hide(error)) throw error
    return await ask()
  })
  // A standby's answer may be out of date by any amount of time, and would be mistaken for the current state.
  if (greeting?.standby !== false) throw new Error('The server is a standby, or is still recovering')
  timelines.judge(greeting, asked)
  if (schema !== undefined && timelines.mustCompare(greeting)) {
    const compared = performance.now()
    const { rows: [changes] } = await client.query<ChangesRow & TimelineRow>(toChangesQuery(timelines))
    if (changes !== undefined) timelines.judge(changes, compared)
  }
  return greeting
}

/** Whether the server refused to run a function: class 0A, 42, 55 or XX. */
function isRefusedFunction (error: unknown): boolean {
  return error instanceof pg.DatabaseError && /^(0A|42|55|XX)/.test(error.code ?? '')
}

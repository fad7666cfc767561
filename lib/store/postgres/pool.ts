import pg from 'pg'
import type { PostgresPool, PostgresPoolClient } from 'kysely'
import type { LatchkeyError } from '../../errors.js'
import { storeUnavailable } from '../store.js'
import type { OpenOptions } from '../store.js'

/** Connections of one pool. Writers take turns, so that more of them would only wait elsewhere. */
const CONNECTIONS = 5

/** Milliseconds: to connect, or to be given a connection. */
const CONNECT_TIMEOUT = 5_000

/** Milliseconds that a statement may take, and that a transaction may wait for its next one. */
const STATEMENT_TIMEOUT = 5_000

/** Milliseconds more, after which an answer is not waited for any longer: a server that is cut off never sends one. */
const ANSWER_DELAY = 1_000

/** PostgreSQL gives numbers of 64 bits as texts; ours are milliseconds and counts. */
const BIGINT = 20

/**
 * What every connection of ours is made with.
 * @param patience - milliseconds that a statement may take, the wait for a lock with it, and that a transaction may wait for its next one.
 */
export function toClientConfig (url: string, patience = STATEMENT_TIMEOUT): pg.ClientConfig {
  return {
    connectionString: url,
    application_name: 'latchkey',
    connectionTimeoutMillis: CONNECT_TIMEOUT,
    statement_timeout: patience,
    query_timeout: patience + ANSWER_DELAY,
    // A node that freezes in a transaction must not hold up the writers of all others for longer.
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
  if (!Number.isSafeInteger(number)) throw new RangeError(`${text} in the database is beyond what a number holds exactly`)
  return number
}

/** Which server it is that answers. */
export interface ServerRow {
  /** A standby may be any time behind, and says nothing about now. */
  standby: boolean
  /** When it was started, in milliseconds: a server that took over from another, or came back after a crash, was so at another moment. */
  started: number
}

/** The columns of a `ServerRow`. */
export const SERVER_COLUMNS = 'pg_is_in_recovery() as standby, floor(extract(epoch from pg_postmaster_start_time()) * 1000)::bigint as started'

/** What a new connection must be asked before it is used. */
const GREETING = `select ${SERVER_COLUMNS},
  case when current_setting('synchronous_commit') = 'off' then set_config('synchronous_commit', 'on', false) end`

/** Makes a new connection fit for use, or rejects; gives when the server was started. */
async function greet (client: pg.ClientBase): Promise<number> {
  // Of connections that are in use: the query that is under way is told of it too.
  client.on('error', () => {})
  // 200 is sent after the durable commit, whatever the server is configured for. Stricter settings stay as they are.
  const { rows: [greeting] } = await client.query<ServerRow>(GREETING)
  // What a standby says may be any time old, and would be taken for what is known now.
  if (greeting?.standby !== false) throw new Error('The server is a standby, or still recovers')
  return greeting.started
}

/** A pool for Kysely. */
export interface RenewablePool extends PostgresPool {
  /** From now on no connection is used that was made before. */
  renew (): void
}

/**
 * A pool that never gives a connection again on which something went wrong: an answer that was given up would be read as that of the next
 * query, and a primary that has become a standby stays connected and refuses every write. Nor one that is older than a failure to reach the
 * server: of those that are idle each would be found dead by another request, which waits for it in vain.
 * @param onServer - told when the server was started that a new connection has reached.
 */
export function createPool (url: string, { log, patience, onServer = () => {} }: Pick<OpenOptions, 'log' | 'patience'> & { onServer?: (started: number) => void }): RenewablePool {
  async function prepare (client: pg.ClientBase): Promise<void> {
    onServer(await greet(client))
  }
  // The types do not know that what it returns is waited for.
  const pool = new pg.Pool({ ...toClientConfig(url, patience), max: CONNECTIONS, idleTimeoutMillis: 30_000, onConnect: prepare as unknown as (client: pg.ClientBase) => void })
  // Of connections that are idle. Without a listener it would end the process.
  pool.on('error', (error: Error & { client?: unknown }) => {
    // The whole connection, with what it was made with: nothing for a log.
    delete error.client
    log(error, 'a connection to the database was lost; it is replaced')
  })
  const made = new WeakMap<pg.PoolClient, number>()
  pool.on('connect', client => { made.set(client, performance.now()) })
  let failedAt = -Infinity
  let isEnding = false
  const inUse = new Set<Promise<void>>()

  async function take (): Promise<pg.PoolClient> {
    for (;;) {
      const client = await pool.connect()
      if ((made.get(client) ?? -Infinity) > failedAt) return client
      client.release(true)
    }
  }

  /** Connects, and settles its place in `inUse` when the connection is given back. */
  async function connect (): Promise<PostgresPoolClient> {
    if (isEnding) throw storeUnavailable(new Error('The app has closed'))
    let settle = (): void => {}
    const use = new Promise<void>(resolve => { settle = resolve })
    inUse.add(use)
    function giveBack (): void {
      inUse.delete(use)
      settle()
    }
    try {
      return toPoolClient(await take(), giveBack)
    } catch (error) {
      giveBack()
      throw storeUnavailable(error)
    }
  }

  function toPoolClient (client: pg.PoolClient, giveBack: () => void): PostgresPoolClient {
    let broken: LatchkeyError | undefined
    async function query (text: string, values: readonly unknown[]): Promise<pg.QueryResult> {
      // The rollback after a failure would wait as long again.
      if (broken !== undefined) throw broken
      try {
        return await client.query(text, values.map(withoutNul))
      } catch (error) {
        if (isRefusal(error)) throw error
        if (!(error instanceof pg.DatabaseError)) failedAt = performance.now()
        broken = storeUnavailable(error)
        throw broken
      }
    }
    return {
      // Its other form, which takes a cursor, is for streams: none of our queries is one.
      query: query as unknown as PostgresPoolClient['query'],
      release () {
        client.release(broken !== undefined)
        giveBack()
      }
    }
  }

  return {
    connect,
    renew () {
      failedAt = performance.now()
    },
    async end () {
      isEnding = true
      // The pool would leave those that wait for a connection waiting until their timeout.
      await Promise.all(inUse)
      await pool.end()
    }
  }
}

/** PostgreSQL knows no NUL in a text, and would refuse the query. A noncharacter, which nothing that we keep has in it, finds what the NUL would have found: nothing. */
function withoutNul (value: unknown): unknown {
  return typeof value === 'string' && value.includes('\0') ? value.replaceAll('\0', '\uffff') : value
}

/**
 * Whether PostgreSQL refused a query for what it says: classes 21 (cardinality), 22 (data), 23 (constraint), 2F, 42 (syntax or access), P0 of
 * its errors. All others speak of the server, the connection or the transaction.
 */
function isRefusal (error: unknown): boolean {
  return error instanceof pg.DatabaseError && /^(21|22|23|42|P0)/.test(error.code ?? '')
}

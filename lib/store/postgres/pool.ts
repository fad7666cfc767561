import pg from 'pg'
import type { PostgresPool, PostgresPoolClient } from 'kysely'
import type { LatchkeyError } from '../../errors.js'
import { storeUnavailable } from '../store.js'
import type { OpenOptions } from '../store.js'
import { greet, toClientConfig } from './connection.js'
import { isRefusal } from './errors.js'

/** How many statements each connection keeps prepared. A list of values of another length is another statement. */
const MOST_PREPARED = 200

/** The names of the prepared statements, by their text. The same text has the same name on every connection. */
const prepared = new Map<string, string>()

/** Returns the name under which the server keeps a statement prepared. Undefined: it is parsed each time. */
function nameOf (text: string): string | undefined {
  const known = prepared.get(text)
  if (known !== undefined || prepared.size === MOST_PREPARED) return known
  const name = `latchkey_${prepared.size}`
  prepared.set(text, name)
  return name
}

/** A pool for Kysely. */
export interface RenewablePool extends PostgresPool {
  /** From now on, no existing connection is used again. */
  renew (): void
}

/** A pool of `pg` that remembers which connections may be used. */
interface Connections {
  readonly pool: pg.Pool
  /** When each connection was made. */
  readonly made: WeakMap<pg.PoolClient, number>
  /** Connections made before this moment are not used again. */
  failedAt: number
}

type PoolOptions = Pick<OpenOptions, 'log' | 'patience'> & {
  /** How many connections it may have. Default: 1. */
  size?: number
  /** As for `greet`. */
  schema?: string
  /** Receives the start time of the server that a new connection has reached. */
  onServer?: (started: number) => void
}

/**
 * Creates a pool that never reuses a connection after an error. The next query would read the answer that the previous
 * one gave up on. A primary that has become a standby keeps its connections and refuses every write. The pool also
 * replaces every connection that is older than a failure to reach the server. Otherwise each idle connection would
 * cost one more request, which would wait in vain before it found that connection dead.
 */
export function createPool (url: string, options: PoolOptions): RenewablePool {
  const connections = createConnections(url, options)
  const inUse = new Set<Promise<void>>()
  let isEnding = false

  /** Connects. The promise in `inUse` resolves when the connection is released. */
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
      return toPoolClient(connections, await take(connections), giveBack)
    } catch (error) {
      giveBack()
      throw storeUnavailable(error)
    }
  }

  return {
    connect,
    renew () {
      connections.failedAt = performance.now()
    },
    async end () {
      isEnding = true
      // `pool.end` alone would leave requests that wait for a connection waiting until their timeout.
      await Promise.all(inUse)
      await connections.pool.end()
    }
  }
}

function createConnections (url: string, { log, patience, schema, size = 1, onServer = () => {} }: PoolOptions): Connections {
  async function prepare (client: pg.ClientBase): Promise<void> {
    onServer(await greet(client, schema))
  }
  const pool = new pg.Pool({
    ...toClientConfig(url, patience),
    max: size,
    idleTimeoutMillis: 30_000,
    // The pool waits for the promise. Its types do not say so.
    onConnect: prepare as unknown as (client: pg.ClientBase) => void
  })
  // For idle connections. Without a listener, the error would end the process.
  pool.on('error', (error: Error & { client?: unknown }) => {
    // The whole connection with its settings does not belong in a log.
    delete error.client
    log(error, 'a connection to the database was lost; the pool replaces it')
  })
  const made = new WeakMap<pg.PoolClient, number>()
  pool.on('connect', client => { made.set(client, performance.now()) })
  return { pool, made, failedAt: -Infinity }
}

async function take (connections: Connections): Promise<pg.PoolClient> {
  for (;;) {
    const client = await connections.pool.connect()
    if ((connections.made.get(client) ?? -Infinity) > connections.failedAt) return client
    client.release(true)
  }
}

function toPoolClient (connections: Connections, client: pg.PoolClient, giveBack: () => void): PostgresPoolClient {
  let broken: LatchkeyError | undefined
  async function query (text: string, values: readonly unknown[]): Promise<pg.QueryResult> {
    // The rollback after a failure would wait for just as long again.
    if (broken !== undefined) throw broken
    try {
      if (values.length > 0) return await client.query({ name: nameOf(text), text, values: values.map(withoutNul) })
      const answer: pg.QueryResult | pg.QueryResult[] = await client.query(text)
      // Several statements, of which the last one has the result.
      return Array.isArray(answer) ? answer.at(-1) as pg.QueryResult : answer
    } catch (error) {
      if (isRefusal(error)) throw error
      if (!(error instanceof pg.DatabaseError)) connections.failedAt = performance.now()
      broken = storeUnavailable(error)
      throw broken
    }
  }
  return {
    // Its other form takes a cursor, for streams. Latchkey does not use streams.
    query: query as unknown as PostgresPoolClient['query'],
    release () {
      client.release(broken !== undefined)
      giveBack()
    }
  }
}

/**
 * Replaces NUL with a noncharacter, because PostgreSQL refuses a query with a NUL in a text. No stored value contains
 * that noncharacter, so the query finds what it would have found with the NUL: nothing.
 */
function withoutNul (value: unknown): unknown {
  return typeof value === 'string' && value.includes('\0') ? value.replaceAll('\0', '\uffff') : value
}

import pg from 'pg'
import type { PostgresPool, PostgresPoolClient } from 'kysely'
import type { LatchkeyError } from '../../errors.js'
import { storeOverloaded, storeUnavailable } from '../store.js'
import type { OpenOptions } from '../store.js'
import { greet, toClientConfig } from './connection.js'
import { isRefusal, isTimeout } from './errors.js'
import { toClientClass } from './hosts.js'
import type { Servers } from './servers.js'
import { withoutNul } from './nul.js'
import { TooLateError, within } from './timeout.js'

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

/** Milliseconds after which `pg` itself gives up on a connection that no operation waits for any more. */
const CLEANUP_DELAY = 1_000

/** The server counts as alive for this many milliseconds after an operation. */
const ALIVE = 1_000

/** A pool for Kysely. From `connect` to `release` is one operation. */
export interface RenewablePool extends PostgresPool {
  /** Connects for work that has no time limit as a whole, although each of its statements has one. */
  connectForLong (): Promise<PostgresPoolClient>
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
  /** When the server last answered on any of them. */
  answeredAt: number
  /** Answers on connections made before this moment are not used either, because another server has taken over. */
  renewedAt: number
  readonly servers: Servers
  /**
   * When an operation last ended without a failure. An answer alone proves no progress: it may come from a transaction
   * that then waits for a lock.
   */
  doneAt: number
}

/** One operation. Times are in milliseconds of `performance.now()`. */
interface Use {
  /** When it asked for a connection. */
  readonly since: number
  /** When it must be over. */
  readonly deadline: number
  /** Makes the error for an operation if the server is too busy. */
  readonly refuse: (cause: unknown) => LatchkeyError
}

type PoolOptions = Pick<OpenOptions, 'log' | 'patience' | 'timeout' | 'longestQueue'> & {
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
export function createPool (servers: Servers, options: PoolOptions): RenewablePool {
  const { log, timeout = Infinity, longestQueue = Infinity } = options
  const connections = createConnections(servers, options)
  const inUse = new Set<Promise<void>>()
  /** The operations that wait for a connection, oldest first. */
  const waiting = new Set<Use>()
  let isEnding = false

  function refuse (cause: unknown): LatchkeyError {
    log(cause, 'too many requests wait for a connection to the database; they receive 503 overloaded')
    return storeOverloaded(cause)
  }

  function refuseIfOverloaded (now: number): void {
    const [oldest] = waiting
    if (oldest === undefined || now - oldest.since <= longestQueue || now - connections.doneAt > ALIVE) return
    throw refuse(new Error(
      `${waiting.size} operations wait for a connection, the oldest for ${Math.round(now - oldest.since)} ms`))
  }

  /** Waits for a connection. If it gets none in time, the error shows whether the server is up. */
  async function queue (use: Use): Promise<pg.PoolClient> {
    waiting.add(use)
    try {
      return await take(connections, use.since + timeout)
    } catch (error) {
      const isBusy = error instanceof TooLateError && connections.doneAt > use.since
      throw isBusy ? refuse(error) : storeUnavailable(error)
    } finally {
      waiting.delete(use)
    }
  }

  /** Connects. The promise in `inUse` resolves when the connection is released. */
  async function connect (limit: number): Promise<PostgresPoolClient> {
    if (isEnding) throw storeUnavailable(new Error('The app has closed'))
    const since = performance.now()
    refuseIfOverloaded(since)
    const use = { since, deadline: since + limit, refuse }
    let settle = (): void => {}
    const isDone = new Promise<void>(resolve => { settle = resolve })
    inUse.add(isDone)
    function giveBack (): void {
      inUse.delete(isDone)
      settle()
    }
    try {
      return toPoolClient(connections, await queue(use), { ...use, giveBack })
    } catch (error) {
      giveBack()
      throw error
    }
  }

  return {
    connect: () => connect(timeout),
    connectForLong: () => connect(Infinity),
    renew () {
      connections.failedAt = performance.now()
      connections.renewedAt = connections.failedAt
    },
    async end () {
      isEnding = true
      // `pool.end` alone would leave requests that wait for a connection waiting until their timeout.
      await Promise.all(inUse)
      await connections.pool.end()
    }
  }
}

function createConnections (servers: Servers, options: PoolOptions): Connections {
  const { log, timeout, patience = timeout, schema, size = 1, onServer = () => {} } = options
  async function prepare (client: pg.ClientBase): Promise<void> {
    onServer((await greet(client, { timelines: servers.timelines, schema })).started)
  }
  const config = toClientConfig(servers.hosts.current, patience)
  const pool = new pg.Pool({
    ...config,
    Client: toClientClass(servers.hosts, config),
    // The deadline of the operation comes first, and its error says more.
    ...(timeout === undefined ? {} : { connectionTimeoutMillis: timeout + CLEANUP_DELAY }),
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
  return { pool, made, failedAt: -Infinity, answeredAt: -Infinity, doneAt: -Infinity, renewedAt: -Infinity, servers }
}

async function take (connections: Connections, deadline: number): Promise<pg.PoolClient> {
  for (;;) {
    const client = await connectBefore(deadline, connections)
    if (isNewer(connections, client, connections.failedAt)) return client
    client.release(true)
  }
}

async function connectBefore (deadline: number, connections: Connections): Promise<pg.PoolClient> {
  const connecting = connectAnywhere(connections)
  if (deadline === Infinity) return await connecting
  try {
    return await within(Math.max(0, deadline - performance.now()), connecting)
  } catch (error) {
    connecting.then(client => client.release(), () => {})
    throw error
  }
}

/** Connects. If there are several servers, and the one in use fails, it looks for another one. */
async function connectAnywhere ({ pool, servers: { hosts, find } }: Connections): Promise<pg.PoolClient> {
  const tried = hosts.current
  try {
    return await pool.connect()
  } catch (error) {
    if (hosts.urls.length > 1 && hosts.current === tried) await find()
    if (hosts.current === tried) throw error
    return await pool.connect()
  }
}

function isNewer ({ made }: Connections, client: pg.PoolClient, moment: number): boolean {
  return (made.get(client) ?? -Infinity) > moment
}

function toPoolClient (
  connections: Connections, client: pg.PoolClient, use: Use & { giveBack: () => void }
): PostgresPoolClient {
  const { since, deadline, refuse, giveBack } = use
  // The server has answered others meanwhile, so it is up, and a timeout means that it is overloaded.
  const hasQueued = connections.doneAt > since
  let broken: LatchkeyError | undefined

  /** Returns the limit of the next answer. Undefined: the one of the connection. */
  function timeLeft (): { query_timeout?: number } {
    if (deadline === Infinity) return {}
    const left = deadline - performance.now()
    if (left <= 0) throw new TooLateError(deadline - since)
    return { query_timeout: Math.ceil(left) }
  }

  async function query (text: string, values: readonly unknown[]): Promise<pg.QueryResult> {
    // The rollback after a failure would wait for just as long again.
    if (broken !== undefined) throw broken
    const sent = performance.now()
    try {
      const name = values.length === 0 ? undefined : nameOf(text)
      const answer: pg.QueryResult | pg.QueryResult[] = await client.query(
        { name, text, values: values.map(withoutNul), ...timeLeft() }
      )
      connections.answeredAt = performance.now()
      // A previous primary may have committed changes that the new one will never receive.
      if (!isNewer(connections, client, connections.renewedAt)) throw new Error('Another server has taken over')
      // If there are several statements, the last one has the result.
      return Array.isArray(answer) ? answer.at(-1) as pg.QueryResult : answer
    } catch (error) {
      if (isRefusal(error)) throw error
      // A server that has answered others meanwhile can be reached: this query waits for a lock.
      const isLost = !(error instanceof pg.DatabaseError) && connections.answeredAt <= sent
      if (isLost) connections.failedAt = performance.now()
      broken = hasQueued && isTimeout(error) ? refuse(error) : storeUnavailable(error)
      throw broken
    }
  }
  return {
    // Its other form takes a cursor, for streams. Latchkey does not use streams.
    query: query as unknown as PostgresPoolClient['query'],
    release () {
      if (broken === undefined) connections.doneAt = performance.now()
      client.release(broken !== undefined)
      giveBack()
    }
  }
}

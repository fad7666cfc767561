import pg from 'pg'
import { UnfitDatabase } from '../store.js'
import type { TimelineRow } from './timeline.js'

// Latchkey sets the search_path of each connection, LISTENs on one and holds locks in transactions. A pooler in
// transaction mode gives each transaction another connection to the server, so these settings and notifications would
// belong to another client.

/** How often the two connections take turns. */
const ROUNDS = 3

const ADVICE = 'in pgbouncer, set pool_mode = session for this database; or give the URL of PostgreSQL itself'

/** Returns advice if a pooler has refused the settings of a connection. By default, pgbouncer refuses them all. */
export function adviceOnPooler (reason: string): string | undefined {
  if (!reason.includes('unsupported startup parameter')) return undefined
  return 'in pgbouncer, set ignore_startup_parameters = statement_timeout,idle_in_transaction_session_timeout'
}

/** Whether a pooler answers instead of the server. The server itself names its process when a client connects. */
export function isPooled (client: pg.Client, { pid }: Pick<TimelineRow, 'pid'>): boolean {
  return (client as pg.Client & { processID?: number }).processID !== pid
}

/**
 * Throws if a pooler does not give each client its own connection to the server. Two clients take turns, and each must
 * always reach the same process.
 */
export async function assertSessions (one: pg.Client, two: pg.Client): Promise<void> {
  const [first, second] = [await readPid(one), await readPid(two)]
  if (first === second) throw inTransactionMode()
  for (let round = 0; round < ROUNDS; round++) {
    await beginTransaction(one)
    const seen = [await readPid(one)]
    const others = [await readPid(two)]
    await one.query('rollback')
    // In transaction mode, the second client now gets the connection that the first one has just released.
    others.push(await readPid(two))
    seen.push(await readPid(one))
    if (seen.some(pid => pid !== first) || others.some(pid => pid !== second)) throw inTransactionMode()
  }
}

async function readPid (client: pg.Client): Promise<number | undefined> {
  const { rows: [row] } = await client.query<{ pid: number }>('select pg_catalog.pg_backend_pid() as pid')
  return row?.pid
}

async function beginTransaction (client: pg.Client): Promise<void> {
  try {
    await client.query('begin')
  } catch (cause) {
    // In statement mode, pgbouncer refuses transactions.
    throw cause instanceof pg.DatabaseError ? inTransactionMode(cause) : cause
  }
}

function inTransactionMode (cause?: unknown): Error {
  return new UnfitDatabase(
    `it leads to a connection pooler in transaction mode, and Latchkey needs session mode; ${ADVICE}`, { cause }
  )
}

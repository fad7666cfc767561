import { CompiledQuery, Kysely } from '../kysely.js'
import { migrate, requireSchema } from '../migrations.js'
import { DATABASE_OPTION, toUnavailable, UnfitDatabase } from '../store.js'
import type { OpenOptions, Store } from '../store.js'
import type { Tables } from '../tables.js'
import { createWriteProbe } from '../write-probe.js'
import { followChanges } from './changes.js'
import type { ChangesFollower } from './changes.js'
import { toChangesQuery } from './connection.js'
import { LockingDialect } from './dialect.js'
import { isFinal, messageOf, translate } from './errors.js'
import { MIGRATION, ONE_NODE } from './locks.js'
import { createPool } from './pool.js'
import type { RenewablePool } from './pool.js'
import { adviceOnPooler } from './pooler.js'
import { rotate } from './rotation.js'
import { schemaDialect } from './schema.js'
import { findSchema } from './search-path.js'
import { findServers } from './servers.js'
import type { Servers } from './servers.js'
import type { ChangesRow, TimelineRow } from './timeline.js'
import { createTransactions } from './transactions.js'
import { describeUrl } from './url.js'

/** How many connections read, and how many write. Each write waits for the network and for the disk of the server. */
const READERS = 5
const WRITERS = 20

/** Milliseconds that a statement of a migration may take, including the wait for another node that migrates. */
const MIGRATION_TIMEOUT = 600_000

/**
 * Milliseconds after which another node may run the work of `onOneNode`, because the first may be frozen or cut off.
 */
const ONE_NODE_TIMEOUT = 60_000

const BEGIN_ON_ONE_NODE = `begin; set local idle_in_transaction_session_timeout = ${ONE_NODE_TIMEOUT}`

const TRY_ONE_NODE = `select pg_catalog.pg_try_advisory_xact_lock(${ONE_NODE}) as locked`

/**
 * Opens a PostgreSQL database and brings its schema up to date. Several processes may do so at the same time.
 * @param url - `postgres://user:password@host:port/database`, with the parameters of libpq that `pg` knows, for example
 *   `sslmode`. It may name several servers: see `hosts.ts`.
 * @throws Error that names the option `database`, and never the password in it, if the database cannot be opened.
 */
export async function openPostgres (url: string, options: OpenOptions): Promise<Store> {
  const { bound, log, name = DATABASE_OPTION, mustExist = false, patience, timeout, longestQueue, now } = options
  const { servers, schema } = await prepare(url, { ...options, name, mustExist })
  let changes: ChangesFollower | undefined
  const onServer = (started: number): void => changes?.meet(started)
  // Two pools, so that readers never wait behind writers that wait for their locks. A node must always be able to find
  // out what is revoked.
  const pools = [
    createPool(servers, { log, patience, timeout, longestQueue, schema, onServer, size: READERS }),
    createPool(servers, { log, patience, timeout, longestQueue, schema, onServer, size: WRITERS })
  ] as const
  const [db, writer] = [connectKysely(pools[0]), connectKysely(pools[1])]
  try {
    // Kysely closes a pool for good only if it was used.
    await readChanges(writer, servers)
    changes = followChanges({
      servers,
      schema,
      bound,
      log,
      first: await readChanges(db, servers),
      query: async () => await attempt(() => readChanges(db, servers)),
      onAnotherServer () {
        for (const pool of pools) pool.renew()
      }
    })
  } catch (cause) {
    await Promise.all([db.destroy(), writer.destroy()])
    throw cannotOpen(url, name, cause)
  }
  servers.watch({ schema, bound, onServer })

  const { poll } = changes
  const transaction = createTransactions(writer, { schema, now })
  return {
    read: work => attempt(() => work(db)),
    transaction: (work, locks) => attempt(() => transaction(work, locks)),
    rotate: rotation => attempt(() => rotate(writer, schema, { ...rotation, time: now?.() ?? null })),
    proveWritable: createWriteProbe(work => attempt(() => db.transaction().execute(work))),
    now: now ?? changes.now,
    onOneNode: work => attempt(() => runOnOneNode(pools[0], work)),
    changed: changes.changed,
    poll: () => poll().catch(error => { throw toUnavailable(error) }),
    asOf: changes.asOf,
    epoch: changes.epoch,
    onChange: changes.onChange,
    async close () {
      servers.close()
      await changes?.close()
      await Promise.all([db.destroy(), writer.destroy()])
    }
  }
}

function connectKysely (pool: RenewablePool): Kysely<Tables> {
  return new Kysely<Tables>({ dialect: new LockingDialect(pool) })
}

async function readChanges (db: Kysely<Tables>, { timelines }: Servers): Promise<ChangesRow> {
  const asked = performance.now()
  const { rows: [row] } = await db.executeQuery<ChangesRow & TimelineRow>(CompiledQuery.raw(toChangesQuery(timelines)))
  if (row === undefined) throw new Error('The server does not report what has changed')
  timelines.judge(row, asked)
  return row
}

/**
 * Runs `work` while a transaction on a connection holds the lock. The transaction does nothing else. If this node
 * freezes or disappears meanwhile, PostgreSQL ends the transaction and releases the lock.
 */
async function runOnOneNode<T> (pool: RenewablePool, work: () => Promise<T>): Promise<T | undefined> {
  const connection = await pool.connectForLong()
  try {
    await connection.query(BEGIN_ON_ONE_NODE, [])
    try {
      const { rows: [row] } = await connection.query<{ locked: boolean }>(TRY_ONE_NODE, [])
      return row?.locked === true ? await work() : undefined
    } finally {
      await connection.query('rollback', [])
    }
  } finally {
    connection.release()
  }
}

/** Finds the server, and the schema that holds the tables. Brings that schema up to date. */
async function prepare (
  url: string,
  { log, name, mustExist, acceptLostCommits }: OpenOptions & Required<Pick<OpenOptions, 'name' | 'mustExist'>>
): Promise<{ servers: Servers, schema: string }> {
  try {
    const servers = await findServers(url, { log, acceptLostCommits })
    const schema = await onPool(createPool(servers, { log }), db => findSchema(db, log))
    // A large table, or the wait for a node that already migrates, is no reason to give up.
    await onPool(createPool(servers, { log, schema, patience: MIGRATION_TIMEOUT }), async db => {
      // The pool has one connection, which holds the lock until it is closed. It covers the tables of the migrator too.
      await db.executeQuery(CompiledQuery.raw(`select pg_catalog.pg_advisory_lock(${MIGRATION})`))
      if (mustExist) await requireSchema(db, schema)
      await migrate(db, schemaDialect, schema)
    })
    return { servers, schema }
  } catch (cause) {
    throw cannotOpen(url, name, cause)
  }
}

async function onPool<T> (pool: RenewablePool, work: (db: Kysely<Tables>) => Promise<T>): Promise<T> {
  const db = connectKysely(pool)
  try {
    return await work(db)
  } finally {
    await db.destroy()
  }
}

const ADVICE = 'give the URL of a PostgreSQL database that is up and whose role may create tables in it'

function cannotOpen (url: string, name: string, cause: unknown): Error {
  const reason = messageOf(cause)
  const advice = cause instanceof UnfitDatabase
    ? ''
    : `; ${adviceOnPooler(reason) ?? ADVICE}`
  return new Error(`${name} names ${describeUrl(url)}, which cannot be opened: ${reason}${advice}`,
    { cause: isFinal(cause) ? cause.cause : cause })
}

/** Runs `work`, and reports errors as the contract of a store requires. */
async function attempt<T> (work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw translate(error)
  }
}

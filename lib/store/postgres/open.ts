import type { DatabaseConnection, PostgresPool } from 'kysely'
import { LatchkeyError } from '../../errors.js'
import { DATABASE_OPTION, describeDatabase } from '../database-url.js'
import { CompiledQuery, Kysely, PostgresDialect, PostgresDriver, sql } from '../kysely.js'
import { migrate, requireSchema } from '../migrations.js'
import type { Dialectal } from '../migrations.js'
import { CHANGES_QUERY, followChanges } from './changes.js'
import type { ChangesFollower, ChangesRow } from './changes.js'
import { createPool } from './pool.js'
import { storeUnavailable } from '../store.js'
import type { OpenOptions, Store } from '../store.js'
import type { Tables } from '../tables.js'

/** The first half of the names of our advisory locks ("latc"), the second says what is locked. */
const LOCKS = 0x6c617463
const WRITER = 1
const ALONE = 2

/** Milliseconds that a statement of a migration may take, the wait for another node that migrates with it. */
const MIGRATION_TIMEOUT = 600_000

/** Milliseconds after which what one node runs alone may be run by another: the one may be frozen, or cut off. */
const ALONE_TIMEOUT = 60_000

/** What is different in PostgreSQL. */
const DIALECT: Dialectal = {
  // The order of bytes, as in SQLite: a page's cursor means the same on every engine, whatever the locale of the database.
  text: sql`text collate "C"`,
  // The identity gives numbers in the order of the inserts, and writers take turns: so it is the order of the commits too.
  addSequence: table => table.addColumn('seq', 'bigint', column => column.primaryKey().generatedByDefaultAsIdentity()),
  // Numbers the commits that others must hear of. By triggers: no query can forget it.
  async announceChanges (db) {
    await sql`create or replace function latchkey_changed() returns trigger language plpgsql as $$
      declare number bigint;
      begin
        insert into meta (name, value) values ('changes', 1)
          on conflict (name) do update set value = meta.value + 1 returning value into number;
        perform pg_notify('latchkey', number::text);
        return null;
      end $$`.execute(db)
    await sql`create or replace trigger latchkey_rules after insert on rules for each statement execute function latchkey_changed()`.execute(db)
    await sql`create or replace trigger latchkey_keys after insert or update or delete on keys for each statement execute function latchkey_changed()`.execute(db)
  }
}

/**
 * Opens a PostgreSQL database and brings its schema up to date; several processes may do so at once.
 * @param url - `postgres://user:password@host:port/database`, with the parameters of libpq that `pg` knows (`sslmode` and others).
 * @throws Error that names the option `database`, and never the password in it, where it cannot be opened.
 */
export async function openPostgres (url: string, { bound, log, name = DATABASE_OPTION, mustExist = false, patience }: OpenOptions): Promise<Store> {
  await migrateSchema(url, { log, name, mustExist })
  let changes: ChangesFollower | undefined
  const onServer = (started: number): void => changes?.meet(started)
  // Two, that no reader waits behind writers that wait for their turn: a node must be able to tell what is revoked meanwhile.
  const pools = [createPool(url, { log, patience, onServer }), createPool(url, { log, patience, onServer })] as const
  const [db, writer] = pools.map(pool => new Kysely<Tables>({ dialect: new SingleWriterDialect(pool) })) as [Kysely<Tables>, Kysely<Tables>]
  try {
    // Kysely closes for good only what was used.
    await readChanges(writer)
    changes = followChanges({
      url,
      bound,
      log,
      first: await readChanges(db),
      query: async () => await attempt(() => readChanges(db)),
      onAnotherServer () {
        for (const pool of pools) pool.renew()
      }
    })
  } catch (cause) {
    await Promise.all([db.destroy(), writer.destroy()])
    throw cannotOpen(url, name, cause)
  }

  return {
    read: work => attempt(() => work(db)),
    transaction: work => attempt(() => writer.transaction().execute(work)),
    alone: work => attempt(() => db.connection().execute(async connection => {
      // In a transaction, which does nothing else: PostgreSQL ends it where this node freezes or vanishes in the middle, and lets go.
      await connection.executeQuery(CompiledQuery.raw(`begin; set local idle_in_transaction_session_timeout = ${ALONE_TIMEOUT}`))
      try {
        const { rows } = await sql<{ locked: boolean }>`select pg_try_advisory_xact_lock(${sql.lit(LOCKS)}, ${sql.lit(ALONE)}) as locked`.execute(connection)
        return rows[0]?.locked === true ? await work() : undefined
      } finally {
        await connection.executeQuery(CompiledQuery.raw('rollback'))
      }
    })),
    changed: changes.changed,
    ask: changes.ask,
    asOf: changes.asOf,
    epoch: changes.epoch,
    onChange: changes.onChange,
    async close () {
      await changes?.close()
      await Promise.all([db.destroy(), writer.destroy()])
    }
  }
}

async function readChanges (db: Kysely<Tables>): Promise<ChangesRow> {
  const { rows: [row] } = await db.executeQuery<ChangesRow>(CompiledQuery.raw(CHANGES_QUERY))
  if (row === undefined) throw new Error('The server does not say what has changed')
  return row
}

/** On connections of its own: what a large table takes, and the wait for a node that is at it, is no reason to give up. */
async function migrateSchema (url: string, { log, name, mustExist }: Required<Pick<OpenOptions, 'log' | 'name' | 'mustExist'>>): Promise<void> {
  const db = new Kysely<Tables>({ dialect: new SingleWriterDialect(createPool(url, { log, patience: MIGRATION_TIMEOUT })) })
  try {
    if (mustExist) await requireSchema(db)
    await migrate(db, DIALECT)
  } catch (cause) {
    throw cannotOpen(url, name, cause)
  } finally {
    await db.destroy()
  }
}

function cannotOpen (url: string, name: string, cause: unknown): Error {
  const reason = messageOf(cause)
  // A wrong password or name does not come right by waiting.
  const isFinal = cause instanceof LatchkeyError && cause.cause instanceof Error && /^(28|3D)/.test(String((cause.cause as { code?: unknown }).code))
  return new Error(`${name} names ${describeDatabase(url)}, which cannot be opened: ${reason}; give the URL of a PostgreSQL database that is up and whose role may create tables in it`, { cause: isFinal ? cause.cause : cause })
}

/** What the engine said. Where a name has several addresses, `pg` gives what it heard of each, and no message. */
function messageOf (error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join(', ')
  if (!(error instanceof Error)) return String(error)
  return error instanceof LatchkeyError ? messageOf(error.cause) : error.message
}

class SingleWriterDriver extends PostgresDriver {
  /**
   * One writer at a time, as the contract of a store says: numbers are given, and times kept, in the order of the commits. The lock
   * goes with the transaction, and only after the commit can be seen. One round trip for both. At this level of isolation, whatever the server
   * is configured for: at the stricter ones the wait for the lock would already have fixed what can be seen.
   */
  override async beginTransaction (connection: DatabaseConnection): Promise<void> {
    try {
      await connection.executeQuery(CompiledQuery.raw(`begin isolation level read committed; select pg_advisory_xact_lock(${LOCKS}, ${WRITER})`))
    } catch (error) {
      // The transaction was begun, and would go back to the pool aborted.
      await connection.executeQuery(CompiledQuery.raw('rollback')).catch(() => {})
      throw error
    }
  }
}

class SingleWriterDialect extends PostgresDialect {
  readonly #pool: PostgresPool

  constructor (pool: PostgresPool) {
    super({ pool })
    this.#pool = pool
  }

  override createDriver (): SingleWriterDriver {
    return new SingleWriterDriver({ pool: this.#pool })
  }
}

/** Of Kysely, when the app has closed. What the engine cannot do the pool has already said. */
async function attempt<T> (work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Error && /driver has already been destroyed/.test(error.message)) throw storeUnavailable(error)
    throw error
  }
}

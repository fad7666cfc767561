import { closeSync, openSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { DATABASE_OPTION } from '../database-url.js'
import { Kysely } from '../kysely.js'
import { migrate, requireSchema } from '../migrations.js'
import type { Dialectal } from '../migrations.js'
import { assertMatchingBuild } from './build.js'
import { createFileChanges } from './changes.js'
import { SingleWriterDialect } from './dialect.js'
import { isLocked, translate } from './errors.js'
import { createGroups } from './group-commit.js'
import { storeUnavailable } from '../store.js'
import type { OpenOptions, Store } from '../store.js'
import type { Tables } from '../tables.js'

/** How long a request waits for another process to let go of the file, in milliseconds. */
const LOCK_PATIENCE = 5_000

/** SQLite before this one can corrupt a WAL database (https://sqlite.org/wal.html, "The WAL-Reset Bug"). */
const OLDEST_SQLITE = [3, 51, 3] as const

/**
 * Opens (or makes) a SQLite database and brings its schema up to date.
 * @param file - a path, or `:memory:`.
 * @throws Error that names the option `database` where the file cannot be opened or is no database.
 */
export async function openSqlite (file: string, { name = DATABASE_OPTION, mustExist = false }: Pick<OpenOptions, 'name' | 'mustExist'> = {}): Promise<Store> {
  const named = { file, name, mustExist }
  const database = await connectPatiently(named)
  const db = new Kysely<Tables>({ dialect: new SingleWriterDialect(database) })
  try {
    if (mustExist) await requireSchema(db)
    await migrate(db, DIALECT)
  } catch (error) {
    await db.destroy()
    throw cannotOpen(named, error)
  }
  // better-sqlite3 waits for a lock synchronously, and with it every request: from here on we wait ourselves.
  database.pragma('busy_timeout = 0')

  const dataVersion = database.prepare('PRAGMA data_version').pluck()
  const changes = createFileChanges(function readVersion () {
    try {
      return dataVersion.get()
    } catch (error) {
      throw translate(error)
    }
  })

  return {
    read: work => patiently(() => work(db)),
    transaction: createGroups(db, database, { patience: LOCK_PATIENCE }),
    // The processes on one file take turns step by step: two that do the same work share it.
    alone: work => work(),
    changed: changes.changed,
    async ask () {
      changes.forget()
    },
    asOf: changes.asOf,
    epoch: () => 0,
    onChange () {},
    async close () {
      changes.forget()
      await db.destroy()
    }
  }
}

/** A file, what errors call it, and whether it must be there. */
interface Named {
  file: string
  name: string
  mustExist: boolean
}

/** The switch to WAL does not wait for another process that makes it in the same moment: it is tried again. */
async function connectPatiently (named: Named): Promise<Database.Database> {
  const deadline = performance.now() + LOCK_PATIENCE
  for (;;) {
    try {
      return connect(named)
    } catch (error) {
      if (!isLocked((error as Error).cause) || performance.now() > deadline) throw error
      await delay(20)
    }
  }
}

function connect (named: Named): Database.Database {
  const { file, mustExist } = named
  assertMatchingBuild()
  let database: Database.Database
  try {
    if (file !== ':memory:' && !mustExist) createPrivately(file)
    database = new Database(file, { timeout: LOCK_PATIENCE, fileMustExist: mustExist })
  } catch (error) {
    throw cannotOpen(named, error)
  }
  try {
    const version = String(database.prepare('select sqlite_version()').pluck().get())
    if (isOlder(version)) throw new Error(`SQLite ${version} can corrupt a WAL database; update better-sqlite3`)
    database.pragma('journal_mode = WAL')
    // After the switch to WAL better-sqlite3 has lowered this to NORMAL, with which the last commits die with the power.
    database.pragma('synchronous = FULL')
    database.pragma('foreign_keys = ON')
    // What a savepoint would undo: a read-only container has no folder for such files.
    database.pragma('temp_store = MEMORY')
    return database
  } catch (error) {
    database.close()
    throw cannotOpen(named, error)
  }
}

/** Makes the file, for its mode: it holds password hashes. SQLite gives the files beside it the same. */
function createPrivately (file: string): void {
  try {
    closeSync(openSync(file, 'ax', 0o600))
  } catch {
    // It is there, or cannot be: opening it tells.
  }
}

function isOlder (version: string): boolean {
  const parts = version.split('.').map(Number)
  for (const [index, oldest] of OLDEST_SQLITE.entries()) {
    const part = parts[index] ?? 0
    if (part !== oldest) return part < oldest
  }
  return false
}

function cannotOpen ({ file, name, mustExist }: Named, cause: unknown): Error {
  const reason = cause instanceof Error ? cause.message : String(cause)
  const hint = /NODE_MODULE_VERSION|bindings|ERR_DLOPEN_FAILED/.test(reason)
    ? 'better-sqlite3 was not built for this version of Node.js: run `npm rebuild better-sqlite3`'
    : isLocked(cause)
      ? 'another process holds it: try again when that has let go'
      : mustExist
        ? 'give the path of the database of a service'
        : "give the path of a SQLite database in a folder that exists and can be written, or ':memory:'"
  return new Error(`${name} names '${file}', which cannot be opened: ${reason}; ${hint}`, { cause })
}

const DIALECT: Dialectal = {
  text: 'text',
  addSequence: table => table.addColumn('seq', 'integer', column => column.primaryKey().autoIncrement()),
  // `PRAGMA data_version` tells of each commit.
  async announceChanges () {}
}

/** Runs `work` again while another process holds the lock; turns what the engine cannot do into `store_unavailable`. */
async function patiently<T> (work: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + LOCK_PATIENCE
  for (let pause = 2; ; pause = Math.min(pause * 2, 50)) {
    try {
      return await work()
    } catch (error) {
      if (!isLocked(error)) throw translate(error)
      if (performance.now() > deadline) throw storeUnavailable(error)
      await delay(pause)
    }
  }
}

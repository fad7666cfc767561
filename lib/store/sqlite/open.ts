import { closeSync, openSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { Kysely } from '../kysely.js'
import { migrate, requireSchema } from '../migrations.js'
import { DATABASE_OPTION, UnfitDatabase } from '../store.js'
import type { OpenOptions, Store } from '../store.js'
import type { Tables } from '../tables.js'
import { createWriteProbe } from '../write-probe.js'
import { assertMatchingBuild } from './version-check.js'
import { createFileChanges } from './changes.js'
import { SingleWriterDialect } from './dialect.js'
import { isLocked, translate } from './errors.js'
import { findPackageManager } from './package-manager.js'
import { createGroups } from './group-commit.js'
import { schemaDialect } from './schema.js'

/** Milliseconds for which an operation waits until another process unlocks the file, unless `timeout` is given. */
const LOCK_PATIENCE = 5_000

/** Older versions of SQLite can corrupt a WAL database (https://sqlite.org/wal.html, "The WAL-Reset Bug"). */
const OLDEST_SQLITE = [3, 51, 3] as const

/**
 * Opens or creates a SQLite database, and brings its schema up to date.
 * @param file - a path, or `:memory:`.
 * @throws Error that names the option `database` if the file cannot be opened or is not a database.
 */
export async function openSqlite (
  file: string, options: Pick<OpenOptions, 'name' | 'mustExist' | 'timeout' | 'now'> = {}
): Promise<Store> {
  const { name = DATABASE_OPTION, mustExist = false, timeout = LOCK_PATIENCE, now = Date.now } = options
  const named = { file, name, mustExist }
  // The switch to WAL does not wait for another process that switches at the same moment.
  const database = await whileLocked(async () => connect(named))
  const db = new Kysely<Tables>({ dialect: new SingleWriterDialect(database) })
  try {
    if (mustExist) await requireSchema(db)
    await whileLocked(() => migrate(db, schemaDialect))
  } catch (error) {
    await db.destroy()
    throw cannotOpen(named, error)
  }

  const dataVersion = database.prepare('PRAGMA data_version').pluck()
  const changes = createFileChanges(function readVersion () {
    try {
      return dataVersion.get()
    } catch (error) {
      throw translate(error)
    }
  })

  const transaction = createGroups(db, database, { patience: timeout, now })
  return {
    read: work => patiently(timeout, () => work(db)),
    transaction,
    proveWritable: createWriteProbe(transaction),
    now,
    // Processes on one file take turns with each step, so two that do the same work share it.
    onOneNode: work => work(),
    changed: changes.changed,
    async poll () {
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

/** A file, its name in errors, and whether it must exist. */
interface Named {
  file: string
  name: string
  mustExist: boolean
}

function connect (named: Named): Database.Database {
  const { file, mustExist } = named
  assertMatchingBuild()
  let database: Database.Database
  try {
    if (file !== ':memory:' && !mustExist) createPrivately(file)
    // better-sqlite3 would wait for a lock synchronously. That blocks every request, and the app itself if it holds the
    // lock. So the store waits.
    database = new Database(file, { timeout: 0, fileMustExist: mustExist })
  } catch (error) {
    throw cannotOpen(named, error)
  }
  try {
    const version = String(database.prepare('select sqlite_version()').pluck().get())
    if (isOlder(version)) throw new Error(`SQLite ${version} can corrupt a WAL database; update better-sqlite3`)
    database.pragma('journal_mode = WAL')
    // better-sqlite3 lowers this to NORMAL after the switch to WAL. Then a power cut would lose the last commits.
    database.pragma('synchronous = FULL')
    database.pragma('foreign_keys = ON')
    // SQLite keeps what a savepoint may undo in temporary files, and a read-only container has no folder for them.
    database.pragma('temp_store = MEMORY')
    return database
  } catch (error) {
    database.close()
    throw cannotOpen(named, error)
  }
}

/**
 * Creates the file with a private mode, because it holds password hashes. SQLite gives its other files the same mode.
 */
function createPrivately (file: string): void {
  try {
    closeSync(openSync(file, 'ax', 0o600))
  } catch {
    // The file exists already, or cannot be created. In both cases, opening it shows which.
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
  if (cause instanceof UnfitDatabase) {
    return new Error(`${name} names '${file}', which cannot be opened: ${reason}`, { cause })
  }
  const hint = /NODE_MODULE_VERSION|bindings|ERR_DLOPEN_FAILED/.test(reason)
    ? `better-sqlite3 was not built for this version of Node.js: ${findPackageManager().build}`
    : isLocked(cause)
      ? 'another process has locked it: try again when that process has finished'
      : mustExist
        ? 'give the path of the database of a service'
        : "give the path of a SQLite database in a folder that exists and can be written, or ':memory:'"
  return new Error(`${name} names '${file}', which cannot be opened: ${reason}; ${hint}`, { cause })
}

/** Repeats `work` while another connection holds the lock. Reports failures of the engine as `store_unavailable`. */
async function patiently<T> (patience: number, work: () => Promise<T>): Promise<T> {
  try {
    return await whileLocked(work, patience)
  } catch (error) {
    throw translate(error)
  }
}

/** Repeats `work` while another connection holds the lock. */
async function whileLocked<T> (work: () => Promise<T>, patience = LOCK_PATIENCE): Promise<T> {
  const deadline = performance.now() + patience
  for (let pause = 2; ; pause = Math.min(pause * 2, 50)) {
    try {
      return await work()
    } catch (error) {
      if (!isLocked(error) && !isLocked((error as Error).cause)) throw error
      if (performance.now() > deadline) throw error
      await delay(pause)
    }
  }
}

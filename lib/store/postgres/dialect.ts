import type { DatabaseConnection, Kysely, PostgresPool } from 'kysely'
import { CompiledQuery, PostgresAdapter, PostgresDialect, PostgresDriver } from '../kysely.js'
import { QualifiedIntrospector } from './introspector.js'
import { WRITER } from './locks.js'

/** Kysely's dialect, with one writer at a time. */
export class SingleWriterDialect extends PostgresDialect {
  readonly #pool: PostgresPool

  constructor (pool: PostgresPool) {
    super({ pool })
    this.#pool = pool
  }

  override createDriver (): SingleWriterDriver {
    return new SingleWriterDriver({ pool: this.#pool })
  }

  override createAdapter (): LocklessAdapter {
    return new LocklessAdapter()
  }

  override createIntrospector (db: Kysely<unknown>): QualifiedIntrospector {
    return new QualifiedIntrospector(db)
  }
}

/**
 * Migrates without Kysely's own lock, which the app's migrator takes too. The transaction of the migration already
 * holds the writers' lock.
 */
class LocklessAdapter extends PostgresAdapter {
  override async acquireMigrationLock (): Promise<void> {}

  override async releaseMigrationLock (): Promise<void> {}
}

const BEGIN = `begin isolation level read committed; select pg_catalog.pg_advisory_xact_lock(${WRITER})`

class SingleWriterDriver extends PostgresDriver {
  /**
   * Begins a transaction and takes the writers' lock, in one round trip. The contract of a store requires one writer at
   * a time, so that numbers and times are in the order of the commits. The lock ends with the transaction, and only
   * after the commit is visible. The isolation level is fixed, however the server is configured: at a stricter level,
   * the snapshot would be taken before the wait for the lock ends.
   */
  override async beginTransaction (connection: DatabaseConnection): Promise<void> {
    try {
      await connection.executeQuery(CompiledQuery.raw(BEGIN))
    } catch (error) {
      // The transaction has begun. Without a rollback, the connection would return to the pool in an aborted
      // transaction.
      await connection.executeQuery(CompiledQuery.raw('rollback')).catch(() => {})
      throw error
    }
  }
}

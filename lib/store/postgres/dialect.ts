import type { DatabaseConnection, Kysely, PostgresPool, TransactionSettings } from 'kysely'
import { PostgresAdapter, PostgresDialect, PostgresDriver } from '../kysely.js'
import { QualifiedIntrospector } from './introspector.js'

/** Kysely's dialect for transactions that take their locks as they begin. */
export class LockingDialect extends PostgresDialect {
  readonly #pool: PostgresPool

  constructor (pool: PostgresPool) {
    super({ pool })
    this.#pool = pool
  }

  override createDriver (): LockingDriver {
    return new LockingDriver({ pool: this.#pool })
  }

  override createAdapter (): LocklessAdapter {
    return new LocklessAdapter()
  }

  override createIntrospector (db: Kysely<unknown>): QualifiedIntrospector {
    return new QualifiedIntrospector(db)
  }
}

/**
 * Migrates without Kysely's own lock, which the app's migrator takes too. The connection already holds a lock: see
 * `openPostgres`.
 */
class LocklessAdapter extends PostgresAdapter {
  override async acquireMigrationLock (): Promise<void> {}

  override async releaseMigrationLock (): Promise<void> {}
}

class LockingDriver extends PostgresDriver {
  /**
   * A transaction of the store names an isolation level. It begins with its first statement, which takes the locks in
   * the same round trip.
   */
  override async beginTransaction (connection: DatabaseConnection, settings: TransactionSettings): Promise<void> {
    if (settings.isolationLevel === undefined) await super.beginTransaction(connection, settings)
  }
}

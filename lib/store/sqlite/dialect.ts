import type { DatabaseConnection, Driver, QueryResult, SqliteDatabase, SqliteStatement } from 'kysely'
import { CompiledQuery, SqliteAdapter, SqliteDialect } from '../kysely.js'

/** The one connection of better-sqlite3. */
export interface SqliteHandle extends SqliteDatabase {
  readonly inTransaction: boolean
}

/** The most statements that stay prepared. The program has fewer, except for lists of different lengths. */
const MOST_STATEMENTS = 256

/**
 * The most characters of a statement that stays prepared. A longer one is a list of many rows, hardly ever of the same
 * length again, and a statement takes as much memory as its text.
 */
const LONGEST_TEXT = 4_096

/** Kysely's dialect, except that a transaction begins as the only writer, and that each statement is prepared once. */
export class SingleWriterDialect extends SqliteDialect {
  readonly #database: SqliteHandle

  constructor (database: SqliteHandle) {
    super({ database })
    this.#database = database
  }

  override createDriver (): Driver {
    return createDriver(this.#database)
  }

  override createAdapter (): TransactionalAdapter {
    return new TransactionalAdapter()
  }
}

/**
 * SQLite's schema changes are transactional. So ten processes that start at the same time migrate one after the other.
 */
class TransactionalAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl (): boolean {
    return true
  }
}

/**
 * Kysely's own driver prepares each statement every time. When the connection becomes free, it wakes every caller that
 * waits for it.
 */
function createDriver (database: SqliteHandle): Driver {
  const connection = createConnection(database)
  const waiting: Array<() => void> = []
  let isHeld = false

  async function execute (text: string): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw(text))
  }

  return {
    async init () {},
    async acquireConnection () {
      // `releaseConnection` hands the connection to the caller that has waited longest, so no other can come first.
      if (isHeld) await new Promise<void>(resolve => { waiting.push(resolve) })
      isHeld = true
      return connection
    },
    async releaseConnection () {
      const next = waiting.shift()
      if (next === undefined) isHeld = false
      else next()
    },
    // A transaction that begins as a reader fails at its first write if another process has committed meanwhile.
    beginTransaction: () => execute('begin immediate'),
    commitTransaction: () => execute('commit'),
    async rollbackTransaction () {
      // A full disk has already caused a rollback. A second one would throw and hide the reason.
      if (database.inTransaction) await execute('rollback')
    },
    async destroy () {
      database.close()
    }
  }
}

function createConnection (database: SqliteHandle): DatabaseConnection {
  const statements = new Map<string, SqliteStatement>()

  function prepare (text: string): SqliteStatement {
    const known = statements.get(text)
    if (known !== undefined) return known
    const statement = database.prepare(text)
    if (text.length > LONGEST_TEXT) return statement
    if (statements.size === MOST_STATEMENTS) {
      const [oldest = ''] = statements.keys()
      statements.delete(oldest)
    }
    statements.set(text, statement)
    return statement
  }

  return {
    async executeQuery<Row> ({ sql, parameters }: CompiledQuery): Promise<QueryResult<Row>> {
      const statement = prepare(sql)
      if (statement.reader) return { rows: statement.all(parameters) as Row[] }
      const { changes, lastInsertRowid } = statement.run(parameters)
      return { numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid), rows: [] }
    },
    async * streamQuery<Row> ({ sql, parameters }: CompiledQuery): AsyncIterableIterator<QueryResult<Row>> {
      // Not a statement that stays prepared, because it is in use until the last row has been read.
      for (const row of database.prepare(sql).iterate(parameters)) yield { rows: [row as Row] }
    }
  }
}

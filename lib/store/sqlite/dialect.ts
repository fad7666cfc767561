import type { DatabaseConnection, Driver, QueryResult, SqliteDatabase, SqliteStatement } from 'kysely'
import { CompiledQuery, SqliteAdapter, SqliteDialect } from '../kysely.js'

/** The one connection of better-sqlite3. */
export interface SqliteHandle extends SqliteDatabase {
  readonly inTransaction: boolean
}

/** Statements that are kept prepared. The program has fewer; what comes and goes are lists of different lengths. */
const MOST_STATEMENTS = 256

/** Characters. A longer text is a list of many rows, hardly ever of the same length again, and a statement takes as much memory as its text. */
const LONGEST_TEXT = 4_096

/** SQLite as Kysely's dialect has it, but with one writer that begins as one, and with statements that are prepared once. */
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

/** SQLite's schema changes are transactional; run so, ten processes that start at once migrate one after the other. */
class TransactionalAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl (): boolean {
    return true
  }
}

/** Kysely's own prepares each statement anew each time, and wakes everybody who waits for the connection when it becomes free. */
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
      // Whoever lets go hands it over to the one who has waited longest: nobody can come between.
      if (isHeld) await new Promise<void>(resolve => { waiting.push(resolve) })
      isHeld = true
      return connection
    },
    async releaseConnection () {
      const next = waiting.shift()
      if (next === undefined) isHeld = false
      else next()
    },
    // A transaction that begins as a reader loses its place to another process's commit when it first writes.
    beginTransaction: () => execute('begin immediate'),
    commitTransaction: () => execute('commit'),
    async rollbackTransaction () {
      // A full disk has already rolled back: doing it again would throw, and hide why.
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
      // Not one of those that are kept: it is in use until its last row was read.
      for (const row of database.prepare(sql).iterate(parameters)) yield { rows: [row as Row] }
    }
  }
}

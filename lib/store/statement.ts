import type { Compilable, CompiledQuery, QueryResult } from 'kysely'
import type { Queryable } from './tables.js'

type Values = Readonly<Record<string, string | number | null>>

type Statement<Parameters, Row> = (db: Queryable, parameters: Parameters) => Promise<QueryResult<Row>>

/** Returns a symbol for each name, as a placeholder for the value. */
const PLACES = new Proxy({}, { get: (_, name) => Symbol(String(name)) })

/**
 * Creates a statement whose SQL is compiled once per store. Compiling takes longer than running, and some statements
 * run with every request.
 * @param build - builds the statement with placeholders instead of values. It may use each of them only in the place of
 *   a value in SQL.
 */
export function createStatement<Parameters extends Values, Row> (
  build: (db: Queryable, parameters: Parameters) => Compilable<Row>
): Statement<Parameters, Row> {
  const known = new WeakMap<object, CompiledQuery<Row>>()
  return async function execute (db, parameters) {
    const { adapter } = db.getExecutor()
    let statement = known.get(adapter)
    if (statement === undefined) {
      statement = build(db, PLACES as Parameters).compile()
      known.set(adapter, statement)
    }
    return await db.executeQuery<Row>({
      ...statement,
      parameters: statement.parameters.map(place =>
        typeof place === 'symbol' ? parameters[String(place.description)] : place)
    })
  }
}

import type { Compilable, CompiledQuery, QueryResult } from 'kysely'
import type { Queryable } from './tables.js'

/** Gives for each name a symbol that stands in the place of its value. */
const PLACES = new Proxy({}, { get: (_, name) => Symbol(String(name)) })

/**
 * A statement whose text is made once for each store: to make it takes longer than to run it, and some are run with every request.
 * @param build - makes the statement of parameters that have no values yet: it may put each where a value stands in SQL, and do nothing else with it.
 */
export function createStatement<Parameters extends Readonly<Record<string, string | number | null>>, Row> (build: (db: Queryable, parameters: Parameters) => Compilable<Row>): (db: Queryable, parameters: Parameters) => Promise<QueryResult<Row>> {
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
      parameters: statement.parameters.map(place => typeof place === 'symbol' ? parameters[String(place.description)] : place)
    })
  }
}

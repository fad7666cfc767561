import type { Engine } from './engine.js'
import { postgres } from './postgres/engine.js'
import { sqlite } from './sqlite/engine.js'

/** All engines. SQLite must be last, because it accepts any text as the path of a file. */
const ENGINES = [postgres, sqlite] as const

export type EngineName = typeof ENGINES[number]['name']

/** Returns the engine of the database that the option `database` names. */
export function engineOf (database: string): Engine & { readonly name: EngineName } {
  return ENGINES.find(engine => engine.matches(database)) ?? sqlite
}

/** Returns the option `database` for a message, without anything secret in it. */
export function describeDatabase (database: string): string {
  return engineOf(database).describe(database)
}

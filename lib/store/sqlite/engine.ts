import type { Engine } from '../engine.js'

/** A file, or a database in memory that lives as long as the process. */
export const sqlite = {
  name: 'SQLite',
  isShared: false,
  matches: () => true,
  describe: database => database,
  fileOf: database => database === ':memory:' ? undefined : database,
  async open (database, options) {
    const { openSqlite } = await import('./open.js')
    return await openSqlite(database, options)
  },
  async loadCopyEngine () {
    const { copyEngine } = await import('./copy.js')
    return copyEngine
  }
} as const satisfies Engine

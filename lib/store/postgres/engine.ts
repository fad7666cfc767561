import type { Engine } from '../engine.js'
import { describeUrl, isUrl } from './url.js'

/** A database on a PostgreSQL server. */
export const postgres = {
  name: 'PostgreSQL',
  isShared: true,
  matches: isUrl,
  describe: describeUrl,
  fileOf: () => undefined,
  async open (database, options) {
    const { openPostgres } = await import('./open.js')
    return await openPostgres(database, options)
  },
  async loadCopyEngine () {
    const { copyEngine } = await import('./copy.js')
    return copyEngine
  }
} as const satisfies Engine

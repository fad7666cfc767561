import type { CopyEngine } from '../copy/engine.js'
import { sql } from '../kysely.js'
import { isLocked, translate } from './errors.js'

export const copyEngine: CopyEngine = {
  mostParameters: 32_766,
  holdsNul: true,
  async wait () {},
  // Every transaction of a store is already the only writer of its file.
  hold: async () => undefined,
  // `latchkey copy` notices two names of one file before it opens them.
  isMarked: async () => false,
  async lastNumber (trx, table) {
    const { rows } = await sql<{ seq: number }>`select seq from sqlite_sequence where name = ${table}`.execute(trx)
    return rows[0]?.seq ?? 0
  },
  async continueAfter (trx, table, last) {
    await sql`delete from sqlite_sequence where name = ${table}`.execute(trx)
    await sql`insert into sqlite_sequence (name, seq) values (${table}, ${last})`.execute(trx)
  },
  translate,
  isAway: error => error instanceof Error && isLocked(error.cause)
}

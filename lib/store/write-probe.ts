import { randomUUID } from 'node:crypto'
import type { Transaction } from 'kysely'
import { sql } from './kysely.js'
import type { Tables } from './tables.js'

/** The tables that every login writes to. */
const WRITTEN = ['latchkey_attempts', 'latchkey_sessions', 'latchkey_events'] as const

/** Milliseconds for which a success counts. Anyone may call the route, and each probe writes to the disk. */
const HOLDS = 1_000

/**
 * Creates `Store.proveWritable`. Callers at the same time share one probe.
 * @param transaction - runs a transaction as the only one of its group.
 */
export function createWriteProbe (
  transaction: (work: (trx: Transaction<Tables>) => Promise<void>) => Promise<void>
): () => Promise<void> {
  let provenAt = -Infinity
  let probing: Promise<void> | undefined

  async function probe (): Promise<void> {
    const begun = performance.now()
    await transaction(write)
    provenAt = begun
  }

  return async function proveWritable () {
    if (performance.now() - provenAt < HOLDS) return
    probing ??= probe().finally(() => { probing = undefined })
    await probing
  }
}

/**
 * On a read-only server or a locked table, even a statement that finds no row fails. A full disk, and a standby that
 * does not confirm, cause an error only when a row is committed. That row is never visible, and each node has its own.
 */
async function write (trx: Transaction<Tables>): Promise<void> {
  await trx.selectFrom('latchkey_users').select('id').limit(1).execute()
  for (const table of WRITTEN) await trx.deleteFrom(table).where(sql<boolean>`1 = 0`).execute()
  const name = `probe ${randomUUID()}`
  await trx.insertInto('latchkey_meta').values({ name, value: 0 }).execute()
  await trx.deleteFrom('latchkey_meta').where('name', '=', name).execute()
}

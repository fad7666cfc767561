import type { Transaction } from 'kysely'
import { isMoment, LAST_MOMENT } from './columns.js'
import { createStatement } from './statement.js'
import type { Store } from './store.js'
import type { Queryable, Tables } from './tables.js'

/**
 * The numbers of a store.
 * - `access_token_ttl`: the longest lifetime that an access token was ever given here. It only grows.
 * - `horizon`: see `readHorizon`. It only grows.
 * - `store_id`: distinguishes this store from every other. It is created once and never changes.
 * - `looked_at` and `steady_since`: see `steady-time.ts`
 */
export type MetaName = 'access_token_ttl' | 'horizon' | 'store_id' | 'looked_at' | 'steady_since'

/** Returns the number, or 0 if it is missing or damaged. */
export async function readMeta (db: Queryable, name: MetaName): Promise<number> {
  const row = await db.selectFrom('latchkey_meta').select('value').where('name', '=', name).executeTakeFirst()
  return isMoment(row?.value) ? row.value : 0
}

/** SQLite sorts other types after all numbers, so a damaged value is replaced like a number that is too large. */
const raise = createStatement((db, { name, value, most }: { name: string, value: number, most: number }) =>
  db
    .insertInto('latchkey_meta')
    .values({ name, value })
    .onConflict(conflict =>
      conflict.column('name').doUpdateSet(eb => ({
        value: eb
          .case()
          .when(eb.or([eb('latchkey_meta.value', '<', eb.ref('excluded.value')), eb('latchkey_meta.value', '>', most)]))
          .then(eb.ref('excluded.value'))
          .else(eb.ref('latchkey_meta.value'))
          .end()
      }))
    )
    .returning('value')
)

async function raiseTo (
  trx: Transaction<Tables>,
  target: { name: MetaName, value: number, most: number }
): Promise<number> {
  const { rows } = await raise(trx, target)
  return Math.ceil((rows[0] as { value: number }).value)
}

/**
 * Raises the number to at least `value`, and returns the result. A stored number that is larger than any moment is
 * damaged, so it is replaced.
 */
export function raiseMeta (trx: Transaction<Tables>, name: MetaName, value: number): Promise<number> {
  return raiseTo(trx, { name, value, most: LAST_MOMENT })
}

/** How far the horizon can be ahead of the clock: ten years, in milliseconds. A value beyond it is damaged. */
const MOST_AHEAD = 3_653 * 24 * 60 * 60 * 1000

/**
 * Returns the horizon, or 0 if there is none. The purge has deleted the rules that expired before it, so every token
 * that was issued before it and expires by then is dead. `now`: the store's time. All times are in milliseconds.
 */
export async function readHorizon (db: Queryable, now: number): Promise<number> {
  const horizon = await readMeta(db, 'horizon')
  return horizon > now + MOST_AHEAD ? 0 : horizon
}

/** Raises the horizon to at least `time`, and returns the result. `now`: the store's time. */
export function raiseHorizon (trx: Transaction<Tables>, time: number, now: number): Promise<number> {
  return raiseTo(trx, { name: 'horizon', value: time, most: now + MOST_AHEAD })
}

/** Stores a number, whatever it was before. */
export async function writeMeta (trx: Transaction<Tables>, name: MetaName, value: number): Promise<void> {
  await trx.insertInto('latchkey_meta').values({ name, value })
    .onConflict(conflict => conflict.column('name').doUpdateSet({ value })).execute()
}

/**
 * Returns the id of the store. If it has none yet, it gets `fresh`, or the id from another process that boots at the
 * same moment.
 */
export async function readStoreId (store: Store, fresh: number): Promise<number> {
  const known = await store.read(db => readMeta(db, 'store_id'))
  if (known !== 0) return known
  return await store.transaction(async trx => {
    await trx
      .insertInto('latchkey_meta')
      .values({ name: 'store_id', value: fresh })
      .onConflict(conflict => conflict.column('name').doNothing())
      .execute()
    return await readMeta(trx, 'store_id')
  })
}

import type { Transaction } from 'kysely'
import { isMoment, LAST_MOMENT } from './columns.js'
import { createStatement } from './statement.js'
import type { Store } from './store.js'
import type { Queryable, Tables } from './tables.js'

/**
 * Numbers that only ever grow.
 * - `latest_time`: the latest time acted on
 * - `access_token_ttl`: the longest lifetime that an access token was ever given here
 * - `store_id`: distinguishes this store from every other. It is created once and never changes.
 */
export type MetaName = 'latest_time' | 'access_token_ttl' | 'store_id'

/** Returns the number, or 0 if it was never raised or is damaged. */
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

/** A clock that shows a later time than this was not reset. */
const RELEASE = Date.UTC(2026, 0, 1)

/** How far the stored time may be ahead of a clock that was not reset: ten years, in milliseconds. */
const MOST_AHEAD = 3_653 * 24 * 60 * 60 * 1000

/**
 * The latest time that is credible. A stored time beyond it is damaged, or was written by a machine whose clock was
 * wrong for a moment. It would end every token and session for good.
 */
function latestCredible (now: number): number {
  return now < RELEASE ? LAST_MOMENT : now + MOST_AHEAD
}

/** Returns the latest time acted on, or 0 if there is none or it is not credible. `now`: milliseconds. */
export async function readTime (db: Queryable, now: number): Promise<number> {
  const time = await readMeta(db, 'latest_time')
  return time > latestCredible(now) ? 0 : time
}

/** Raises the latest time acted on to at least `time`, and returns the result. `now`: milliseconds. */
export function raiseTime (trx: Transaction<Tables>, time: number, now: number): Promise<number> {
  return raiseTo(trx, { name: 'latest_time', value: time, most: latestCredible(now) })
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

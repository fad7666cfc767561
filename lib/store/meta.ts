import type { Transaction } from 'kysely'
import { isMoment, LAST_MOMENT } from './columns.js'
import { createStatement } from './statement.js'
import type { Store } from './store.js'
import type { Queryable, Tables } from './tables.js'

/**
 * Numbers that only ever grow.
 * `latest_time`: the latest time acted on; `access_token_ttl`: the longest lifetime that an access token was ever given here;
 * `store_id`: tells this store from every other, made once and never changed.
 */
export type MetaName = 'latest_time' | 'access_token_ttl' | 'store_id'

/** The number, 0 where it was never raised, and where it is damaged. */
export async function readMeta (db: Queryable, name: MetaName): Promise<number> {
  const row = await db.selectFrom('meta').select('value').where('name', '=', name).executeTakeFirst()
  return isMoment(row?.value) ? row.value : 0
}

/** What is no number comes after all numbers in SQLite, and so is replaced like one that is too large. */
const raise = createStatement((db, { name, value, most }: { name: string; value: number; most: number }) =>
  db
    .insertInto('meta')
    .values({ name, value })
    .onConflict(conflict =>
      conflict.column('name').doUpdateSet(eb => ({
        value: eb
          .case()
          .when(eb.or([eb('meta.value', '<', eb.ref('excluded.value')), eb('meta.value', '>', most)]))
          .then(eb.ref('excluded.value'))
          .else(eb.ref('meta.value'))
          .end()
      }))
    )
    .returning('value')
)

/** Makes the number at least `value`, and returns what it now is. A number above `most` is damaged and is replaced. */
export async function raiseMeta (
  trx: Transaction<Tables>,
  name: MetaName,
  value: number,
  most = LAST_MOMENT
): Promise<number> {
  const { rows } = await raise(trx, { name, value, most })
  return Math.ceil((rows[0] as { value: number }).value)
}

/** No machine whose clock shows a time after this can have a clock that was reset. */
const RELEASE = Date.UTC(2026, 0, 1)

/** Milliseconds by which the kept time may be ahead of a clock that was not reset: ten years. */
const MOST_AHEAD = 3_653 * 24 * 60 * 60 * 1000

/**
 * The latest time that can be true. Beyond it the kept time is damaged, or was written by a machine whose clock was
 * wrong for a moment, and would end
 * every token and session for good.
 */
function latestCredible (now: number): number {
  return now < RELEASE ? LAST_MOMENT : now + MOST_AHEAD
}

/** The latest time acted on, as far as it is credible; 0 where there is none. `now`: milliseconds. */
export async function readTime (db: Queryable, now: number): Promise<number> {
  const time = await readMeta(db, 'latest_time')
  return time > latestCredible(now) ? 0 : time
}

/** Makes the latest time acted on at least `time`, and returns what it now is. `now`: milliseconds. */
export function raiseTime (trx: Transaction<Tables>, time: number, now: number): Promise<number> {
  return raiseMeta(trx, 'latest_time', time, latestCredible(now))
}

/** The id of the store. Where it has none yet it becomes `fresh`, or what another process that boots in the same moment has made. */
export async function readStoreId (store: Store, fresh: number): Promise<number> {
  const known = await store.read(db => readMeta(db, 'store_id'))
  if (known !== 0) return known
  return await store.transaction(async trx => {
    await trx.insertInto('meta').values({ name: 'store_id', value: fresh }).onConflict(conflict => conflict.column('name').doNothing()).execute()
    return await readMeta(trx, 'store_id')
  })
}

import type { Transaction } from 'kysely'
import { createStatement } from './statement.js'
import type { Store } from './store.js'
import type { Queryable, Tables } from './tables.js'

/**
 * Numbers that only ever grow.
 * `latest_time`: the latest time acted on; `access_token_ttl`: the longest lifetime that an access token was ever given here;
 * `store_id`: tells this store from every other, made once and never changed.
 */
export type MetaName = 'latest_time' | 'access_token_ttl' | 'store_id'

/** The number, 0 where it was never raised. */
export async function readMeta (db: Queryable, name: MetaName): Promise<number> {
  const row = await db.selectFrom('meta').select('value').where('name', '=', name).executeTakeFirst()
  return row?.value ?? 0
}

const raise = createStatement((db, { name, value }: { name: string, value: number }) => db.insertInto('meta').values({ name, value })
  .onConflict(conflict => conflict.column('name').doUpdateSet(eb => ({
    value: eb.case().when('meta.value', '<', eb.ref('excluded.value')).then(eb.ref('excluded.value')).else(eb.ref('meta.value')).end()
  })))
  .returning('value'))

/** Makes the number at least `value`, and returns what it now is. */
export async function raiseMeta (trx: Transaction<Tables>, name: MetaName, value: number): Promise<number> {
  const { rows } = await raise(trx, { name, value })
  return (rows[0] as { value: number }).value
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

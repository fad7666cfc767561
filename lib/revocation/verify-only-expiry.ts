import { LAST_MOMENT } from '../store/columns.js'
import type { Queryable } from '../store/tables.js'

/**
 * Returns when the last key of an older system expires, in milliseconds, or 0 if there is none. A rule that must
 * outlive every token must outlive those tokens too.
 */
export async function lastVerifyOnlyExpiry (db: Queryable): Promise<number> {
  const row = await db.selectFrom('latchkey_keys').select(eb => eb.fn.max('expires_at').as('last'))
    .where('activates_at', 'is', null).where('revoked_at', 'is', null)
    // A damaged value that is not a number sorts after all numbers.
    .where('expires_at', '<=', LAST_MOMENT).executeTakeFirst()
  return Number(row?.last ?? 0)
}

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Transaction } from 'kysely'
import { RULE_RETENTION } from '../revocation/rule-index.js'
import { closeLists, purgeLists } from '../status-lists/references.js'
import { readMeta } from '../store/meta.js'
import type { Store } from '../store/store.js'
import type { Tables } from '../store/tables.js'

/** How many sessions one transaction deletes. Each session is in half a dozen indexes. */
const STEP = 100

/** Deletes up to `limit` sessions like `deleteSessions`, but in steps. Requests are served between the steps. */
export async function purgeSessions (store: Store, limit: number, now: number): Promise<boolean> {
  for (let left = limit; left > 0; left -= STEP) {
    if (!await store.transaction(trx => deleteSessions(trx, now, Math.min(left, STEP)))) return false
    await nextTurn()
  }
  return true
}

/**
 * Deletes up to `limit` sessions that have been over, with their access tokens, for more than a day, and the status
 * lists that have no other sessions. Returns whether there may be more.
 */
async function deleteSessions (trx: Transaction<Tables>, now: number, limit: number): Promise<boolean> {
  // An access token may outlive its session, so the row must stay until the token is dead. If a clock was ahead when
  // the token was issued, that can be much later.
  const over = now - RULE_RETENTION - await readMeta(trx, 'access_token_ttl')
  const rows = await trx
    .selectFrom('latchkey_sessions')
    .select(['id', 'status_list'])
    .where('idle_expires_at', '<', over)
    .where('last_used_at', '<', over)
    .orderBy('idle_expires_at')
    .limit(limit)
    .execute()
  if (rows.length === 0) return false
  await trx.deleteFrom('latchkey_sessions').where('id', 'in', rows.map(({ id }) => id)).execute()
  const lists = [...new Set(rows.map(row => row.status_list).filter(list => list !== null))]
  await closeLists(trx, lists)
  await purgeLists(trx, lists)
  return rows.length === limit
}

import type { Selectable, Transaction } from 'kysely'
import { toText } from '../store/columns.js'
import type { AttemptsTable, Queryable, Tables } from '../store/tables.js'
import { expiryOf, isCredible } from './attempts.js'
import type { Attempts } from './attempts.js'

/** Returns the attempts on the bucket with this key, or undefined if none are remembered. */
export async function findAttempts (db: Queryable, key: string): Promise<Attempts | undefined> {
  const row = await db.selectFrom('latchkey_attempts').selectAll().where('key', '=', key).executeTakeFirst()
  return row === undefined ? undefined : toAttempts(row)
}

/** Stores the attempts on a bucket. Undefined means that there is nothing left to remember. */
export async function keepAttempts (
  trx: Transaction<Tables>, { key, account }: Pick<AttemptsTable, 'key' | 'account'>, attempts: Attempts | undefined
): Promise<void> {
  if (attempts === undefined) {
    await trx.deleteFrom('latchkey_attempts').where('key', '=', key).execute()
    return
  }
  const columns = {
    failures: attempts.failures,
    pending: attempts.pending.join(' '),
    last_attempt_at: attempts.lastAttemptAt,
    blocked_until: attempts.blockedUntil,
    expires_at: expiryOf(attempts)
  }
  await trx.insertInto('latchkey_attempts').values({ key, account, ...columns })
    .onConflict(conflict => conflict.column('key').doUpdateSet(columns)).execute()
}

/**
 * Returns undefined if the row is damaged, because the owner of the account must not be locked out for good. The next
 * attempt overwrites the row.
 */
function toAttempts (row: Selectable<AttemptsTable>): Attempts | undefined {
  const pending = toText(row.pending)
  const attempts = {
    failures: row.failures,
    pending: pending === '' ? [] : pending.split(' ').map(Number),
    lastAttemptAt: row.last_attempt_at,
    blockedUntil: row.blocked_until
  }
  return isCredible(attempts) ? attempts : undefined
}

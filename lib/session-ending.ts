import type { Transaction } from 'kysely'
import type { Revoke } from './revocations.js'
import type { Tables } from './store/tables.js'

/**
 * Ends live sessions of a user, and with them their refresh tokens and access tokens, as part of a transaction.
 * @param which - all of the user's, narrowed to `only` or without `except`.
 * @returns the ids of those that were live.
 */
export async function endSessions (trx: Transaction<Tables>, revoke: Revoke, now: number, which: { userId: string, only?: string, except?: string }): Promise<string[]> {
  let query = trx.updateTable('sessions').set({ ended_at: now }).where('user_id', '=', which.userId).where('ended_at', 'is', null)
  if (which.only !== undefined) query = query.where('id', '=', which.only)
  if (which.except !== undefined) query = query.where('id', '!=', which.except)
  const ended = (await query.returning('id').execute()).map(({ id }) => id)
  await revoke.sessions(ended)
  return ended
}

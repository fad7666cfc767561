import type { Transaction } from 'kysely'
import type { Revoke } from './revocations.js'
import type { Tables } from './store/tables.js'

/**
 * Ends sessions of a user, and with them their refresh tokens and access tokens, as part of a transaction. An expired session
 * is ended too: an access token of it may have outlived it.
 * @param which - all of the user's, narrowed to `only` or without `except`.
 * @returns how many of them were live.
 */
export async function endSessions (trx: Transaction<Tables>, revoke: Revoke, now: number, which: { userId: string, only?: string, except?: string }): Promise<number> {
  let query = trx.updateTable('sessions').set({ ended_at: now }).where('user_id', '=', which.userId).where('ended_at', 'is', null)
  if (which.only !== undefined) query = query.where('id', '=', which.only)
  if (which.except !== undefined) query = query.where('id', '!=', which.except)
  const ended = await query.returning(['id', 'expires_at', 'idle_expires_at']).execute()
  await revoke.sessions(ended.map(({ id }) => id))
  return ended.filter(session => now < session.expires_at && now < session.idle_expires_at).length
}

import type { Transaction } from 'kysely'
import type { Revoke } from './revocations.js'
import type { Tables } from './store/tables.js'

/**
 * Ends sessions of a user or of a client, and with them their refresh tokens, as part of a transaction. Their access tokens are the caller's
 * to revoke. An expired session is ended too: an access token of it may have outlived it.
 * @param which - all of the client's; or all of the user's, narrowed to `only` or without `except`.
 * @returns the ids, and how many of the sessions were live.
 */
export async function endSessions (trx: Transaction<Tables>, now: number, which: { userId: string, only?: string, except?: string } | { clientId: string }): Promise<{ ids: string[], live: number }> {
  let query = trx.updateTable('sessions').set({ ended_at: now }).where('ended_at', 'is', null)
  if ('clientId' in which) {
    query = query.where('client_id', '=', which.clientId)
  } else {
    query = query.where('user_id', '=', which.userId)
    if (which.only !== undefined) query = query.where('id', '=', which.only)
    if (which.except !== undefined) query = query.where('id', '!=', which.except)
  }
  const ended = await query.returning(['id', 'expires_at', 'idle_expires_at']).execute()
  return {
    ids: ended.map(({ id }) => id),
    live: ended.filter(session => now < session.expires_at && now < session.idle_expires_at).length
  }
}

/** Logs a user out everywhere, as part of a transaction: every session ends, and every access token. Returns how many sessions were live. */
export async function closeSessions (trx: Transaction<Tables>, revoke: Revoke, now: number, userId: string): Promise<number> {
  const { live } = await endSessions(trx, now, { userId })
  // One rule for all of them.
  await revoke.user(userId)
  return live
}

/**
 * Forgets the sessions of a user who is removed, as part of a transaction that has ended them. Of those that a status list speaks of the row stays
 * until its tokens are dead, with nothing of the user in it: without it the list would call them valid.
 */
export async function forgetSessions (trx: Transaction<Tables>, userId: string): Promise<void> {
  await trx.deleteFrom('sessions').where('user_id', '=', userId).where('status_list', 'is', null).execute()
  await trx.updateTable('sessions').set({ user_id: '', nonce: '', user_agent: null, address: null, account: null, network: null })
    .where('user_id', '=', userId).execute()
}

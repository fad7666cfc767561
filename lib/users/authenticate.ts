import type { Selectable } from 'kysely'
import { networkOf } from '../identity/network.js'
import { PasswordQueueFullError } from '../passwords/pool.js'
import type { Caller } from '../passwords/pool.js'
import type { UsersTable } from '../store/tables.js'
import type { UsersContext } from './context.js'
import { findRowByName } from './rows.js'
import { toStoredUser } from './stored-user.js'
import type { StoredUser } from './stored-user.js'

/** The account of a username, read once for a whole login. */
export interface LoginAccount<Account = StoredUser> {
  /** Null if there is no such account. */
  id: string | null
  /** Returns the user if this is the password and the account is enabled. Otherwise returns null, in the same time. */
  verify (password: string, address?: string): Promise<Account | null>
}

/** `Users.findForLogin`. */
export async function findForLogin (context: UsersContext, username: string): Promise<LoginAccount> {
  const { store, passwords, roles, readDummies } = context
  const row = await store.read(db => findRowByName(db, username))
  return {
    id: row?.id ?? null,
    async verify (password, address) {
      const caller = { origin: networkOf(address), isAnonymous: true }
      // Unknown and disabled users cost a hash too, so the response time reveals nothing.
      const { valid, needsRehash } = await passwords.verify(password, row?.password_hash, {
        ...caller, dummies: await readDummies()
      })
      // A damaged id identifies no user.
      if (typeof row?.id !== 'string' || !valid || row.disabled_at !== null) return null
      if (needsRehash) await rehash(context, { row, password, caller })
      return toStoredUser(row, roles)
    }
  }
}

/**
 * Replaces a hash that is cheaper than configured or of another system, unless the password has changed in the
 * meantime.
 */
async function rehash (
  { store, passwords }: UsersContext,
  { row, password, caller }: { row: Selectable<UsersTable>, password: string, caller: Caller }
): Promise<void> {
  try {
    const passwordHash = await passwords.hash(password, caller)
    await store.transaction(trx => trx.updateTable('latchkey_users')
      .set({ password_hash: passwordHash, dummy_hash: null })
      .where('id', '=', row.id).where('password_hash', '=', row.password_hash).execute())
  } catch (error) {
    // The password was right, so a full queue must not fail this login. A later login stores the new hash.
    if (!(error instanceof PasswordQueueFullError)) throw error
  }
}

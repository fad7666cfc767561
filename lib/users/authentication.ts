import type { Selectable } from 'kysely'
import { networkOf } from '../identity/network.js'
import { keyOf } from '../identity/usernames.js'
import { PasswordQueueFullError } from '../passwords/pool.js'
import type { Caller, Passwords } from '../passwords/pool.js'
import type { Store } from '../store/store.js'
import type { UsersTable } from '../store/tables.js'
import { toStoredUser } from './stored-user.js'
import type { StoredUser } from './stored-user.js'

/** The account of a username, read once for a whole login. */
export interface LoginAccount<Account = StoredUser> {
  /** Null if there is no such account. */
  id: string | null
  /** Returns the user if this is the password and the account is enabled. Otherwise returns null, in the same time. */
  verify (password: string, address?: string): Promise<Account | null>
}

/** Makes the functions that authenticate users of the built-in table. */
export function createAuthentication ({ store, passwords }: { store: Store, passwords: Passwords }) {
  async function findRowByName (username: string): Promise<Selectable<UsersTable> | undefined> {
    return await store.read(db =>
      db.selectFrom('users').selectAll().where('username_key', '=', keyOf(username)).executeTakeFirst())
  }

  /** Replaces a hash that is cheaper than configured, unless the password was changed in the meantime. */
  async function rehash (row: Selectable<UsersTable>, password: string, caller: Caller): Promise<void> {
    try {
      const passwordHash = await passwords.hash(password, caller)
      await store.transaction(trx => trx.updateTable('users').set({ password_hash: passwordHash })
        .where('id', '=', row.id).where('password_hash', '=', row.password_hash).execute())
    } catch (error) {
      // The password was right, so a full queue postpones the new hash to the next login and does not reject this one.
      if (!(error instanceof PasswordQueueFullError)) throw error
    }
  }

  async function findForLogin (username: string): Promise<LoginAccount> {
    const row = await findRowByName(username)
    return {
      id: row?.id ?? null,
      async verify (password, address) {
        const caller = { origin: networkOf(address), isAnonymous: true }
        // Unknown and disabled users cost a hash too, so the time of the answer reveals nothing.
        const { valid, needsRehash } = await passwords.verify(password, row?.password_hash, caller)
        // A damaged id names no user.
        if (typeof row?.id !== 'string' || !valid || row.disabled_at !== null) return null
        if (needsRehash) await rehash(row, password, caller)
        return toStoredUser(row)
      }
    }
  }

  return { findRowByName, findForLogin }
}

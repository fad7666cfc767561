import type { Actor } from '../../schemas/events.js'
import type { UserDirectory } from '../../schemas/host.js'
import type { UserRecord } from '../../schemas/users.js'
import { HOST } from '../ledger/events.js'
import type { Queryable } from '../store/tables.js'
import { addFirstUser, addUser } from './add.js'
import type { FirstUser, NewUser } from './add.js'
import { authenticate } from './authenticate.js'
import type { Principal } from './authority.js'
import type { UsersContext } from './context.js'
import { selectUsers } from './list.js'
import type { UserListQuery } from './list.js'
import { changeOwnPassword } from './own-password.js'
import type { OwnPasswordChange } from './own-password.js'
import { removeUser } from './remove.js'
import { findRow, findRowByName } from './rows.js'
import { toStoredUser } from './stored-user.js'
import type { StoredUser } from './stored-user.js'
import { createUserExport } from './transfer/export.js'
import { createUserImport } from './transfer/import.js'
import type { ImportOptions, UserImport } from './transfer/import.js'
import { updateUser } from './update.js'
import type { UserChange } from './update.js'

export type { StoredUser } from './stored-user.js'

/**
 * The built-in table of users. What takes rights away kills the tokens that have them, before its promise resolves.
 *
 * A user or a client (`by`) that changes somebody gets `insufficient_scope` where that is more than its token carries (see `assertMayGrant`),
 * and `last_administrator` where nobody would be left who can change accounts. The command line and the host app may do both.
 */
export interface Users extends UserDirectory {
  /** The user as of this transaction, or null where there is none or it is disabled. */
  findIn (db: Queryable, id: string): Promise<StoredUser | null>
  /** The user, also a disabled one. */
  findById (id: string): Promise<StoredUser | null>
  /** The user, also a disabled one. */
  findByName (username: string): Promise<StoredUser | null>
  /** The users by name. */
  list (query?: UserListQuery): Promise<StoredUser[]>
  /** Adds a user. Throws `username_taken`, `password_rejected` with the reason, or `invalid_scope` for one that is not in the catalogue. */
  add (user: NewUser, by?: Principal): Promise<StoredUser>
  /**
   * Adds the user only where there is none at all; null otherwise. Two processes that start at once add one. `hash` is asked for the hash of the
   * password where it is needed.
   */
  addFirst (user: FirstUser): Promise<StoredUser | null>
  /**
   * Changes all that is named, or nothing. Where a scope is taken away, every access token that the user holds dies, and sessions go on with what is
   * left; a user who is disabled or gets a password is logged out everywhere. What died stays dead. A password, and enabling, forget failed logins.
   * Throws `password_rejected` with the reason, or `invalid_scope` for a scope that is not in the catalogue.
   */
  update (id: string, change: UserChange, by?: Principal): Promise<StoredUser>
  /** `update` of the scopes alone. */
  setScopes (id: string, scopes: readonly string[], by?: Principal): Promise<StoredUser>
  /** `update` of the password alone. */
  setPassword (id: string, password: string, by?: Principal): Promise<StoredUser>
  /** Changes the own password: throws `wrong_password` where `current` is not it. Ends every session but `keepSession`. */
  changePassword (id: string, change: OwnPasswordChange): Promise<void>
  /** `update` that disables: no login, and every session and token dies. */
  disable (id: string, by?: Principal): Promise<StoredUser>
  /** `update` that lets a disabled user log in again. */
  enable (id: string, by?: Principal): Promise<StoredUser>
  /** Deletes the user with all sessions and tokens. */
  remove (id: string, by?: Principal): Promise<StoredUser>
  /** Takes users from elsewhere, also by the hashes of their passwords; for one file, call it once. Not for what comes through HTTP. */
  startImport (options?: ImportOptions, by?: Actor): UserImport
  /** Records that all accounts are read with their password hashes, and then reads them by name, in pages. */
  exportAll (by?: Actor): AsyncGenerator<UserRecord[]>
}

/** Creates the built-in user directory over the store. */
export function createUsers (context: UsersContext): Users {
  const { store } = context

  async function findIn (db: Queryable, id: string): Promise<StoredUser | null> {
    const row = await findRow(db, id)
    return row === undefined || row.disabled_at !== null ? null : toStoredUser(row)
  }

  async function update (id: string, change: UserChange, by: Principal = HOST): Promise<StoredUser> {
    return await updateUser(context, id, { ...change, by })
  }

  return {
    startImport: createUserImport(context),
    exportAll: createUserExport(context),
    findIn,
    find: id => store.read(db => findIn(db, id)),
    authenticate: (username, password, address) => authenticate(context, { username, password, address }),

    async findById (id) {
      const row = await store.read(db => findRow(db, id))
      return row === undefined ? null : toStoredUser(row)
    },

    async findByName (username) {
      const row = await store.read(db => findRowByName(db, username))
      return row === undefined ? null : toStoredUser(row)
    },

    list: async (query = {}) => (await store.read(db => selectUsers(db, query).execute())).map(toStoredUser),
    add: (user, by = HOST) => addUser(context, user, by),
    addFirst: user => addFirstUser(context, user),
    update,
    setScopes: (id, scopes, by) => update(id, { scopes }, by),
    setPassword: (id, password, by) => update(id, { password }, by),
    disable: (id, by) => update(id, { disabled: true }, by),
    enable: (id, by) => update(id, { disabled: false }, by),
    changePassword: (id, change) => changeOwnPassword(context, id, change),
    remove: (id, by = HOST) => removeUser(context, id, by)
  }
}

import type { Actor } from '../../schemas/events.js'
import type { UserDirectory } from '../../schemas/host.js'
import type { UserRecord } from '../../schemas/users.js'
import { HOST } from '../ledger/events.js'
import type { Queryable } from '../store/tables.js'
import { addFirstUser, addUser, ensureUser } from './add.js'
import type { FirstUser, NewUser } from './add.js'
import { findForLogin } from './authenticate.js'
import type { LoginAccount } from './authenticate.js'
import type { Principal } from './authority.js'
import type { UsersContext } from './context.js'
import { createDummyReader } from './dummies.js'
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
 * The built-in users. A call that takes rights away kills the tokens that carry them before its promise resolves.
 *
 * A user or a client (`by`) gets `insufficient_scope` for a change that needs more than its token carries (see
 * `assertMayGrant`), and `last_administrator` for a change after which no account could change accounts. The command
 * line and the host app may do both.
 */
export interface Users extends UserDirectory {
  /** Returns the user as of this transaction, or null if there is none or it is disabled. */
  findIn (db: Queryable, id: string): Promise<StoredUser | null>
  /** Returns the account that a login names. Its password is still to be verified: `authenticate` does both. */
  findForLogin (username: string): Promise<LoginAccount>
  /** Returns the user, even if it is disabled. */
  findById (id: string): Promise<StoredUser | null>
  /** Returns the user, even if it is disabled. */
  findByName (username: string): Promise<StoredUser | null>
  /** Lists users, sorted by name. */
  list (query?: UserListQuery): Promise<StoredUser[]>
  /**
   * Adds a user. Throws `username_taken`, `password_rejected` with the reason, `invalid_scope` for a scope that is not
   * in the catalogue, or `invalid_request` for an unknown role.
   */
  add (user: NewUser, by?: Principal): Promise<StoredUser>
  /**
   * Adds the user if the username is free. Otherwise returns the account as it is, and changes neither its password nor
   * its scopes and roles. If several processes call it at once, one of them adds it. Throws what `add` throws, except
   * `username_taken`. It looks for the username only, so at boot it adds the account again if you renamed or removed
   * it. To close the account, disable it.
   */
  ensure (user: NewUser, by?: Principal): Promise<{ user: StoredUser, created: boolean }>
  /**
   * Adds the user if there are no users at all, otherwise returns null. If two processes start at once, only one of
   * them adds it.
   */
  addFirst (user: FirstUser): Promise<StoredUser | null>
  /**
   * Makes the whole change or none of it. If a scope or role is removed, every access token of the user is killed, and
   * the sessions continue with the remaining scopes. A user who is disabled or gets a new password is logged out
   * everywhere. No later change revives a killed token. A new password, or enabling the user, clears failed logins.
   * A user with a new username keeps the id, the password and the sessions. The password policy is not checked again,
   * because the stored hash does not reveal whether the password resembles the new username. Throws `username_taken`,
   * `password_rejected` with the reason, `invalid_scope` for a scope that is not in the catalogue, or `invalid_request`
   * for an unknown role.
   */
  update (id: string, change: UserChange, by?: Principal): Promise<StoredUser>
  /** Calls `update` with only the roles. */
  setRoles (id: string, roles: readonly string[], by?: Principal): Promise<StoredUser>
  /** Calls `update` with only the scopes. */
  setScopes (id: string, scopes: readonly string[], by?: Principal): Promise<StoredUser>
  /** Calls `update` with only the password. */
  setPassword (id: string, password: string, by?: Principal): Promise<StoredUser>
  /**
   * Changes a user's own password and ends every session except `keepSession`. Throws `wrong_password` if `current` is
   * wrong.
   */
  changePassword (id: string, change: OwnPasswordChange): Promise<void>
  /** Disables the user: logins are refused, and every session and token is dead. */
  disable (id: string, by?: Principal): Promise<StoredUser>
  /** Lets a disabled user log in again. */
  enable (id: string, by?: Principal): Promise<StoredUser>
  /** Deletes the user with all sessions and tokens. */
  remove (id: string, by?: Principal): Promise<StoredUser>
  /**
   * Starts the import of users from another system, with their passwords or password hashes. Call it once for each
   * file. It does not check what `by` may do, so never pass it data from an HTTP request.
   */
  startImport (options?: ImportOptions, by?: Actor): UserImport
  /**
   * Records in the audit trail that all accounts are read with their password hashes, then yields them in pages,
   * sorted by name.
   */
  exportAll (by?: Actor): AsyncGenerator<UserRecord[]>
}

/** Creates the built-in users. */
export function createUsers (services: Omit<UsersContext, 'readDummies'>): Users {
  const context = { ...services, readDummies: createDummyReader(services) }
  const { store, roles } = services

  async function findIn (db: Queryable, id: string): Promise<StoredUser | null> {
    const row = await findRow(db, id)
    return row === undefined || row.disabled_at !== null ? null : toStoredUser(row, roles)
  }

  async function update (id: string, change: UserChange, by: Principal = HOST): Promise<StoredUser> {
    return await updateUser(context, id, { ...change, by })
  }

  return {
    startImport: createUserImport(context),
    exportAll: createUserExport(context),
    findIn,
    find: id => store.read(db => findIn(db, id)),
    findForLogin: username => findForLogin(context, username),

    async authenticate (username, password, address) {
      return await (await findForLogin(context, username)).verify(password, address)
    },

    async findById (id) {
      const row = await store.read(db => findRow(db, id))
      return row === undefined ? null : toStoredUser(row, roles)
    },

    async findByName (username) {
      const row = await store.read(db => findRowByName(db, username))
      return row === undefined ? null : toStoredUser(row, roles)
    },

    async list (query = {}) {
      const rows = await store.read(db => selectUsers(db, query).execute())
      return rows.map(row => toStoredUser(row, roles))
    },
    add: (user, by = HOST) => addUser(context, user, by),
    ensure: (user, by = HOST) => ensureUser(context, user, by),
    addFirst: user => addFirstUser(context, user),
    update,
    setRoles: (id, roles, by) => update(id, { roles }, by),
    setScopes: (id, scopes, by) => update(id, { scopes }, by),
    setPassword: (id, password, by) => update(id, { password }, by),
    disable: (id, by) => update(id, { disabled: true }, by),
    enable: (id, by) => update(id, { disabled: false }, by),
    changePassword: (id, change) => changeOwnPassword(context, id, change),
    remove: (id, by = HOST) => removeUser(context, id, by)
  }
}

import type { Selectable } from 'kysely'
import type { Actor } from '../schemas/events.js'
import type { User, UserDirectory } from '../schemas/host.js'
import type { Clock } from './clock.js'
import { LatchkeyError } from './errors.js'
import { asUser, HOST, SYSTEM } from './events.js'
import { createId } from './ids.js'
import { networkOf } from './network.js'
import { PasswordQueueFullError } from './passwords/pool.js'
import type { Passwords } from './passwords/pool.js'
import { checkPassword } from './passwords/policy.js'
import type { RecordEvent, Revocations } from './revocations.js'
import { assertKnownScopes, formatScope, parseScope } from './scopes.js'
import { endSessions } from './session-ending.js'
import type { Queryable, UsersTable } from './store/tables.js'
import type { Store } from './store/store.js'
import type { Throttle } from './throttle.js'
import { keyOf, normaliseUsername } from './usernames.js'

/** A row of the built-in table, without its password. */
export interface StoredUser extends User {
  disabled: boolean
  /** Milliseconds. */
  createdAt: number
  /** Milliseconds. */
  passwordChangedAt: number
}

/** The built-in table of users. What takes rights away kills the tokens that have them, before its promise resolves. */
export interface Users extends UserDirectory {
  /** The user as of this transaction, or null where there is none or it is disabled. */
  findIn (db: Queryable, id: string): Promise<StoredUser | null>
  findByName (username: string): Promise<StoredUser | null>
  /** All users by name, those after `after` first; at most `limit`. */
  list (page?: { after?: string, limit?: number }): Promise<StoredUser[]>
  /**
   * Adds a user. Throws `username_taken`, `password_rejected` with the reason, or a RangeError for a scope that is not in the catalogue.
   */
  add (user: { username: string, password: string, scopes?: readonly string[] }, by?: Actor): Promise<StoredUser>
  /** Adds the user only where there is none at all; null otherwise. Two processes that start at once add one. */
  addFirst (user: { username: string, password: string, scopes: readonly string[] }): Promise<StoredUser | null>
  /** Replaces the scopes. Where one is taken away, every access token that the user holds dies; sessions go on with what is left. */
  setScopes (id: string, scopes: readonly string[], by?: Actor): Promise<StoredUser>
  /** Sets a password, ends every session, and forgets failed logins. Throws `password_rejected` with the reason. */
  setPassword (id: string, password: string, by?: Actor): Promise<StoredUser>
  /** Changes the own password: throws `wrong_password` where `current` is not it. Ends every session but `keepSession`. */
  changePassword (id: string, current: string, password: string, options: { keepSession: string | undefined, address?: string }): Promise<void>
  /** Disables the user: no login, and every session and token dies. */
  disable (id: string, by?: Actor): Promise<StoredUser>
  /** Lets a disabled user log in again, and forgets failed logins. What died stays dead. */
  enable (id: string, by?: Actor): Promise<StoredUser>
  /** Deletes the user with all sessions and tokens. */
  remove (id: string, by?: Actor): Promise<StoredUser>
}

function toStoredUser (row: Selectable<UsersTable>): StoredUser {
  return { id: row.id, username: row.username, scopes: parseScope(row.scope), disabled: row.disabled_at !== null, createdAt: row.created_at, passwordChangedAt: row.password_changed_at }
}

async function recordAdded (record: RecordEvent, by: Actor, { id, username, scope }: UsersTable): Promise<void> {
  await record({ type: 'user_added', actor: by, subject: id, details: { username, scopes: parseScope(scope) } })
}

/** Creates the built-in user directory over the store. */
export function createUsers ({ store, clock, passwords, revocations, throttle, catalogue, passwordMinLength }: {
  store: Store
  clock: Clock
  passwords: Passwords
  revocations: Revocations
  throttle: Pick<Throttle, 'forgive'>
  catalogue: Readonly<Record<string, string>>
  passwordMinLength: number
}): Users {
  function assertAcceptable (password: string, username: string): void {
    const reason = checkPassword(password, { minLength: passwordMinLength, username, context: ['latchkey'] })
    if (reason !== undefined) throw new LatchkeyError('password_rejected', { message: reason })
  }

  async function prepare ({ username, password, scopes = [] }: { username: string, password: string, scopes?: readonly string[] }, by: Actor): Promise<UsersTable> {
    assertKnownScopes(scopes, catalogue)
    const normalUsername = normaliseUsername(username)
    assertAcceptable(password, normalUsername)
    const passwordHash = await passwords.hash(password, networkOf(by.address ?? undefined))
    const now = clock.now()
    return {
      id: createId(now),
      username: normalUsername,
      username_key: keyOf(username),
      password_hash: passwordHash,
      password_changed_at: now,
      scope: formatScope(parseScope(formatScope(scopes))),
      disabled_at: null,
      created_at: now,
      updated_at: now
    }
  }

  async function findRow (db: Queryable, id: string): Promise<Selectable<UsersTable> | undefined> {
    return await db.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst()
  }

  async function requireRow (db: Queryable, id: string): Promise<Selectable<UsersTable>> {
    const row = await findRow(db, id)
    if (row === undefined) throw new LatchkeyError('not_found', { message: 'There is no such user.' })
    return row
  }

  async function findIn (db: Queryable, id: string): Promise<StoredUser | null> {
    const row = await findRow(db, id)
    return row === undefined || row.disabled_at !== null ? null : toStoredUser(row)
  }

  async function replacePassword (id: string, passwordHash: string, { by, verifiedAgainst, keepSession }: { by: Actor, verifiedAgainst?: number, keepSession?: string }): Promise<StoredUser> {
    return await revocations.transaction(async (trx, revoke, now, record) => {
      const row = await requireRow(trx, id)
      // Somebody else changed it, or disabled the account, while we were hashing: theirs stands.
      if (verifiedAgainst !== undefined && (row.password_changed_at !== verifiedAgainst || row.disabled_at !== null)) throw new LatchkeyError('wrong_password')
      // Two changes in one millisecond are two all the same: a login that verified the first must not pass for the second.
      const changedAt = Math.max(now, row.password_changed_at + 1)
      await trx.updateTable('users').set({ password_hash: passwordHash, password_changed_at: changedAt, updated_at: now }).where('id', '=', id).execute()
      const { ids } = await endSessions(trx, now, { userId: id, except: keepSession })
      await revoke.sessions(ids)
      // There are tokens that belong to no session; where no session is kept they can die too.
      if (keepSession === undefined) await revoke.user(id)
      // Set from outside: whoever does so lets the owner in again.
      if (verifiedAgainst === undefined) await throttle.forgive(trx, row.username)
      await record({ type: 'password_changed', actor: by, subject: id })
      return toStoredUser({ ...row, password_changed_at: changedAt })
    })
  }

  /** Replaces a hash that is cheaper than configured, unless the password was changed in the meantime. */
  async function rehash (row: Selectable<UsersTable>, password: string, origin: string): Promise<void> {
    try {
      const passwordHash = await passwords.hash(password, origin)
      await store.transaction(trx => trx.updateTable('users').set({ password_hash: passwordHash })
        .where('id', '=', row.id).where('password_hash', '=', row.password_hash).execute())
    } catch (error) {
      // The password was right: a full queue postpones the new hash to the next login, and must not refuse this one.
      if (!(error instanceof PasswordQueueFullError)) throw error
    }
  }

  return {
    findIn,
    find: id => store.read(db => findIn(db, id)),

    async authenticate (username, password, address) {
      const origin = networkOf(address)
      const row = await store.read(db => db.selectFrom('users').selectAll().where('username_key', '=', keyOf(username)).executeTakeFirst())
      // Unknown and disabled users cost a hash too: the time of the answer tells nothing.
      const { valid, needsRehash } = await passwords.verify(password, row?.password_hash, origin)
      if (row === undefined || !valid || row.disabled_at !== null) return null
      if (needsRehash) await rehash(row, password, origin)
      return toStoredUser(row)
    },

    async findByName (username) {
      const row = await store.read(db => db.selectFrom('users').selectAll().where('username_key', '=', keyOf(username)).executeTakeFirst())
      return row === undefined ? null : toStoredUser(row)
    },

    async list ({ after = '', limit = 100 } = {}) {
      const rows = await store.read(db => db.selectFrom('users').selectAll()
        .where('username_key', '>', keyOf(after)).orderBy('username_key').limit(limit).execute())
      return rows.map(toStoredUser)
    },

    async add (user, by = HOST) {
      const row = await prepare(user, by)
      const added = await revocations.transaction(async (trx, _revoke, _now, record) => {
        const inserted = await trx.insertInto('users').values(row)
          .onConflict(conflict => conflict.column('username_key').doNothing()).returningAll().executeTakeFirst()
        if (inserted !== undefined) await recordAdded(record, by, row)
        return inserted
      })
      if (added === undefined) throw new LatchkeyError('username_taken')
      return toStoredUser(added)
    },

    async addFirst (user) {
      const exists = (db: Queryable): Promise<unknown> => db.selectFrom('users').select('id').limit(1).executeTakeFirst()
      if (await store.read(exists) !== undefined) return null
      const row = await prepare(user, SYSTEM)
      return await revocations.transaction(async (trx, _revoke, _now, record) => {
        if (await exists(trx) !== undefined) return null
        await trx.insertInto('users').values(row).execute()
        await recordAdded(record, SYSTEM, row)
        return toStoredUser(row)
      })
    },

    async setScopes (id, scopes, by = HOST) {
      assertKnownScopes(scopes, catalogue)
      const scope = formatScope(parseScope(formatScope(scopes)))
      return await revocations.transaction(async (trx, revoke, now, record) => {
        const before = await requireRow(trx, id)
        await trx.updateTable('users').set({ scope, updated_at: now }).where('id', '=', id).execute()
        if (parseScope(before.scope).some(old => !scopes.includes(old))) await revoke.user(id)
        await record({ type: 'scopes_changed', actor: by, subject: id, details: { before: parseScope(before.scope), after: parseScope(scope) } })
        return toStoredUser({ ...before, scope })
      })
    },

    async setPassword (id, password, by = HOST) {
      const { username } = await store.read(db => requireRow(db, id))
      assertAcceptable(password, username)
      return await replacePassword(id, await passwords.hash(password), { by })
    },

    async changePassword (id, current, password, { keepSession, address }) {
      const by = asUser(id, address ?? null)
      const origin = networkOf(address)
      const row = await store.read(db => requireRow(db, id))
      const { valid } = await passwords.verify(current, row.password_hash, origin)
      if (!valid) {
        await revocations.transaction((_trx, _revoke, _now, record) => record({ type: 'password_change_failed', actor: by, subject: id, sessionId: keepSession }))
        throw new LatchkeyError('wrong_password')
      }
      assertAcceptable(password, row.username)
      await replacePassword(id, await passwords.hash(password, origin), { by, verifiedAgainst: row.password_changed_at, keepSession })
    },

    disable: (id, by = HOST) => revocations.transaction(async (trx, revoke, now, record) => {
      const row = await requireRow(trx, id)
      await trx.updateTable('users').set({ disabled_at: row.disabled_at ?? now, updated_at: now }).where('id', '=', id).execute()
      await endSessions(trx, now, { userId: id })
      await revoke.user(id)
      await record({ type: 'user_disabled', actor: by, subject: id })
      return toStoredUser({ ...row, disabled_at: now })
    }),

    enable: (id, by = HOST) => revocations.transaction(async (trx, _revoke, now, record) => {
      const row = await requireRow(trx, id)
      await trx.updateTable('users').set({ disabled_at: null, updated_at: now }).where('id', '=', id).execute()
      await record({ type: 'user_enabled', actor: by, subject: id })
      await throttle.forgive(trx, row.username)
      return toStoredUser({ ...row, disabled_at: null })
    }),

    remove: (id, by = HOST) => revocations.transaction(async (trx, revoke, now, record) => {
      const row = await requireRow(trx, id)
      await endSessions(trx, now, { userId: id })
      await revoke.user(id)
      await trx.deleteFrom('sessions').where('user_id', '=', id).execute()
      await trx.deleteFrom('users').where('id', '=', id).execute()
      await record({ type: 'user_removed', actor: by, subject: id, details: { username: row.username } })
      return toStoredUser(row)
    })
  }
}

import type { Selectable } from 'kysely'
import type { Actor } from '../../schemas/events.js'
import type { UserDirectory } from '../../schemas/host.js'
import type { UserRecord } from '../../schemas/users.js'
import { assertAnotherAdministrator, findChangeable, isAdministrator, isLimited, readAuthority, requireAccount } from './authority.js'
import type { Principal } from './authority.js'
import type { Clock } from '../time/clock.js'
import { LatchkeyError } from '../errors.js'
import { asUser, HOST, SYSTEM } from '../ledger/events.js'
import { createId } from '../identity/ids.js'
import { networkOf } from '../identity/network.js'
import { PasswordQueueFullError } from '../passwords/pool.js'
import type { Caller, Passwords } from '../passwords/pool.js'
import type { Ledger, RecordEvent } from '../ledger/ledger.js'
import type { Revocations } from '../revocation/revocations.js'
import { assertKnownScopes, assertMayGrant, formatScope, parseScope } from '../identity/scopes.js'
import { closeSessions, endOtherSessions, forgetEnded, inSteps } from '../revocation/session-ending.js'
import { toStoredUser } from './stored-user.js'
import type { StoredUser } from './stored-user.js'
import type { Queryable, UsersTable } from '../store/tables.js'
import type { Store } from '../store/store.js'
import type { Throttle } from '../throttle/throttle.js'
import { changedAt, changeRow, markOf, writeChange } from './change.js'
import { createUserExport } from './transfer/export.js'
import { createUserImport, describeAdded } from './transfer/import.js'
import type { ImportOptions, UserImport } from './transfer/import.js'
import { selectUsers } from './list.js'
import type { UserListQuery } from './list.js'
import { keyOf, normaliseUsername } from '../identity/usernames.js'

export type { StoredUser } from './stored-user.js'

/** What to change of an account; what is not named stays. */
interface UserChange {
  /** All scopes that the user is to have. */
  scopes?: readonly string[]
  /** Whether the user is kept from logging in. */
  disabled?: boolean
  password?: string
}

/** A change of the own password. */
export interface OwnPasswordChange {
  current: string
  password: string
  /** The session that stays. */
  keepSession: string | undefined
  /** Where the request comes from. */
  address?: string
}

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
  add (user: { username: string, password: string, scopes?: readonly string[] }, by?: Principal): Promise<StoredUser>
  /**
   * Adds the user only where there is none at all; null otherwise. Two processes that start at once add one. `hash` is asked for the hash of the
   * password where it is needed.
   */
  addFirst (user: { username: string, hash: () => Promise<string>, scopes: readonly string[] }): Promise<StoredUser | null>
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

/** Whoever registers gets no scopes from anybody. */
async function assertMayAdd (db: Queryable, scopes: readonly string[], by: Principal): Promise<void> {
  assertMayGrant(by.kind === 'anonymous' ? [] : await readAuthority(db, by), scopes)
}

async function recordAdded (record: RecordEvent, by: Principal, row: UsersTable): Promise<void> {
  await record(describeAdded(row, by))
}

function callerOf ({ kind, address }: Principal): Caller {
  return { origin: networkOf(address), isAnonymous: kind === 'anonymous' }
}

/** Creates the built-in user directory over the store. */
export function createUsers ({ store, clock, passwords, ledger, revocations, throttle, catalogue, passwordMinLength }: {
  store: Store
  clock: Clock
  passwords: Passwords
  ledger: Ledger
  revocations: Revocations
  throttle: Pick<Throttle, 'forgive' | 'recordFailure'>
  catalogue: Readonly<Record<string, string>>
  passwordMinLength: number
}): Users {
  async function assertAcceptable (password: string, username: string, caller?: Caller): Promise<void> {
    const reason = await passwords.check(password, { minLength: passwordMinLength, username }, caller)
    if (reason !== undefined) throw new LatchkeyError('password_rejected', { message: reason })
  }

  /** Sorted, each once. Throws `invalid_scope` that names the first which is not in the catalogue. */
  function toScope (scopes: readonly string[]): string {
    try {
      assertKnownScopes(scopes, catalogue)
    } catch (cause) {
      throw new LatchkeyError('invalid_scope', { message: (cause as RangeError).message, cause })
    }
    return formatScope(parseScope(formatScope(scopes)))
  }

  async function prepare ({ username, password, scopes = [] }: { username: string, password: string, scopes?: readonly string[] }, by: Principal): Promise<UsersTable> {
    const scope = toScope(scopes)
    const caller = callerOf(by)
    await assertAcceptable(password, normaliseUsername(username), caller)
    return toRow({ username, scope, passwordHash: await passwords.hash(password, caller) })
  }

  function toRow ({ username, scope, passwordHash }: { username: string, scope: string, passwordHash: string }): UsersTable {
    const now = clock.now()
    return {
      id: createId(now),
      username: normaliseUsername(username),
      username_key: keyOf(username),
      password_hash: passwordHash,
      password_changed_at: now,
      scope,
      disabled_at: null,
      administrator: markOf({ scope, disabled_at: null }),
      created_at: now,
      updated_at: now
    }
  }

  async function findRow (db: Queryable, id: string): Promise<Selectable<UsersTable> | undefined> {
    return await db.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst()
  }

  async function findIn (db: Queryable, id: string): Promise<StoredUser | null> {
    const row = await findRow(db, id)
    return row === undefined || row.disabled_at !== null ? null : toStoredUser(row)
  }

  async function update (id: string, { scopes, disabled, password }: UserChange, by: Principal = HOST): Promise<StoredUser> {
    const scope = scopes === undefined ? undefined : toScope(scopes)
    const passwordHash = password === undefined ? undefined : await hashFor(id, password, by)
    const changed = await inSteps(revocations, async write => {
      const { account: before, authority } = await findChangeable(write.trx, id, by)
      const change = { scope, disabled, passwordHash }
      const after = changeRow(before, change, write.now)
      assertMayGrant(authority, parseScope(after.scope))
      const isDemoted = isAdministrator(before) && !isAdministrator(after)
      if (isLimited(by) && isDemoted) await assertAnotherAdministrator(write.trx, id)
      return await writeChange(write, { before, after, change }, { throttle, by })
    })
    return toStoredUser(changed)
  }

  /** Hashes a password that is set from outside. Whoever may not set it costs no hash, and hears nothing of the policy. */
  async function hashFor (id: string, password: string, by: Principal): Promise<string> {
    // ASVS 6.2.3: whoever holds a stolen token must not get the account for good.
    if (by.kind === 'user' && by.id === id) throw new LatchkeyError('invalid_request', { message: 'The own password is changed by PUT /users/me/password, which asks for the current one.' })
    const { account } = await store.read(db => findChangeable(db, id, by))
    const caller = callerOf(by)
    await assertAcceptable(password, account.username, caller)
    return await passwords.hash(password, caller)
  }

  /** Replaces a hash that is cheaper than configured, unless the password was changed in the meantime. */
  async function rehash (row: Selectable<UsersTable>, password: string, caller: Caller): Promise<void> {
    try {
      const passwordHash = await passwords.hash(password, caller)
      await store.transaction(trx => trx.updateTable('users').set({ password_hash: passwordHash })
        .where('id', '=', row.id).where('password_hash', '=', row.password_hash).execute())
    } catch (error) {
      // The password was right: a full queue postpones the new hash to the next login, and must not refuse this one.
      if (!(error instanceof PasswordQueueFullError)) throw error
    }
  }

  return {
    startImport: createUserImport({ store, clock, passwords, revocations, throttle, toScope, assertAcceptable }),
    exportAll: createUserExport({ store, ledger }),
    findIn,
    find: id => store.read(db => findIn(db, id)),

    async authenticate (username, password, address) {
      const caller = { origin: networkOf(address), isAnonymous: true }
      const row = await store.read(db => db.selectFrom('users').selectAll().where('username_key', '=', keyOf(username)).executeTakeFirst())
      // Unknown and disabled users cost a hash too: the time of the answer tells nothing.
      const { valid, needsRehash } = await passwords.verify(password, row?.password_hash, caller)
      // A damaged id names nobody.
      if (typeof row?.id !== 'string' || !valid || row.disabled_at !== null) return null
      if (needsRehash) await rehash(row, password, caller)
      return toStoredUser(row)
    },

    async findById (id) {
      const row = await store.read(db => findRow(db, id))
      return row === undefined ? null : toStoredUser(row)
    },

    async findByName (username) {
      const row = await store.read(db => db.selectFrom('users').selectAll().where('username_key', '=', keyOf(username)).executeTakeFirst())
      return row === undefined ? null : toStoredUser(row)
    },

    list: async (query = {}) => (await store.read(db => selectUsers(db, query).execute())).map(toStoredUser),

    async add (user, by = HOST) {
      const { scopes = [] } = user
      await store.read(db => assertMayAdd(db, scopes, by))
      const row = await prepare(user, by)
      const added = await ledger.write(async ({ trx, record }) => {
        await assertMayAdd(trx, scopes, by)
        const inserted = await trx.insertInto('users').values(row)
          .onConflict(conflict => conflict.column('username_key').doNothing()).returningAll().executeTakeFirst()
        if (inserted !== undefined) await recordAdded(record, by, row)
        return inserted
      })
      if (added === undefined) throw new LatchkeyError('username_taken')
      return toStoredUser(added)
    },

    async addFirst ({ username, hash, scopes }) {
      const exists = (db: Queryable): Promise<unknown> => db.selectFrom('users').select('id').limit(1).executeTakeFirst()
      if (await store.read(exists) !== undefined) return null
      const row = toRow({ username, scope: toScope(scopes), passwordHash: await hash() })
      return await ledger.write(async ({ trx, record }) => {
        if (await exists(trx) !== undefined) return null
        await trx.insertInto('users').values(row).execute()
        await recordAdded(record, SYSTEM, row)
        return toStoredUser(row)
      })
    },

    update,
    setScopes: (id, scopes, by) => update(id, { scopes }, by),
    setPassword: (id, password, by) => update(id, { password }, by),
    disable: (id, by) => update(id, { disabled: true }, by),
    enable: (id, by) => update(id, { disabled: false }, by),

    async changePassword (id, { current, password, keepSession, address }) {
      const by = asUser(id, address ?? null)
      const caller = callerOf(by)
      const row = await store.read(db => requireAccount(db, id))
      const { valid } = await passwords.verify(current, row.password_hash, caller)
      if (!valid) {
        await throttle.recordFailure({
          type: 'password_change_failed', actor: by, subject: id, sessionId: keepSession
        })
        throw new LatchkeyError('wrong_password')
      }
      await assertAcceptable(password, row.username, caller)
      const passwordHash = await passwords.hash(password, caller)
      await inSteps<undefined>(revocations, async write => {
        const { trx, now, record } = write
        const before = await requireAccount(trx, id)
        // Somebody else changed it, or disabled the account, while we were hashing: theirs stands.
        if (before.password_changed_at !== row.password_changed_at || before.disabled_at !== null) throw new LatchkeyError('wrong_password')
        // If no session is kept, tokens that belong to no session can die too.
        const step = keepSession === undefined
          ? await closeSessions(write, { userId: id })
          : await endOtherSessions(write, { userId: id, keep: keepSession })
        if ('more' in step) return step
        await trx.updateTable('users').set({ password_hash: passwordHash, password_changed_at: changedAt(before, now), updated_at: now }).where('id', '=', id).execute()
        await record({ type: 'password_changed', actor: by, subject: id })
        return { result: undefined }
      })
    },

    remove: (id, by = HOST) => inSteps(revocations, async write => {
      const { trx, record } = write
      const { account: row } = await findChangeable(trx, id, by)
      if (isLimited(by) && isAdministrator(row)) await assertAnotherAdministrator(trx, id)
      if (!await forgetEnded(trx, id)) return { more: write.progress }
      const step = await closeSessions(write, { userId: id, spare: by.sessionId })
      if ('more' in step) return step
      await forgetEnded(trx, id)
      await trx.deleteFrom('users').where('id', '=', id).execute()
      await record({ type: 'user_removed', actor: by, subject: id, details: { username: row.username } })
      return { result: toStoredUser(row) }
    })
  }
}

import type { Actor } from '../../schemas/events.js'
import { LatchkeyError } from '../errors.js'
import { assertMayGrant, parseScope } from '../identity/scopes.js'
import { keyOf, normaliseUsername } from '../identity/usernames.js'
import { SYSTEM } from '../ledger/events.js'
import type { NewEvent } from '../ledger/events.js'
import type { Queryable, UsersTable } from '../store/tables.js'
import { readAuthority } from './authority.js'
import type { Principal } from './authority.js'
import type { UsersContext } from './context.js'
import { callerOf, hashAcceptable } from './new-password.js'
import { createRow, findRowByName, toScope } from './rows.js'
import { toStoredUser } from './stored-user.js'
import type { StoredUser } from './stored-user.js'
import { exclusive, shared } from '../store/lock.js'

/** A user to add. */
export interface NewUser {
  username: string
  password: string
  scopes?: readonly string[]
}

/** The first user, to add to a store without users. */
export interface FirstUser {
  username: string
  /** Returns the hash of the password. It is called only if the store has no users. */
  hash: () => Promise<string>
  scopes: readonly string[]
}

/** Returns the audit event for a new account. */
export function describeAdded ({ id, username, scope }: UsersTable, by: Actor): NewEvent {
  return { type: 'user_added', actor: by, subject: id, details: { username, scopes: parseScope(scope) } }
}

/** `Users.add`. */
export async function addUser (context: UsersContext, user: NewUser, by: Principal): Promise<StoredUser> {
  const { store, ledger } = context
  const { scopes = [] } = user
  await store.read(db => assertMayAdd(db, scopes, by))
  const row = await prepare(context, user, by)
  const added = await ledger.write([shared('accounts')], async ({ trx, record }) => {
    await assertMayAdd(trx, scopes, by)
    const inserted = await trx.insertInto('latchkey_users').values(row)
      .onConflict(conflict => conflict.column('username_key').doNothing()).returningAll().executeTakeFirst()
    if (inserted !== undefined) await record(describeAdded(row, by))
    return inserted
  })
  if (added === undefined) throw new LatchkeyError('username_taken')
  return toStoredUser(added)
}

/** `Users.ensure`. */
export async function ensureUser (
  context: UsersContext, user: NewUser, by: Principal
): Promise<{ user: StoredUser, created: boolean }> {
  // A misspelt scope fails on each boot, and not only on the first one.
  toScope(user.scopes ?? [], context.catalogue)
  const before = await findUser(context, user.username)
  if (before !== undefined) return { user: before, created: false }
  try {
    return { user: await addUser(context, user, by), created: true }
  } catch (error) {
    // Another process added the user in the meantime.
    const added = isTaken(error) ? await findUser(context, user.username) : undefined
    if (added === undefined) throw error
    return { user: added, created: false }
  }
}

async function findUser ({ store }: UsersContext, username: string): Promise<StoredUser | undefined> {
  const row = await store.read(db => findRowByName(db, username))
  return row === undefined ? undefined : toStoredUser(row)
}

function isTaken (error: unknown): boolean {
  return error instanceof LatchkeyError && error.code === 'username_taken'
}

/** `Users.addFirst`. */
export async function addFirstUser (
  { store, ledger, clock, catalogue }: UsersContext, { username, hash, scopes }: FirstUser
): Promise<StoredUser | null> {
  if (await store.read(hasUsers)) return null
  const scope = toScope(scopes, catalogue)
  const passwordHash = await hash()
  const account = { username: normaliseUsername(username), key: keyOf(username), scope, passwordHash }
  const row = createRow(account, clock.now())
  return await ledger.write([exclusive('accounts')], async ({ trx, record }) => {
    if (await hasUsers(trx)) return null
    await trx.insertInto('latchkey_users').values(row).execute()
    await record(describeAdded(row, SYSTEM))
    return toStoredUser(row)
  })
}

async function hasUsers (db: Queryable): Promise<boolean> {
  return await db.selectFrom('latchkey_users').select('id').limit(1).executeTakeFirst() !== undefined
}

/** An anonymous caller may register, but has no built-in scope to grant. */
async function assertMayAdd (db: Queryable, scopes: readonly string[], by: Principal): Promise<void> {
  assertMayGrant(by.kind === 'anonymous' ? [] : await readAuthority(db, by), scopes)
}

async function prepare (
  context: UsersContext, { username: typed, password, scopes = [] }: NewUser, by: Principal
): Promise<UsersTable> {
  const scope = toScope(scopes, context.catalogue)
  const username = normaliseUsername(typed)
  const passwordHash = await hashAcceptable(context, { password, username }, callerOf(by))
  return createRow({ username, key: keyOf(typed), scope, passwordHash }, context.clock.now())
}

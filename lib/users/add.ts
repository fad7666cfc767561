import type { Actor } from '../../schemas/events.js'
import { LatchkeyError } from '../errors.js'
import { expandRoles, parseRoles } from '../identity/roles.js'
import type { RoleDefinitions } from '../identity/roles.js'
import { assertMayGrant, parseScope } from '../identity/scopes.js'
import { keyOf, normaliseUsername } from '../identity/usernames.js'
import { SYSTEM } from '../ledger/events.js'
import type { NewEvent } from '../ledger/events.js'
import type { Queryable, UsersTable } from '../store/tables.js'
import { readAuthority } from './authority.js'
import type { Principal } from './authority.js'
import type { UsersContext } from './context.js'
import { callerOf, hashAcceptable } from './new-password.js'
import { createRow, findRowByName, toRoles, toScope } from './rows.js'
import { toStoredUser } from './stored-user.js'
import type { StoredUser } from './stored-user.js'
import { exclusive, shared } from '../store/lock.js'

/** A user to add. */
export interface NewUser {
  username: string
  password: string
  scopes?: readonly string[]
  roles?: readonly string[]
}

/** The first user, to add to a store without users. */
export interface FirstUser {
  username: string
  /** Returns the hash of the password. It is called only if the store has no users. */
  hash: () => Promise<string>
  scopes: readonly string[]
}

/** Returns the audit event for a new account. */
export function describeAdded ({ id, username, scope, roles }: UsersTable, by: Actor): NewEvent {
  const details = { username, scopes: parseScope(scope) }
  return {
    type: 'user_added',
    actor: by,
    subject: id,
    details: roles === '' ? details : { ...details, roles: parseRoles(roles) }
  }
}

/** `Users.add`. */
export async function addUser (context: UsersContext, user: NewUser, by: Principal): Promise<StoredUser> {
  const { store, ledger, roles } = context
  const granted = expandRoles({ scopes: user.scopes ?? [], roles: user.roles }, roles)
  await store.read(db => assertMayAdd(db, granted, { by, roles }))
  const row = await prepare(context, user, by)
  const added = await ledger.write([shared('accounts')], async ({ trx, record }) => {
    await assertMayAdd(trx, granted, { by, roles })
    const inserted = await trx.insertInto('latchkey_users').values(row)
      .onConflict(conflict => conflict.column('username_key').doNothing()).returningAll().executeTakeFirst()
    if (inserted !== undefined) await record(describeAdded(row, by))
    return inserted
  })
  if (added === undefined) throw new LatchkeyError('username_taken')
  return toStoredUser(added, roles)
}

/** `Users.ensure`. */
export async function ensureUser (
  context: UsersContext, user: NewUser, by: Principal
): Promise<{ user: StoredUser, created: boolean }> {
  // A misspelt scope or role must fail at each boot, not only at the first one.
  toScope(user.scopes ?? [], context.catalogue)
  toRoles(user.roles ?? [], context.roles)
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

async function findUser ({ store, roles }: UsersContext, username: string): Promise<StoredUser | undefined> {
  const row = await store.read(db => findRowByName(db, username))
  return row === undefined ? undefined : toStoredUser(row, roles)
}

function isTaken (error: unknown): boolean {
  return error instanceof LatchkeyError && error.code === 'username_taken'
}

/** `Users.addFirst`. */
export async function addFirstUser (
  { store, ledger, clock, catalogue, roles }: UsersContext, { username, hash, scopes }: FirstUser
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
    return toStoredUser(row, roles)
  })
}

async function hasUsers (db: Queryable): Promise<boolean> {
  return await db.selectFrom('latchkey_users').select('id').limit(1).executeTakeFirst() !== undefined
}

/** An anonymous caller may register, but has no built-in scope to grant. */
async function assertMayAdd (
  db: Queryable, scopes: readonly string[], { by, roles }: { by: Principal, roles: RoleDefinitions }
): Promise<void> {
  assertMayGrant(by.kind === 'anonymous' ? [] : await readAuthority(db, by, roles), scopes)
}

async function prepare (
  context: UsersContext, { username: typed, password, scopes = [], roles = [] }: NewUser, by: Principal
): Promise<UsersTable> {
  const scope = toScope(scopes, context.catalogue)
  const roleNames = toRoles(roles, context.roles)
  const username = normaliseUsername(typed)
  const passwordHash = await hashAcceptable(context, { password, username }, callerOf(by))
  return createRow({ username, key: keyOf(typed), scope, roles: roleNames, passwordHash }, context.clock.now())
}

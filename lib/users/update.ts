import { LatchkeyError } from '../errors.js'
import { assertMayGrant } from '../identity/scopes.js'
import { keyOf, normaliseUsername } from '../identity/usernames.js'
import { inSteps } from '../revocation/session-ending.js'
import type { Queryable } from '../store/tables.js'
import { assertAnotherAdministrator, findChangeable, isAdministrator, isLimited } from './authority.js'
import type { Principal } from './authority.js'
import { changeRow, writeChange } from './change.js'
import type { UsersContext } from './context.js'
import { callerOf, hashAcceptable } from './new-password.js'
import { toRoles, toScope } from './rows.js'
import { scopesOf, toStoredUser } from './stored-user.js'
import type { StoredUser } from './stored-user.js'
import { exclusive, ruling } from '../store/lock.js'

/** A change of an account. Only the members that are present change. */
export interface UserChange {
  username?: string
  /** All scopes that are granted to the account itself from now on, besides those of its roles. */
  scopes?: readonly string[]
  /** All roles of the user from now on. */
  roles?: readonly string[]
  /** Whether the user is prevented from logging in. */
  disabled?: boolean
  password?: string
}

/** `Users.update`. */
export async function updateUser (
  context: UsersContext, id: string, { by, ...given }: UserChange & { by: Principal }
): Promise<StoredUser> {
  const { revocations, catalogue, roles } = context
  const { username, disabled, password } = given
  const scope = given.scopes === undefined ? undefined : toScope(given.scopes, catalogue)
  const roleNames = given.roles === undefined ? undefined : toRoles(given.roles, roles)
  const name = username === undefined ? undefined : { username: normaliseUsername(username), key: keyOf(username) }
  const passwordHash =
    password === undefined ? undefined : await hashFor(context, id, { password, username: name?.username, by })
  const changed = await inSteps(revocations, [...ruling(id), exclusive('accounts')], async write => {
    const { account: before, authority } = await findChangeable(write.trx, id, { by, roles })
    if (name !== undefined) await assertFree(write.trx, id, name.key)
    const change = { name, scope, roles: roleNames, disabled, passwordHash }
    const after = changeRow(before, change, write.now)
    assertMayGrant(authority, scopesOf(after, roles))
    const isDemoted = isAdministrator(before, roles) && !isAdministrator(after, roles)
    if (isLimited(by) && isDemoted) await assertAnotherAdministrator(write.trx, id, roles)
    return await writeChange(write, { before, after, change }, { ...context, by })
  })
  return toStoredUser(changed, roles)
}

/** The transaction holds the lock of all accounts, so no other account can take the name before the commit. */
async function assertFree (db: Queryable, id: string, key: string): Promise<void> {
  const owner = await db.selectFrom('latchkey_users').select('id').where('username_key', '=', key).executeTakeFirst()
  if (owner !== undefined && owner.id !== id) throw new LatchkeyError('username_taken')
}

/**
 * Hashes a password that `by` sets for another account. If `by` may not set it, this costs no hash and reveals nothing
 * about the password policy.
 */
async function hashFor (
  context: UsersContext,
  id: string,
  { password, username, by }: { password: string, username: string | undefined, by: Principal }
): Promise<string> {
  // ASVS 6.2.3: a stolen token must not be enough to take over the account for good.
  if (by.kind === 'user' && by.id === id) {
    throw new LatchkeyError('invalid_request', {
      message: 'You cannot change your own password here: use PUT /users/me/password, which requires the current one.'
    })
  }
  const { account } = await context.store.read(db => findChangeable(db, id, { by, roles: context.roles }))
  return await hashAcceptable(context, { password, username: username ?? account.username }, callerOf(by))
}

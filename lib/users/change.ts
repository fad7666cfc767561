import type { Selectable } from 'kysely'
import { markOf } from './authority.js'
import type { Principal } from './authority.js'
import type { NewEvent } from '../ledger/events.js'
import { parseRoles } from '../identity/roles.js'
import { parseScope } from '../identity/scopes.js'
import { toDummy } from '../passwords/formats/formats.js'
import { closeSessions } from '../revocation/session-ending.js'
import type { Step, WriteStep } from '../revocation/session-ending.js'
import { isMoment } from '../store/columns.js'
import type { UsersTable } from '../store/tables.js'
import type { UsersContext } from './context.js'
import { scopesOf } from './stored-user.js'

/** A change of an account, in the form that is stored. Only the members that are present change. */
export interface AccountChange {
  /** The results of `formOf` and `keyOf`. */
  name?: { username: string, key: string }
  scope?: string
  roles?: string
  disabled?: boolean
  passwordHash?: string
}

/**
 * Returns the time of a password change. Two changes in the same millisecond get different times, because a login that
 * verified the first password must not pass for a login with the second.
 */
export function changedAt ({ password_changed_at: before }: UsersTable, now: number): number {
  return isMoment(before) ? Math.max(now, before + 1) : now
}

/** Returns the row after a change. */
export function changeRow (
  before: Selectable<UsersTable>,
  { name, scope = before.scope, roles = before.roles, disabled, passwordHash }: AccountChange,
  now: number
): Selectable<UsersTable> {
  const after = { ...before, scope, roles, updated_at: now }
  if (name !== undefined) Object.assign(after, { username: name.username, username_key: name.key })
  if (disabled !== undefined) after.disabled_at = disabled ? before.disabled_at ?? now : null
  if (passwordHash !== undefined) {
    Object.assign(after, {
      password_hash: passwordHash,
      password_changed_at: changedAt(before, now),
      dummy_hash: toDummy(passwordHash)
    })
  }
  after.administrator = markOf(after)
  return after
}

/** An account before and after a change. */
export interface Changed {
  before: Selectable<UsersTable>
  /** The result of `changeRow` for `before` and `change`. */
  after: Selectable<UsersTable>
  change: AccountChange
}

/**
 * Writes the change of an account as part of a transaction, kills the tokens that carry more rights than remain, and
 * records what happened. If more sessions must end than fit into one transaction, it only ends some of them. Then call
 * it again in the next one (`inSteps`).
 */
export async function writeChange (
  write: WriteStep,
  { before, after, change: { disabled, passwordHash } }: Changed,
  { throttle, roles, by }: Pick<UsersContext, 'throttle' | 'roles'> & { by: Principal }
): Promise<Step<Selectable<UsersTable>>> {
  const { trx, revoke, record } = write
  const { id } = before
  const [hadScopes, hasScopes] = [parseScope(before.scope), parseScope(after.scope)]
  const [hadRoles, hasRoles] = [parseRoles(before.roles), parseRoles(after.roles)]
  if (disabled === true || passwordHash !== undefined) {
    const step = await closeSessions(write, { userId: id, spare: by.sessionId })
    if ('more' in step) return step
  } else if (lacksAny(hasRoles, hadRoles) || lacksAny(scopesOf(after, roles), scopesOf(before, roles))) {
    // The command line may not know the scopes of a role, so the loss of any role counts.
    await revoke.user(id)
  }
  await trx.updateTable('latchkey_users').set(after).where('id', '=', id).execute()
  if (after.username_key !== before.username_key) {
    // From now on, the places of the sessions count for logins with the new name.
    const { account } = throttle.placeOf(after.username, undefined)
    await trx.updateTable('latchkey_sessions').set({ account })
      .where('user_id', '=', id).where('account', 'is not', null).execute()
  }
  // A new password, or enabling the account, lets its owner log in again.
  const isForgiven = (disabled === false || passwordHash !== undefined) && await throttle.forgive(trx, after.username)

  // A request that changes nothing is not recorded, because a client could repeat it without end.
  const isSwitched = (before.disabled_at === null) !== (after.disabled_at === null)
  const isUnlocked = disabled === false && isForgiven
  const events: NewEvent[] = []
  if (after.username !== before.username) {
    events.push({
      type: 'user_renamed', actor: by, subject: id, details: { before: before.username, after: after.username }
    })
  }
  if (hasScopes.join(' ') !== hadScopes.join(' ')) {
    events.push({
      type: 'scopes_changed', actor: by, subject: id, details: { before: hadScopes, after: hasScopes }
    })
  }
  if (hasRoles.join(' ') !== hadRoles.join(' ')) {
    events.push({ type: 'roles_changed', actor: by, subject: id, details: { before: hadRoles, after: hasRoles } })
  }
  if (isSwitched || isUnlocked) {
    events.push({ type: disabled === true ? 'user_disabled' : 'user_enabled', actor: by, subject: id })
  }
  if (passwordHash !== undefined) events.push({ type: 'password_changed', actor: by, subject: id })
  await record(...events)
  return { result: after }
}

function lacksAny (names: readonly string[], needed: readonly string[]): boolean {
  return needed.some(name => !names.includes(name))
}

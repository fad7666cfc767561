import type { Selectable, Transaction } from 'kysely'
import type { Actor } from '../schemas/events.js'
import { isAdministrator } from './authority.js'
import type { NewEvent } from './events.js'
import type { RecordEvent, Revoke } from './revocations.js'
import { parseScope } from './scopes.js'
import { closeSessions } from './session-ending.js'
import type { Tables, UsersTable } from './store/tables.js'
import type { Throttle } from './throttle.js'

/** What changes of an account, as it is kept; what is not named stays. */
export interface AccountChange {
  scope?: string
  disabled?: boolean
  passwordHash?: string
}

/** What `UsersTable.administrator` is for such an account. */
export function markOf (account: Pick<UsersTable, 'scope' | 'disabled_at'>): 1 | null {
  return isAdministrator(account) ? 1 : null
}

/** Two changes in one millisecond are two all the same: a login that verified the first must not pass for the second. */
export function changedAt ({ password_changed_at: before }: UsersTable, now: number): number {
  return Math.max(now, before + 1)
}

/** The row after a change. */
export function changeRow (before: Selectable<UsersTable>, { scope = before.scope, disabled, passwordHash }: AccountChange, now: number): Selectable<UsersTable> {
  const after = { ...before, scope, updated_at: now }
  if (disabled !== undefined) after.disabled_at = disabled ? before.disabled_at ?? now : null
  if (passwordHash !== undefined) Object.assign(after, { password_hash: passwordHash, password_changed_at: changedAt(before, now) })
  after.administrator = markOf(after)
  return after
}

/**
 * Writes the change of an account as part of a transaction, kills the tokens that have more rights than are left, and records what happened.
 * @param after - what `changeRow` made of `before` and `change`.
 */
export async function writeChange (
  { trx, revoke, now, record, throttle, by }: { trx: Transaction<Tables>, revoke: Revoke, now: number, record: RecordEvent, throttle: Pick<Throttle, 'forgive'>, by: Actor },
  before: Selectable<UsersTable>,
  after: Selectable<UsersTable>,
  { scope, disabled, passwordHash }: AccountChange
): Promise<void> {
  const { id } = before
  const [had, has] = [parseScope(before.scope), parseScope(after.scope)]
  await trx.updateTable('users').set(after).where('id', '=', id).execute()
  if (disabled === true || passwordHash !== undefined) await closeSessions(trx, revoke, now, id)
  else if (had.some(name => !has.includes(name))) await revoke.user(id)
  // Whoever sets a password or enables the account lets its owner in again.
  if (disabled === false || passwordHash !== undefined) await throttle.forgive(trx, before.username)

  const events: NewEvent[] = []
  if (scope !== undefined) events.push({ type: 'scopes_changed', actor: by, subject: id, details: { before: had, after: has } })
  if (disabled !== undefined) events.push({ type: disabled ? 'user_disabled' : 'user_enabled', actor: by, subject: id })
  if (passwordHash !== undefined) events.push({ type: 'password_changed', actor: by, subject: id })
  await record(...events)
}

import type { Selectable } from 'kysely'
import type { User } from '../../schemas/host.js'
import { parseScope } from '../identity/scopes.js'
import { toMoment, toText } from '../store/columns.js'
import type { UsersTable } from '../store/tables.js'

/** A built-in user, without the password hash. */
export interface StoredUser extends User {
  disabled: boolean
  /** Milliseconds. */
  createdAt: number
  /** Milliseconds. */
  passwordChangedAt: number
}

/**
 * Returns the user of a row. A damaged row must not break the list that it is in, so its intact columns stay readable.
 */
export function toStoredUser (row: Selectable<UsersTable>): StoredUser {
  return {
    id: row.id,
    username: toText(row.username) || toText(row.username_key),
    scopes: parseScope(row.scope),
    disabled: row.disabled_at !== null,
    createdAt: toMoment(row.created_at),
    passwordChangedAt: toMoment(row.password_changed_at)
  }
}

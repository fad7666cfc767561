import type { Selectable } from 'kysely'
import type { User } from '../../schemas/host.js'
import { parseScope } from '../identity/scopes.js'
import { toMoment, toText } from '../store/columns.js'
import type { UsersTable } from '../store/tables.js'

/** A row of the built-in table, without its password. */
export interface StoredUser extends User {
  disabled: boolean
  /** Milliseconds. */
  createdAt: number
  /** Milliseconds. */
  passwordChangedAt: number
}

/**
 * Returns the user of a row. The intact columns of a damaged row stay readable, because it is on one page with others.
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

import type { Selectable } from 'kysely'
import type { User } from '../schemas/host.js'
import { parseScope } from './scopes.js'
import { toMoment, toText } from './store/columns.js'
import type { UsersTable } from './store/tables.js'

/** A row of the built-in table, without its password. */
export interface StoredUser extends User {
  disabled: boolean
  /** Milliseconds. */
  createdAt: number
  /** Milliseconds. */
  passwordChangedAt: number
}

/** The user of a row. Of a damaged row the rest stays readable: it is on the same page as others. */
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

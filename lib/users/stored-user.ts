import type { Selectable } from 'kysely'
import type { User } from '../../schemas/host.js'
import { expandRoles, parseRoles } from '../identity/roles.js'
import type { RoleDefinitions } from '../identity/roles.js'
import { parseScope } from '../identity/scopes.js'
import { toMoment, toText } from '../store/columns.js'
import type { UsersTable } from '../store/tables.js'

/** A built-in user, as sessions and tokens see it. */
export interface BuiltInUser extends User {
  /** The scopes that were granted to the account itself. `scopes` also has those of its roles. */
  ownScopes: readonly string[]
  /** All roles that the user holds. A role that the option `roles` does not have grants nothing. */
  roles: readonly string[]
}

/** A built-in user, without the password hash. */
export interface StoredUser extends BuiltInUser {
  disabled: boolean
  /** Milliseconds. */
  createdAt: number
  /** Milliseconds. */
  passwordChangedAt: number
}

/** The columns from which the scopes of an account follow. */
export type GrantColumns = Pick<UsersTable, 'scope' | 'roles'>

/** Returns the scopes of an account: its own and those of its roles. */
export function scopesOf ({ scope, roles }: GrantColumns, definitions: RoleDefinitions): string[] {
  return expandRoles({ scopes: parseScope(scope), roles: parseRoles(roles) }, definitions)
}

/** Returns the user of these columns. */
export function toBuiltInUser (
  row: GrantColumns & Pick<UsersTable, 'id' | 'username'>, definitions: RoleDefinitions
): BuiltInUser {
  return {
    id: row.id,
    username: row.username,
    scopes: scopesOf(row, definitions),
    ownScopes: parseScope(row.scope),
    roles: parseRoles(row.roles)
  }
}

/**
 * Returns the user of a row. A damaged row must not break the list that it is in, so its intact columns stay readable.
 */
export function toStoredUser (row: Selectable<UsersTable>, definitions: RoleDefinitions): StoredUser {
  return {
    ...toBuiltInUser(row, definitions),
    username: toText(row.username) || toText(row.username_key),
    disabled: row.disabled_at !== null,
    createdAt: toMoment(row.created_at),
    passwordChangedAt: toMoment(row.password_changed_at)
  }
}

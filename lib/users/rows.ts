import type { Selectable } from 'kysely'
import { LatchkeyError } from '../errors.js'
import { createId } from '../identity/ids.js'
import { assertKnownRoles, parseRoles } from '../identity/roles.js'
import type { RoleDefinitions } from '../identity/roles.js'
import { assertKnownScopes, formatScope, parseScope } from '../identity/scopes.js'
import { keyOf } from '../identity/usernames.js'
import { toDummy } from '../passwords/formats/formats.js'
import type { Queryable, UsersTable } from '../store/tables.js'
import { markOf } from './authority.js'

/** A new account. */
export interface NewAccount {
  /** Default: a new id. */
  id?: string
  /** The result of `formOf`. */
  username: string
  /** The result of `keyOf`. */
  key: string
  passwordHash: string
  /** Default: none. */
  scope?: string
  /** Default: none. */
  roles?: string
  /** Default: false. */
  disabled?: boolean
  /** Milliseconds. Default: now. */
  createdAt?: number
}

export function createRow (
  { id, username, key, passwordHash, scope = '', roles = '', disabled = false, createdAt }: NewAccount, now: number
): UsersTable {
  const state = { scope, disabled_at: disabled ? now : null }
  return {
    id: id ?? createId(now),
    username,
    username_key: key,
    password_hash: passwordHash,
    password_changed_at: now,
    ...state,
    roles,
    administrator: markOf(state),
    dummy_hash: toDummy(passwordHash),
    created_at: createdAt ?? now,
    updated_at: now
  }
}

/**
 * Returns the scopes as they are stored: sorted, each once. Throws `invalid_scope`, which names the first scope that is
 * not in the catalogue.
 */
export function toScope (scopes: readonly string[], catalogue: Readonly<Record<string, string>>): string {
  try {
    assertKnownScopes(scopes, catalogue)
  } catch (cause) {
    throw new LatchkeyError('invalid_scope', { message: (cause as RangeError).message, cause })
  }
  return formatScope(parseScope(formatScope(scopes)))
}

/**
 * Returns the roles as they are stored: sorted, each once. Throws `invalid_request`, which names the first unknown one.
 */
export function toRoles (roles: readonly string[], definitions: RoleDefinitions): string {
  try {
    assertKnownRoles(roles, definitions)
  } catch (cause) {
    throw new LatchkeyError('invalid_request', { message: (cause as RangeError).message, cause })
  }
  return formatScope(parseRoles(formatScope(roles)))
}

export async function findRow (db: Queryable, id: string): Promise<Selectable<UsersTable> | undefined> {
  return await db.selectFrom('latchkey_users').selectAll().where('id', '=', id).executeTakeFirst()
}

export async function findRowByName (db: Queryable, username: string): Promise<Selectable<UsersTable> | undefined> {
  return await db.selectFrom('latchkey_users').selectAll().where('username_key', '=', keyOf(username))
    .executeTakeFirst()
}

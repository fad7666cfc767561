import type { Selectable, SelectQueryBuilder } from 'kysely'
import type { Static } from 'typebox'
import { MAX_USERNAME_LENGTH } from '../../schemas/common.js'
import type { UserView } from '../../schemas/users.js'
import type { Queryable, Tables, UsersTable } from '../store/tables.js'
import { keyOf } from '../identity/usernames.js'
import type { StoredUser } from './stored-user.js'

/** Which users to list. The list is sorted by name. */
export interface UserListQuery {
  /** Only users after this username, which need not exist any more. Default: all. */
  after?: string
  /** The same as `after`, but the `username_key` of a row. */
  afterKey?: string
  /** Only users whose username begins with this text, in any letter case. Default: all. */
  search?: string
  /** The maximum number of users. Default: 100. */
  limit?: number
}

/** No key that begins with `x` sorts after `x + LAST`. */
const LAST = '\u{10FFFF}'.repeat(MAX_USERNAME_LENGTH)

/**
 * Reads one range of the index on `username_key` for every query, so the cost of a page depends only on its rows. It
 * does not use LIKE, because LIKE has wildcards, and engines use no index for it or need a different one. The engine
 * must compare by code points, as SQLite does.
 */
export function selectUsers (
  db: Queryable, { after = '', afterKey = keyOf(after), search = '', limit = 100 }: UserListQuery
): SelectQueryBuilder<Tables, 'latchkey_users', Selectable<UsersTable>> {
  const [last, prefix] = [afterKey, keyOf(search)]
  // With two lower bounds, an engine could seek to the wrong one and read every page before this one.
  let query = Buffer.compare(Buffer.from(last), Buffer.from(prefix)) < 0
    ? db.selectFrom('latchkey_users').selectAll().where('username_key', '>=', prefix)
    : db.selectFrom('latchkey_users').selectAll().where('username_key', '>', last)
  // This bound always applies, because a damaged key that is not text sorts after all text, and no cursor gets past it.
  query = query.where('username_key', '<=', prefix + LAST)
  return query.orderBy('username_key').limit(limit)
}

/** Returns a user as the routes show it to an administrator. */
export function toUserView (
  { id, username, ownScopes, roles, disabled, createdAt, passwordChangedAt }: StoredUser
): Static<typeof UserView> {
  return {
    id,
    username,
    scopes: [...ownScopes],
    roles: [...roles],
    disabled,
    created_at: new Date(createdAt).toISOString(),
    password_changed_at: new Date(passwordChangedAt).toISOString()
  }
}

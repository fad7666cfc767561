import type { Selectable, SelectQueryBuilder } from 'kysely'
import type { Static } from 'typebox'
import { MAX_USERNAME_LENGTH } from '../../schemas/common.js'
import type { UserView } from '../../schemas/users.js'
import type { Queryable, Tables, UsersTable } from '../store/tables.js'
import { keyOf } from '../identity/usernames.js'
import type { StoredUser } from './stored-user.js'

/** Which users to list, by name. */
export interface UserListQuery {
  /** A username: those after it. It need not be there any more. */
  after?: string
  /** The same as `after`, but as the `username_key` of a row. */
  afterKey?: string
  /** Those whose username begins so; letter case does not matter. Default: all. */
  search?: string
  /** Default 100. */
  limit?: number
}

/** No text that begins with `x` comes after `x` and this. */
const LAST = '\u{10FFFF}'.repeat(MAX_USERNAME_LENGTH)

/**
 * One range of the index on `username_key`, whatever is asked for: a page costs as much as it has rows. No LIKE: engines use no index
 * for it, or another one, and it has wildcards. The engine must compare by code points, as SQLite does.
 */
export function selectUsers (
  db: Queryable, { after = '', afterKey = keyOf(after), search = '', limit = 100 }: UserListQuery
): SelectQueryBuilder<Tables, 'users', Selectable<UsersTable>> {
  const [last, prefix] = [afterKey, keyOf(search)]
  // One lower bound and not two: an engine seeks to one of them, perhaps to the wrong one, and would read every page before this one.
  let query = Buffer.compare(Buffer.from(last), Buffer.from(prefix)) < 0
    ? db.selectFrom('users').selectAll().where('username_key', '>=', prefix)
    : db.selectFrom('users').selectAll().where('username_key', '>', last)
  // This bound always applies, because a damaged key that is not text sorts after all text, and no cursor gets past it.
  query = query.where('username_key', '<=', prefix + LAST)
  return query.orderBy('username_key').limit(limit)
}

/** A user as the routes show it to an administrator. */
export function toUserView ({ id, username, scopes, disabled, createdAt, passwordChangedAt }: StoredUser): Static<typeof UserView> {
  return {
    id,
    username,
    scopes: [...scopes],
    disabled,
    created_at: new Date(createdAt).toISOString(),
    password_changed_at: new Date(passwordChangedAt).toISOString()
  }
}

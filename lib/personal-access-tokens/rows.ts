import type { Selectable } from 'kysely'
import { formatScope, parseScope } from '../identity/scopes.js'
import { isMoment, toMoment, toText } from '../store/columns.js'
import { createStatement } from '../store/statement.js'
import type { PersonalAccessTokensTable, Queryable } from '../store/tables.js'

/** A personal access token, without its value. Times are in milliseconds. */
export interface PersonalAccessToken {
  id: string
  userId: string
  name: string
  /** What it was created with. It can use those that its owner still has. */
  scopes: string[]
  createdAt: number
  /** Undefined: never. */
  expiresAt: number | undefined
  /** Within a minute. Undefined: never. */
  lastUsedAt: number | undefined
}

type Row = Selectable<PersonalAccessTokensTable>

const selectByHash = createStatement((db, { hash }: { hash: string }) =>
  db.selectFrom('latchkey_personal_access_tokens').selectAll().where('value_hash', '=', hash))

/** Returns the token with this hash. A damaged row is no token. */
export async function findByHash (db: Queryable, hash: string): Promise<PersonalAccessToken | undefined> {
  const row = (await selectByHash(db, { hash })).rows[0]
  return row !== undefined && isSound(row) ? toToken(row) : undefined
}

/** Returns the tokens of a user, newest first. There are at most `MOST_KEYS` of them. */
export async function listRows (db: Queryable, userId: string, limit: number): Promise<PersonalAccessToken[]> {
  const rows = await db.selectFrom('latchkey_personal_access_tokens').selectAll().where('user_id', '=', userId)
    .orderBy('id', 'desc').limit(limit).execute()
  return rows.map(toToken)
}

function isSound (row: Row): boolean {
  return [row.id, row.user_id, row.scope].every(text => typeof text === 'string') && isMoment(row.created_at) &&
    (row.expires_at === null || isMoment(row.expires_at))
}

/** A damaged row must not break the list that it is in, so that its owner can revoke it. */
export function toToken (row: Row): PersonalAccessToken {
  return {
    id: row.id,
    userId: toText(row.user_id),
    name: toText(row.name),
    scopes: parseScope(row.scope),
    createdAt: toMoment(row.created_at),
    expiresAt: row.expires_at === null ? undefined : toMoment(row.expires_at),
    lastUsedAt: row.last_used_at === null ? undefined : toMoment(row.last_used_at)
  }
}

export function toRow (
  { id, userId, name, scopes, createdAt, expiresAt }: Omit<PersonalAccessToken, 'lastUsedAt'>, valueHash: string
): PersonalAccessTokensTable {
  return {
    id,
    user_id: userId,
    name,
    value_hash: valueHash,
    scope: formatScope(scopes),
    created_at: createdAt,
    expires_at: expiresAt ?? null,
    last_used_at: null
  }
}

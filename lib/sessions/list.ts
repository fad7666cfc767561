import type { Static } from 'typebox'
import { MAX_SESSIONS } from '../../schemas/sessions.js'
import type { SessionView } from '../../schemas/sessions.js'
import { formatScope, parseScope } from '../identity/scopes.js'
import { isMoment, toMoment, toNullableText, toText } from '../store/columns.js'
import type { Queryable } from '../store/tables.js'

/** A live session, as its owner may see it. Times are in milliseconds. */
export interface Session {
  id: string
  clientId: string
  scopes: string[]
  createdAt: number
  lastUsedAt: number
  expiresAt: number
  userAgent: string | null
  /** The browser and the system, or the program, as the user agent names it. Null: unknown. */
  device: string | null
  address: string | null
}

/** Whose sessions to list. */
export interface SessionListQuery {
  userId: string
  /** A session that must be in the list if it is one of the user's live sessions. Default: none. */
  currentId?: string
}

/**
 * Returns the live sessions of a user, most recently used first. It reads a bounded number of rows, whatever is in the
 * store. A user has more sessions only if they began under another limit, and only until the next login. Then the list
 * has an arbitrary part of them, because no index sorts sessions by their use. Each refresh would have to write to it.
 */
export async function listSessions (
  db: Queryable, { userId, currentId }: SessionListQuery, now: number
): Promise<Array<Omit<Session, 'device'>>> {
  const unended = db.selectFrom('latchkey_sessions')
    .select(['id', 'client_id', 'scope', 'created_at', 'last_used_at', 'idle_expires_at', 'expires_at'])
    .select(['user_agent', 'address'])
    .where('user_id', '=', userId).where('ended_at', 'is', null)
  const rows = await unended.limit(MAX_SESSIONS).execute()
  if (rows.length === MAX_SESSIONS && currentId !== undefined && rows.every(({ id }) => id !== currentId)) {
    const current = await unended.where('id', '=', currentId).executeTakeFirst()
    if (current !== undefined) rows.splice(-1, 1, current)
  }
  const live = rows.filter(
    row => typeof row.id === 'string' && isAhead(row.idle_expires_at, now) && isAhead(row.expires_at, now)
  )
  return live
    .sort((a, b) => toMoment(b.last_used_at) - toMoment(a.last_used_at) || (a.id < b.id ? 1 : -1))
    .map(row => ({
      id: row.id,
      clientId: toText(row.client_id),
      scopes: parseScope(row.scope),
      createdAt: toMoment(row.created_at),
      lastUsedAt: toMoment(row.last_used_at),
      expiresAt: row.expires_at,
      userAgent: toNullableText(row.user_agent),
      address: toNullableText(row.address)
    }))
}

function isAhead (value: unknown, now: number): boolean {
  return isMoment(value) && now < value
}

/**
 * Returns a session as the routes show it.
 * @param currentId - the session that the request belongs to, if any.
 */
export function toSessionView (session: Session, currentId: string | undefined): Static<typeof SessionView> {
  return {
    id: session.id,
    client_id: session.clientId,
    scope: formatScope(session.scopes),
    created_at: new Date(session.createdAt).toISOString(),
    last_used_at: new Date(session.lastUsedAt).toISOString(),
    expires_at: new Date(session.expiresAt).toISOString(),
    user_agent: session.userAgent,
    device: session.device,
    address: session.address,
    current: session.id === currentId
  }
}

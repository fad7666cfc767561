import { randomBytes } from 'node:crypto'
import type { Selectable } from 'kysely'
import { createId } from '../identity/ids.js'
import { addressOf } from '../identity/network.js'
import { isMoment } from '../store/columns.js'
import { createStatement } from '../store/statement.js'
import type { Queryable, SessionsTable } from '../store/tables.js'
import type { Place } from '../throttle/throttle.js'
import { NONCE_LENGTH } from './refresh-token.js'

/** A row of the table `sessions`. */
export type SessionRow = Selectable<SessionsTable>

const selectSession = createStatement((db, { id }: { id: string }) =>
  db.selectFrom('latchkey_sessions').selectAll().where('id', '=', id)
)

/**
 * Returns the session with this id, which may be over. A damaged row is not a session, so nothing is issued for it. It
 * can still be ended by its id.
 */
export async function findSession (db: Queryable, id: string): Promise<SessionRow | undefined> {
  const row = (await selectSession(db, { id })).rows[0]
  return row !== undefined && isSoundSession(row) ? row : undefined
}

/** The last generation that leaves room for a successor. A refresh token has six bytes for it. */
const LAST_GENERATION = 2 ** 48 - 2

/** Whether a row has the form of the sessions that we write. */
export function isSoundSession (row: SessionRow): boolean {
  const {
    id,
    user_id: userId,
    client_id: clientId,
    scope,
    nonce,
    generation,
    seen_generation: seen,
    amr,
    status_list: list,
    status_index: index
  } = row
  return [id, userId, clientId, scope, nonce, amr].every(text => typeof text === 'string') && nonce !== '' &&
    Number.isSafeInteger(generation) && generation >= 1 && generation <= LAST_GENERATION &&
    Number.isSafeInteger(seen) && seen >= 0 && seen <= generation &&
    [row.rotated_at, row.created_at, row.auth_time, row.last_used_at].every(isMoment) &&
    [row.idle_expires_at, row.expires_at].every(isMoment) &&
    (list === null || typeof list === 'string') && (index === null || Number.isSafeInteger(index))
}

/** What a refresh changes of a session. */
export type Rotation = Pick<SessionRow, 'generation' | 'rotated_at' | 'last_used_at' | 'idle_expires_at'>

const updateSession = createStatement(
  (
    db,
    {
      id,
      current,
      generation,
      rotated_at: rotatedAt,
      last_used_at: lastUsedAt,
      idle_expires_at: idleExpiresAt
    }: Rotation & { id: string, current: number }
  ) =>
    db
      .updateTable('latchkey_sessions')
      .set({ generation, rotated_at: rotatedAt, last_used_at: lastUsedAt, idle_expires_at: idleExpiresAt })
      .where('id', '=', id)
      .where('generation', '=', current)
      .where('ended_at', 'is', null)
)

/**
 * Gives a session its next generation. Returns false if the session no longer exists, has ended, or is not at the
 * generation `current`.
 */
export async function rotateSession (
  db: Queryable,
  { id, generation: current }: SessionRow,
  rotation: Rotation
): Promise<boolean> {
  return (await updateSession(db, { ...rotation, id, current })).numAffectedRows === 1n
}

const updateUse = createStatement((db, { id, usedAt }: { id: string, usedAt: number }) =>
  db.updateTable('latchkey_sessions').set({ last_used_at: usedAt })
    .where('id', '=', id).where('last_used_at', '<', usedAt))

/** Records that a session got another access token without a rotation. No token may be newer than `last_used_at`. */
export async function noteUse (db: Queryable, id: string, usedAt: number): Promise<void> {
  await updateUse(db, { id, usedAt })
}

/** What a login knows about the session that it begins. Times are in milliseconds. */
export interface Beginning {
  userId: string
  clientId: string
  scope: string
  now: number
  /** When its first access token was issued, which may be before `now`. */
  issuedAt: number
  sessionTtl: number
  refreshIdleTtl: number
  userAgent: string | undefined
  address: string | undefined
  place: Place | undefined
  /** When the user proved who they are. Default: `now`. */
  authTime?: number
  /** How they did so: RFC 8176. */
  amr: readonly string[]
}

/** Creates the row of a new session, which is in no status list yet. */
export function createSessionRow ({
  userId, clientId, scope, now, issuedAt, sessionTtl, refreshIdleTtl, userAgent, address, place,
  authTime = now, amr
}: Beginning): SessionsTable {
  return {
    id: createId(now),
    user_id: userId,
    client_id: clientId,
    scope,
    nonce: randomBytes(NONCE_LENGTH).toString('base64url'),
    generation: 1,
    rotated_at: now,
    seen_generation: 0,
    // No token of the session is older, so a rule for everything before this time kills none of them.
    created_at: issuedAt,
    // No token of the session is newer.
    last_used_at: Math.max(now, issuedAt),
    idle_expires_at: now + Math.min(refreshIdleTtl, sessionTtl),
    expires_at: now + sessionTtl,
    ended_at: null,
    end_reason: null,
    auth_time: authTime,
    amr: amr.join(' '),
    user_agent: userAgent?.slice(0, 512) ?? null,
    address: addressOf(address),
    account: place?.account ?? null,
    network: place?.network ?? null,
    status_list: null,
    status_index: null
  }
}

import { isAuthentic, parseRefreshToken } from './refresh-token.js'
import { findSession } from './rows.js'
import type { SessionRow } from './rows.js'
import type { Queryable } from '../store/tables.js'

/**
 * The session whose refresh token this is, and which of its generations; undefined where no key of ours made it. The
 * session may be over.
 */
export async function findAuthentic (
  db: Queryable,
  refreshKeys: readonly Buffer[],
  refreshToken: string
): Promise<{ session: SessionRow, generation: number } | undefined> {
  const parts = parseRefreshToken(refreshToken)
  if (parts === undefined) return undefined
  const session = await findSession(db, parts.sessionId)
  return session !== undefined && isAuthentic(refreshKeys, session.nonce, parts)
    ? { session, generation: parts.generation }
    : undefined
}

/** Whether a session can still be refreshed at all. */
export function isLive (session: SessionRow, now: number): boolean {
  return session.ended_at === null && now < session.expires_at && now < session.idle_expires_at
}

/**
 * What a refresh token of this generation is worth. `retry`: the immediate predecessor within the grace. Its successor
 * was never used, or the session would be two generations on: whoever asks may be the owner, asking again. `reused`:
 * anything older.
 */
export function standingOf (
  session: SessionRow,
  generation: number,
  { now, refreshGrace }: { now: number, refreshGrace: number }
): 'current' | 'retry' | 'reused' {
  if (generation === session.generation) return 'current'
  return generation === session.generation - 1 && now < session.rotated_at + refreshGrace ? 'retry' : 'reused'
}

import { readRefreshToken } from './refresh-token.js'
import { findSession } from './rows.js'
import type { SessionRow } from './rows.js'
import type { Queryable } from '../store/tables.js'

/**
 * Returns the session of a refresh token, which may be over, and the generation of the token. Returns undefined if none
 * of the keys made the token.
 */
export async function findAuthentic (
  db: Queryable,
  refreshKeys: readonly Buffer[],
  refreshToken: string
): Promise<{ session: SessionRow, generation: number } | undefined> {
  const parts = readRefreshToken(refreshKeys, refreshToken)
  if (parts === undefined) return undefined
  const session = await findSession(db, parts.sessionId)
  return session?.nonce === parts.nonce ? { session, generation: parts.generation } : undefined
}

/** Whether a session can still be refreshed at all. */
export function isLive (session: SessionRow, now: number): boolean {
  return session.ended_at === null && now < session.expires_at && now < session.idle_expires_at
}

/**
 * Returns what a refresh token of this generation is worth. `retry` is the immediate predecessor within the grace
 * period. Its successor was never used, because otherwise the session would be two generations ahead. So the sender may
 * be the owner, who tries again. `reused` is any other generation.
 */
export function standingOf (
  session: SessionRow,
  generation: number,
  { now, refreshGrace }: { now: number, refreshGrace: number }
): 'current' | 'retry' | 'reused' {
  if (generation === session.generation) return 'current'
  // If the clock was set back, the rotation lies in the future, and the grace period lasts longer.
  return generation === session.generation - 1 && now < session.rotated_at + refreshGrace ? 'retry' : 'reused'
}

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
 * Returns what a refresh token of this generation is worth. `retry` and `late` are the immediate predecessor. Its
 * successor was never exchanged, because otherwise the session would be two generations ahead. `retry`: within the
 * grace period, the sender may be a parallel request of the owner. `late`: after it, no access token of the successor
 * was used either, so the response may have been lost, and the sender may be the owner. `reused` is any other token.
 * @param isSeen - whether an access token of the current generation was used: see `SeenGenerations`.
 */
export function standingOf (
  session: SessionRow,
  generation: number,
  { now, refreshGrace, isSeen }: { now: number, refreshGrace: number, isSeen: boolean }
): 'current' | 'retry' | 'late' | 'reused' {
  if (generation === session.generation) return 'current'
  if (generation !== session.generation - 1) return 'reused'
  // If the clock was set back, the rotation lies in the future, and the grace period lasts longer.
  if (now < session.rotated_at + refreshGrace) return 'retry'
  return isSeen ? 'reused' : 'late'
}

import type { Transaction } from 'kysely'
import { createDeferredWrites } from '../store/deferred-writes.js'
import type { Store } from '../store/store.js'
import type { Tables } from '../store/tables.js'
import type { SessionRow } from './rows.js'

/** A session, and one of its generations. */
interface Sighting {
  sessionId: string
  generation: number
}

/**
 * Which sessions have shown that the response of their last refresh arrived, because an access token of it was used.
 * From then on their previous refresh token is worth nothing after the grace period.
 */
export interface SeenGenerations {
  /**
   * Notes that an access token of this generation was used. It is written within a second, together with those of other
   * sessions. Returns false if that is not possible now. Then note it again when the token is used again.
   */
  note (sighting: Sighting): boolean
  /** Whether a token of the session's current generation was used. Other nodes know it after a second. */
  isSeen (session: Pick<SessionRow, 'id' | 'generation' | 'seen_generation'>): boolean
  /** Writes what is noted. */
  flush (): Promise<void>
}

/** @param onFailure - receives why the notes could not be written. They are kept. */
export function createSeenGenerations (
  store: Pick<Store, 'transaction'>, onFailure: (error: unknown) => void
): SeenGenerations {
  const writes = createDeferredWrites<number>(store, { write: markSeen, onFailure })

  return {
    note ({ sessionId, generation }) {
      // The first generation has no predecessor.
      return generation <= 1 || (writes.waiting(sessionId) ?? 0) >= generation || writes.note(sessionId, generation)
    },
    isSeen: ({ id, generation, seen_generation: seen }) => Math.max(seen, writes.waiting(id) ?? 0) >= generation,
    flush: writes.flush
  }
}

/** A session that was refreshed since then needs no mark, because the older token is already worth nothing. */
async function markSeen (
  trx: Transaction<Tables>, notes: ReadonlyArray<readonly [sessionId: string, generation: number]>
): Promise<void> {
  await trx.updateTable('latchkey_sessions').set(eb => ({ seen_generation: eb.ref('generation') }))
    .where('id', 'in', notes.map(([id]) => id))
    .where(eb => eb.or(notes.map(([id, generation]) => eb.and({ id, generation }))))
    .whereRef('seen_generation', '<', 'generation').where('ended_at', 'is', null).execute()
}

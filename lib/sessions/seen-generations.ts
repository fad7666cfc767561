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
 * Records which clients have received the response of their last refresh, because they used an access token from it.
 * From then on, the previous refresh token of the session is worthless after the grace period.
 */
export interface SeenGenerations {
  /**
   * Notes that an access token of this generation was used. It is written within a second, together with those of other
   * sessions. Returns false if that is not possible now. In that case, call it again at the next use of the token.
   */
  note (sighting: Sighting): boolean
  /** Whether a token of the session's current generation was used. Other nodes see it after about a second. */
  isSeen (session: Pick<SessionRow, 'id' | 'generation' | 'seen_generation'>): boolean
  /** Writes what is noted. */
  flush (): Promise<void>
}

/** @param onFailure - receives the error if the notes could not be written. They are kept. */
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

/** A session that was refreshed since then needs no mark, because its older token is already worthless. */
async function markSeen (
  trx: Transaction<Tables>, notes: ReadonlyArray<readonly [sessionId: string, generation: number]>
): Promise<void> {
  await trx.updateTable('latchkey_sessions').set(eb => ({ seen_generation: eb.ref('generation') }))
    .where('id', 'in', notes.map(([id]) => id))
    .where(eb => eb.or(notes.map(([id, generation]) => eb.and({ id, generation }))))
    .whereRef('seen_generation', '<', 'generation').where('ended_at', 'is', null).execute()
}

import { createDeferredWrites } from '../store/deferred-writes.js'
import type { DeferredWrites } from '../store/deferred-writes.js'
import type { Store } from '../store/store.js'

/**
 * Creates the record of when keys were last used. By the id of a key, in milliseconds.
 * @param onFailure - receives the error if the times could not be written. They are kept.
 */
export function createKeyUses (
  store: Pick<Store, 'transaction'>, onFailure: (error: unknown) => void
): DeferredWrites<number> {
  return createDeferredWrites<number>(store, {
    async write (trx, notes) {
      // All notes are from the same second, so one time is precise enough for all of them.
      const usedAt = Math.max(...notes.map(([, time]) => time))
      await trx.updateTable('latchkey_personal_access_tokens').set({ last_used_at: usedAt })
        .where('id', 'in', notes.map(([id]) => id))
        .where(eb => eb.or([eb('last_used_at', 'is', null), eb('last_used_at', '<', usedAt)])).execute()
    },
    onFailure
  })
}

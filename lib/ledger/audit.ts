import type { Selectable, Transaction } from 'kysely'
import { describeEvent } from '../../schemas/events.js'
import type { Actor, EventType, SecurityEvent } from '../../schemas/events.js'
import { searchEvents } from './audit-search.js'
import type { AuditQuery } from './audit-search.js'
import { toMoment, toNullableText, toText } from '../store/columns.js'
import type { EventsTable, Tables } from '../store/tables.js'
import type { Store } from '../store/store.js'

/** An event as it was kept, with its place in the trail: a later entry has a greater id. */
export type AuditEntry = SecurityEvent & { readonly id: number }

/** The audit trail: who did what to whom, from where, and whether it worked. */
export interface Audit {
  /** The newest first. */
  list (query?: AuditQuery): Promise<AuditEntry[]>
  /**
   * Deletes up to `limit` entries that are older than the retention. Returns whether there may be more.
   * @param now - the time, if it is steady: see `steady-time.ts`.
   */
  purge (limit: number, now: number): Promise<boolean>
}

/**
 * Keeps events in the trail, as part of the transaction in which they happen. So nothing is acknowledged that is not in
 * the trail. Pass about a thousand events at most.
 */
export async function keepEvents (trx: Transaction<Tables>, events: readonly SecurityEvent[]): Promise<void> {
  const kept = events.filter(({ type }) => describeEvent(type).kept)
  if (kept.length === 0) return
  await trx.insertInto('latchkey_events').values(kept.map(event => ({
    at: event.at,
    type: event.type,
    outcome: event.outcome,
    actor_kind: event.actor.kind,
    actor_id: event.actor.id,
    address: event.actor.address,
    subject: event.subject,
    session_id: event.sessionId,
    client_id: event.clientId,
    details: JSON.stringify(event.details)
  }))).execute()
}

/**
 * Opens the audit trail.
 * @param retention - milliseconds for which entries are kept.
 */
export function createAudit ({ store, retention }: { store: Store, retention: number }): Audit {
  return {
    list: async (query = {}) => (await searchEvents(store, query)).map(toEntry),

    async purge (limit, now) {
      const over = now - retention
      const { numDeletedRows } = await store.transaction(trx => trx.deleteFrom('latchkey_events')
        .where('seq', 'in', trx.selectFrom('latchkey_events').select('seq')
          .where('at', '<', over).orderBy('at').limit(limit))
        .executeTakeFirst())
      return numDeletedRows === BigInt(limit)
    }
  }
}

function toEntry (row: Selectable<EventsTable>): AuditEntry {
  return {
    id: row.seq,
    at: toMoment(row.at),
    type: toText(row.type) as EventType,
    outcome: row.outcome === 'success' ? 'success' : 'failure',
    actor: {
      kind: toText(row.actor_kind) as Actor['kind'],
      id: toNullableText(row.actor_id),
      address: toNullableText(row.address)
    },
    subject: toNullableText(row.subject),
    sessionId: toNullableText(row.session_id),
    clientId: toNullableText(row.client_id),
    details: toDetails(row.details)
  }
}

/** Parses the details. Damaged details are lost, but the other entries on the page stay readable. */
function toDetails (text: string): AuditEntry['details'] {
  try {
    const details: unknown = JSON.parse(text)
    return typeof details === 'object' && details !== null && !Array.isArray(details)
      ? (details as AuditEntry['details'])
      : {}
  } catch {
    return {}
  }
}

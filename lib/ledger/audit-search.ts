import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Selectable, SelectQueryBuilder } from 'kysely'
import { sql } from '../store/kysely.js'
import type { Store } from '../store/store.js'
import type { EventsTable, Queryable, Tables } from '../store/tables.js'
import type { EventType } from '../../schemas/events.js'

/** What to look for in the trail; times are milliseconds. */
export interface AuditQuery {
  type?: EventType
  outcome?: 'success' | 'failure'
  /** The id of a user or a client. */
  actor?: string
  /** The id of a user, a client or a key. */
  subject?: string
  since?: number
  until?: number
  /** Only what is older than the entry with this id: how pages go on. */
  before?: number
  /** Default 100. */
  limit?: number
}

/** How many entries one step reads: about a millisecond of work. */
const STEP = 2_000

/** The part of the trail that a step reads: from `first` (included) to `end` (excluded). */
interface Range {
  first: number
  end: number
}

/**
 * Returns the matching entries, newest first. It reads in steps, each along one index and with a bounded number of
 * entries, because a filter that matches nothing in a trail of millions must not block the event loop.
 */
export async function searchEvents (store: Store, query: AuditQuery): Promise<Array<Selectable<EventsTable>>> {
  const { before = Number.MAX_SAFE_INTEGER, limit = 100 } = query
  const range = await store.read(db => findRange(db, query))
  const found: Array<Selectable<EventsTable>> = []
  for (let end = Math.min(range.end, before); end > range.first;) {
    const first = await store.read(async db => {
      const first = await findStepStart(db, query, { ...range, end })
      found.push(...await readStep(db, query, { first, end }).limit(limit - found.length).execute())
      return first
    })
    if (found.length >= limit) break
    end = first
    await nextTurn()
  }
  return found
}

/** Turns `since` and `until` into a range of `seq`. This works because a later entry never has an earlier time. */
async function findRange (db: Queryable, { since, until }: AuditQuery): Promise<Range> {
  const seq = db.selectFrom('latchkey_events').select('seq').limit(1)
  const first = since === undefined
    ? { seq: 0 }
    : await seq.where('at', '>=', since).orderBy('at').orderBy('seq').executeTakeFirst()
  const last = until === undefined
    ? { seq: Number.MAX_SAFE_INTEGER - 1 }
    : await seq.where('at', '<', until).orderBy('at', 'desc').orderBy('seq', 'desc').executeTakeFirst()
  return first === undefined || last === undefined ? { first: 0, end: 0 } : { first: first.seq, end: last.seq + 1 }
}

/** Returns where a step that ends at `end` must begin, so that it reads at most `STEP` entries of the index. */
async function findStepStart (db: Queryable, query: AuditQuery, { first, end }: Range): Promise<number> {
  const start = await alongIndex(db, query).select('seq').where('seq', '>=', first).where('seq', '<', end)
    .orderBy('seq', 'desc').limit(1).offset(STEP - 1).executeTakeFirst()
  return start?.seq ?? first
}

/** Applies the one filter that selects the index. */
function alongIndex (
  db: Queryable, { type, actor, subject }: AuditQuery
): SelectQueryBuilder<Tables, 'latchkey_events', object> {
  const events = db.selectFrom('latchkey_events')
  if (subject !== undefined) return events.where('subject', '=', subject)
  if (actor !== undefined) return events.where('actor_id', '=', actor)
  return type === undefined ? events : events.where('type', '=', type)
}

/**
 * Writes the other filters as expressions, because no database uses an index for those. Another index would read beyond
 * the bounds of the step.
 */
function readStep (
  db: Queryable, query: AuditQuery, { first, end }: Range
): SelectQueryBuilder<Tables, 'latchkey_events', Selectable<EventsTable>> {
  const { type, outcome, actor, since, until } = query
  let step = alongIndex(db, query).selectAll().where('seq', '>=', first).where('seq', '<', end)
  if (type !== undefined) step = step.where(sql`coalesce(type, '')`, '=', type)
  if (actor !== undefined) step = step.where(sql`coalesce(actor_id, '')`, '=', actor)
  if (outcome !== undefined) step = step.where(sql`coalesce(outcome, '')`, '=', outcome)
  if (since !== undefined) step = step.where(sql`at + 0`, '>=', since)
  if (until !== undefined) step = step.where(sql`at + 0`, '<', until)
  return step.orderBy('seq', 'desc')
}

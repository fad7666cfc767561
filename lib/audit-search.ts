import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Selectable, SelectQueryBuilder } from 'kysely'
import type { AuditQuery } from './audit.js'
import { sql } from './store/kysely.js'
import type { Store } from './store/store.js'
import type { EventsTable, Queryable, Tables } from './store/tables.js'

/** Entries that one step looks at: about a millisecond of work. */
const STEP = 2_000

/** The places in the trail that a step looks at: from `first` up to, but without, `end`. */
interface Range {
  first: number
  end: number
}

/**
 * The entries that match, the newest first. Reads them in steps, each along one index and with a bounded number of
 * entries: a filter that matches nothing in a trail of millions must not stop the event loop.
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

/** The range of `since` and `until`: a later entry never has an earlier time. */
async function findRange (db: Queryable, { since, until }: AuditQuery): Promise<Range> {
  const seq = db.selectFrom('events').select('seq').limit(1)
  const first = since === undefined
    ? { seq: 0 }
    : await seq.where('at', '>=', since).orderBy('at').orderBy('seq').executeTakeFirst()
  const last = until === undefined
    ? { seq: Number.MAX_SAFE_INTEGER - 1 }
    : await seq.where('at', '<', until).orderBy('at', 'desc').orderBy('seq', 'desc').executeTakeFirst()
  return first === undefined || last === undefined ? { first: 0, end: 0 } : { first: first.seq, end: last.seq + 1 }
}

/** Where a step that ends at `end` begins, so that it has at most `STEP` entries of the index. */
async function findStepStart (db: Queryable, query: AuditQuery, { first, end }: Range): Promise<number> {
  const start = await alongIndex(db, query).select('seq').where('seq', '>=', first).where('seq', '<', end)
    .orderBy('seq', 'desc').limit(1).offset(STEP - 1).executeTakeFirst()
  return start?.seq ?? first
}

/** The one filter that an index is read by. */
function alongIndex (
  db: Queryable, { type, actor, subject }: AuditQuery
): SelectQueryBuilder<Tables, 'events', object> {
  const events = db.selectFrom('events')
  if (subject !== undefined) return events.where('subject', '=', subject)
  if (actor !== undefined) return events.where('actor_id', '=', actor)
  return type === undefined ? events : events.where('type', '=', type)
}

/** The other filters are expressions, for which no engine uses an index: it would leave the bounds of the step. */
function readStep (
  db: Queryable, query: AuditQuery, { first, end }: Range
): SelectQueryBuilder<Tables, 'events', Selectable<EventsTable>> {
  const { type, outcome, actor, since, until } = query
  let step = alongIndex(db, query).selectAll().where('seq', '>=', first).where('seq', '<', end)
  if (type !== undefined) step = step.where(sql`coalesce(type, '')`, '=', type)
  if (actor !== undefined) step = step.where(sql`coalesce(actor_id, '')`, '=', actor)
  if (outcome !== undefined) step = step.where(sql`coalesce(outcome, '')`, '=', outcome)
  if (since !== undefined) step = step.where(sql`at + 0`, '>=', since)
  if (until !== undefined) step = step.where(sql`at + 0`, '<', until)
  return step.orderBy('seq', 'desc')
}

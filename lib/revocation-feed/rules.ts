import type { Static } from 'typebox'
import type { RevocationPage } from '../../schemas/revocations.js'
import { toRules } from '../revocation/rule-rows.js'
import type { RuleRow } from '../revocation/rule-rows.js'
import type { Store } from '../store/store.js'

/** How many rules are in one event or one page, and are read from the store in one step. */
export const FEED_STEP = 1_000

/** The columns that the feed reads of a rule. */
export type FeedRow = RuleRow

/**
 * Reads the rules after `position`, oldest first. A writer holds the writers' lock from before the `seq` of its rule is
 * made until the rule is committed. So no rule appears later before one that was already read.
 */
export function readRules (store: Store, position: number, limit: number): Promise<FeedRow[]> {
  return store.read(db => db.selectFrom('latchkey_rules')
    .select(['seq', 'kind', 'value', 'issued_before', 'reason', 'expires_at'])
    .where('seq', '>', position).orderBy('seq').limit(limit).execute())
}

/** Returns the `seq` of the last rule, or 0 if there is none. */
export async function readLastSeq (store: Store): Promise<number> {
  const row = await store.read(db => db.selectFrom('latchkey_rules').select(eb => eb.fn.max('seq').as('seq'))
    .executeTakeFirst())
  return row?.seq ?? 0
}

/** The rules of a page or of an event. */
type WireRules = Pick<Static<typeof RevocationPage>, 'rules' | 'roles'>

/**
 * Converts rules to the form that receivers get, without those below the horizon, which are about to be purged. A clock
 * must not decide this. A receiver never gets the rules that were left out, so it would accept revoked tokens if the
 * clock were set back.
 */
export function toWire (rows: readonly FeedRow[], horizon: number): WireRules {
  const wire: WireRules = { rules: [], roles: [] }
  for (const { kind, value, issuedBefore, isStolen, expiresAt } of rows.flatMap(toRules)) {
    if (expiresAt < horizon) continue
    const rule = { value, ...(issuedBefore === null ? {} : { issued_before: issuedBefore }), expires_at: expiresAt }
    if (kind === 'role') wire.roles.push(rule)
    else wire.rules.push({ kind, ...rule, ...(isStolen === true ? { stolen: true } : {}) })
  }
  return wire
}

/** Cursors, which name the position of a receiver in the rules of this store. */
export interface FeedCursors {
  format (position: number): string
  /** Returns the position, or 0 (the start) for a cursor that was not made here, such as one from another store. */
  parse (cursor: string | undefined): number
}

/**
 * Creates the cursors of the store with this id: `<id>-<epoch>-<seq>`.
 * @param epoch - `Store.epoch`. A receiver that read from another server starts again.
 */
export function createFeedCursors (storeId: number, epoch: () => number): FeedCursors {
  const prefixOf = (): string => `${storeId.toString(36)}-${epoch().toString(36)}-`
  return {
    format: position => `${prefixOf()}${position}`,
    parse (cursor) {
      const prefix = prefixOf()
      const [, digits] =
        cursor?.startsWith(prefix) === true ? (/^(0|[1-9][0-9]{0,14})$/.exec(cursor.slice(prefix.length)) ?? []) : []
      return digits === undefined ? 0 : Number(digits)
    }
  }
}

import type { Static } from 'typebox'
import type { RevocationRule } from '../../schemas/revocations.js'
import { RULE_RETENTION } from '../revocation/rule-index.js'
import { toRules } from '../revocation/rule-rows.js'
import type { RuleRow } from '../revocation/rule-rows.js'
import type { Store } from '../store/store.js'

/** How many rules go into one event or one page, and are read from the store in one step. */
export const FEED_STEP = 1_000

/** What the feed reads of a rule. */
export type FeedRow = RuleRow

/**
 * The rules after `position`, the oldest first. Who writes one holds the lock of the writers from before its `seq` is made until
 * it is committed: what is read without a gap has none that is filled later.
 */
export function readRules (store: Store, position: number, limit: number): Promise<FeedRow[]> {
  return store.read(db => db.selectFrom('rules').select(['seq', 'kind', 'value', 'issued_before', 'expires_at'])
    .where('seq', '>', position).orderBy('seq').limit(limit).execute())
}

/** The `seq` of the last rule that there is, 0 where there is none. */
export async function readLastSeq (store: Store): Promise<number> {
  const row = await store.read(db => db.selectFrom('rules').select(eb => eb.fn.max('seq').as('seq')).executeTakeFirst())
  return row?.seq ?? 0
}

/** The rules as a receiver gets them, without those that can no longer matter and are about to be purged. */
export function toWire (rows: readonly FeedRow[], now: number): Array<Static<typeof RevocationRule>> {
  return rows
    .flatMap(toRules)
    .filter(rule => rule.expiresAt >= now - RULE_RETENTION)
    .map(({ kind, value, issuedBefore, expiresAt }) => ({
      kind,
      value,
      ...(issuedBefore === null ? {} : { issued_before: issuedBefore }),
      expires_at: expiresAt
    }))
}

/** Where a receiver is in the rules of this store. */
export interface FeedCursors {
  format (position: number): string
  /** The position, or 0, the start, for what was never made here: of another store, or of a receiver that is confused. */
  parse (cursor: string | undefined): number
}

/**
 * Makes the cursors of the store with this id: `<id>-<epoch>-<seq>`.
 * @param epoch - `Store.epoch`: what was read of another server begins anew.
 */
export function createFeedCursors (storeId: number, epoch: () => number): FeedCursors {
  const prefixOf = (): string => `${storeId.toString(36)}-${epoch().toString(36)}-`
  return {
    format: position => `${prefixOf()}${position}`,
    parse (cursor) {
      const prefix = prefixOf()
      const [, digits] = cursor?.startsWith(prefix) === true ? /^(0|[1-9][0-9]{0,14})$/.exec(cursor.slice(prefix.length)) ?? [] : []
      return digits === undefined ? 0 : Number(digits)
    }
  }
}

import { randomInt } from 'node:crypto'
import type { Transaction } from 'kysely'
import { createId } from '../identity/ids.js'
import type { SessionsTable, Tables } from '../store/tables.js'

// Which entry of which status list speaks of a session: draft-ietf-oauth-status-list-21.

/** The `status` claim of a Referenced Token: section 6.2. */
export interface StatusClaim {
  status_list: { idx: number, uri: string }
}

/** The place of a session in the lists, as its row has it. */
type StatusPlace = Pick<SessionsTable, 'status_list' | 'status_index'>

/**
 * Entries of a list: 16 KiB before compression, and at most about that after it. Smaller ones hide a session among fewer (section 12.1) and are
 * more to fetch for each; larger ones cost every verifier more for each session that ends.
 */
export const LIST_SIZE = 2 ** 17

/** A list that is half full takes no more: a random index is a free one at the second try, on average. */
const CAPACITY = LIST_SIZE / 2

/** After so many tries the numbers are not random. */
const TRIES = 64

/** Gives places in the lists, and says them in tokens. */
export interface StatusReferences {
  /**
   * A random place that no session ever had (section 13.3), as part of the transaction that writes it into the session's row. One place
   * for all tokens of a session: that they belong together their `sid` says anyway, so a fresh one for each would hide nothing (section 13.2).
   */
  give (trx: Transaction<Tables>, now: number): Promise<StatusPlace>
  /** What its tokens say of where their status is. Undefined: it has no place. */
  claimOf (session: StatusPlace): StatusClaim | undefined
}

/** The URI of a list: `sub` of the list, `uri` of the tokens. */
export function listUri (base: string, id: string): string {
  return `${base}/status-lists/${id}`
}

/**
 * Creates the references of one instance.
 * @param base - the URL under which the routes are.
 * @param pick - a random whole number below the one given. Default: of node:crypto.
 */
export function createStatusReferences ({ base, pick = randomInt }: { base: string, pick?: (below: number) => number }): StatusReferences {
  async function openList (trx: Transaction<Tables>, now: number): Promise<{ id: string, given: number }> {
    const open = await trx
      .selectFrom('status_lists')
      .select(['id', 'given'])
      .where('open', 'is not', null)
      // A list with a damaged count may be full, and no token can name a list with a damaged id.
      .where('id', '>=', '')
      .where('id', '<', '\u{10FFFF}')
      .where('given', '>=', 0)
      .where('given', '<', CAPACITY)
      .orderBy('created_at')
      .executeTakeFirst()
    if (open !== undefined) return open
    const list = { id: createId(now), created_at: now, given: 0, open: 1 as const }
    await trx.insertInto('status_lists').values(list).execute()
    return list
  }

  return {
    async give (trx, now) {
      const { id, given } = await openList(trx, now)
      for (let tries = 0; tries < TRIES; tries++) {
        const index = pick(LIST_SIZE)
        // The store runs one writer at a time: what is free here stays so until the commit.
        const taken = await trx.selectFrom('sessions').select('id').where('status_list', '=', id).where('status_index', '=', index).executeTakeFirst()
        if (taken !== undefined) continue
        await trx.updateTable('status_lists').set({ given: given + 1, open: given + 1 < CAPACITY ? 1 : null }).where('id', '=', id).execute()
        return { status_list: id, status_index: index }
      }
      throw new Error(`No free index was found in the status list ${id}, which has given ${given} of ${LIST_SIZE}`)
    },
    claimOf: ({ status_list: list, status_index: index }) => list === null || index === null ? undefined : { status_list: { idx: index, uri: listUri(base, list) } }
  }
}

/**
 * Closes the lists of which sessions are being deleted, as part of that transaction: the place of one must not be given again. A verifier, or
 * a process of ours, may still hold what the list said of it.
 */
export async function closeLists (trx: Transaction<Tables>, ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await trx.updateTable('status_lists').set({ open: null }).where('id', 'in', ids).execute()
}

/** Deletes those of the lists that speak of no session any more: all tokens that referred to them are dead (section 13.1). */
export async function purgeLists (trx: Transaction<Tables>, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    const spoken = await trx.selectFrom('sessions').select('id').where('status_list', '=', id).executeTakeFirst()
    if (spoken === undefined) await trx.deleteFrom('status_lists').where('id', '=', id).execute()
  }
}

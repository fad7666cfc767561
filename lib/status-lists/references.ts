import { randomInt } from 'node:crypto'
import type { Transaction } from 'kysely'
import { createId } from '../identity/ids.js'
import type { SessionsTable, Tables } from '../store/tables.js'

// Gives each session its entry in a status list: draft-ietf-oauth-status-list-21.

/** The `status` claim of a Referenced Token (section 6.2). */
export interface StatusClaim {
  status_list: { idx: number, uri: string }
}

/** The place of a session in the lists, as its row stores it. */
type StatusPlace = Pick<SessionsTable, 'status_list' | 'status_index'>

/**
 * The entries of a list: 16 KiB before compression, and at most about that after it. A smaller list hides a session
 * among fewer others (section 12.1), and verifiers fetch more for each session. A larger one costs every verifier more
 * for each session that ends.
 */
export const LIST_SIZE = 2 ** 17

/** A list takes no more sessions once it is half full. So a random index is free at the second try, on average. */
const CAPACITY = LIST_SIZE / 2

/** After this many tries, the numbers cannot be random. */
const TRIES = 64

/** Gives sessions places in the lists, and makes the claims that name them. */
export interface StatusReferences {
  /**
   * Returns a random place that no session ever had (section 13.3). It is part of the transaction that writes the place
   * to the session's row. All tokens of a session share one place. Their `sid` already shows that they belong together,
   * so a fresh place for each would hide nothing (section 13.2).
   */
  give (trx: Transaction<Tables>, now: number): Promise<StatusPlace>
  /** Returns the claim that names the place of a session in its tokens. Returns undefined if it has no place. */
  claimOf (session: StatusPlace): StatusClaim | undefined
}

/** The URI of a list. It is `sub` in the list and `uri` in the tokens. */
export function listUri (base: string, id: string): string {
  return `${base}/status-lists/${id}`
}

/**
 * Creates the references of one instance.
 * @param base - the URL that the routes are under.
 * @param pick - returns a random whole number below the one given. Default: `randomInt` of node:crypto.
 */
export function createStatusReferences (
  { base, pick = randomInt }: { base: string, pick?: (below: number) => number }
): StatusReferences {
  async function openList (trx: Transaction<Tables>, now: number): Promise<{ id: string, given: number }> {
    const open = await trx
      .selectFrom('latchkey_status_lists')
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
    await trx.insertInto('latchkey_status_lists').values(list).execute()
    return list
  }

  async function give (trx: Transaction<Tables>, now: number): Promise<StatusPlace> {
    const { id, given } = await openList(trx, now)
    for (let tries = 0; tries < TRIES; tries++) {
      const index = pick(LIST_SIZE)
      // If another transaction takes the index before the commit, this one fails and is run again.
      const taken = await trx
        .selectFrom('latchkey_sessions')
        .select('id')
        .where('status_list', '=', id)
        .where('status_index', '=', index)
        .executeTakeFirst()
      if (taken !== undefined) continue
      const { numUpdatedRows } = await trx
        .updateTable('latchkey_status_lists')
        .set(eb => ({
          given: eb('given', '+', 1),
          open: eb.case().when('given', '<', CAPACITY - 1).then(1 as const).else(null).end()
        }))
        .where('id', '=', id)
        .where('open', 'is not', null)
        .executeTakeFirstOrThrow()
      // The list was filled or closed in the meantime.
      if (numUpdatedRows === 0n) return await give(trx, now)
      return { status_list: id, status_index: index }
    }
    throw new Error(`No free index was found in the status list ${id}: ${given} of ${LIST_SIZE} are taken`)
  }

  return {
    give,
    claimOf: ({ status_list: list, status_index: index }) => list === null || index === null
      ? undefined
      : {
          status_list: { idx: index, uri: listUri(base, list) }
        }
  }
}

/**
 * Closes the lists of sessions that are being deleted, as part of that transaction. A closed list gives no places,
 * because a verifier, or a process of ours, may still hold the old status of a place that has become free.
 */
export async function closeLists (trx: Transaction<Tables>, ids: readonly string[]): Promise<void> {
  if (ids.length > 0) {
    await trx.updateTable('latchkey_status_lists').set({ open: null }).where('id', 'in', ids).execute()
  }
}

/** Deletes those lists that no session refers to any more. All tokens that referred to them are dead (section 13.1). */
export async function purgeLists (trx: Transaction<Tables>, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    const session = await trx.selectFrom('latchkey_sessions').select('id').where('status_list', '=', id)
      .executeTakeFirst()
    if (session === undefined) await trx.deleteFrom('latchkey_status_lists').where('id', '=', id).execute()
  }
}

import { costliestOf, DUMMY_PREFIXES } from '../passwords/formats/formats.js'
import type { Store } from '../store/store.js'
import type { Queryable } from '../store/tables.js'
import type { Clock } from '../time/clock.js'

/** How long the hashes are cached, in milliseconds. Without a cache, each login would need a query. */
const KEPT = 60_000

/** The most kinds of hashes of one family that are read, so that no file can make a login slow. */
const MAX_KINDS = 32

/**
 * Creates the function that returns the costliest imported hash of each family, or none if no user has such a hash.
 * Each login does their work too, so that its time does not reveal which kind of hash a user has.
 */
export function createDummyReader ({ store, clock }: { store: Store, clock: Clock }): () => Promise<readonly string[]> {
  let found: Promise<readonly string[]> | undefined
  let readAt = 0

  return async function readDummies () {
    const now = clock.now()
    if (found === undefined || Math.abs(now - readAt) >= KEPT) {
      readAt = now
      found = store.read(readKinds).then(costliestOf)
      // The login fails with the error, and the next one tries again.
      found.catch(() => { found = undefined })
    }
    return await found
  }
}

async function readKinds (db: Queryable): Promise<string[]> {
  const kinds: string[] = []
  for (const prefix of DUMMY_PREFIXES) kinds.push(...await readFamily(db, prefix))
  return kinds
}

/** Reads the kinds one by one from the index, because there are few kinds and many users. */
async function readFamily (db: Queryable, prefix: string): Promise<string[]> {
  const kinds: string[] = []
  while (kinds.length < MAX_KINDS) {
    const row = await db.selectFrom('latchkey_users').select('dummy_hash').where('dummy_hash', 'is not', null)
      .where('dummy_hash', '>', kinds.at(-1) ?? prefix).where('dummy_hash', '<', `${prefix}~`)
      .orderBy('dummy_hash').limit(1).executeTakeFirst()
    if (typeof row?.dummy_hash !== 'string') break
    kinds.push(row.dummy_hash)
  }
  return kinds
}

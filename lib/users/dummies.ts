import { costliestOf } from '../passwords/formats/formats.js'
import type { Store } from '../store/store.js'
import type { Queryable } from '../store/tables.js'
import type { Clock } from '../time/clock.js'

/** How long the hashes are cached, in milliseconds. Without a cache, each login would need a query. */
const KEPT = 60_000

/** The most kinds of hashes that are read of one family, and of all, so that no file can make a login slow. */
const MOST_OF_FAMILY = 32
const MOST = 256

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

/**
 * Reads the kinds one by one from the index, because there are few kinds and many users. A family with many kinds must
 * not hide the next one.
 */
async function readKinds (db: Queryable): Promise<string[]> {
  const kinds: string[] = []
  let after = ''
  let ofFamily = 0
  while (kinds.length < MOST) {
    const row = await db.selectFrom('latchkey_users').select('dummy_hash').where('dummy_hash', 'is not', null)
      .where('dummy_hash', '>', after).orderBy('dummy_hash').limit(1).executeTakeFirst()
    if (typeof row?.dummy_hash !== 'string') break
    const family = familyOf(row.dummy_hash)
    ofFamily = family === familyOf(kinds.at(-1) ?? '') ? ofFamily + 1 : 1
    kinds.push(row.dummy_hash)
    // No hash contains a tilde, which sorts after all of its characters.
    after = ofFamily < MOST_OF_FAMILY ? row.dummy_hash : `${family}~`
  }
  return kinds
}

/** Returns what all hashes of a family begin with, for example `$scrypt$`. */
function familyOf (hash: string): string {
  return hash.slice(0, hash.indexOf('$', 1) + 1)
}

import type { Transaction } from 'kysely'
import { readMeta, writeMeta } from './meta.js'
import type { Queryable, Tables } from './tables.js'

// A clock can leap ahead and come back. Data that was deleted meanwhile would be lost. So the purge deletes nothing,
// and replaces no key, until the time has been steady for a while. The store remembers this, so it survives restarts.

const MINUTE = 60_000

/** Milliseconds for which the time must be steady. */
const SETTLING = 60 * MINUTE

/** The longest time between two looks at a steady clock, in milliseconds. A node looks about once a minute. */
const LONGEST_GAP = 5 * MINUTE

/** Whether no node has noticed a leap for an hour, as of the last look. `now`: the store's time, in milliseconds. */
export async function isSteady (db: Queryable, now: number): Promise<boolean> {
  return follows(await readMeta(db, 'looked_at'), now) && hasSettled(await readMeta(db, 'steady_since'), now)
}

/** Looks at the time, as part of a transaction. Returns whether no node has noticed a leap for an hour. */
export async function lookAtTime (trx: Transaction<Tables>, now: number): Promise<boolean> {
  const isContinued = follows(await readMeta(trx, 'looked_at'), now)
  await writeMeta(trx, 'looked_at', now)
  if (!isContinued) await writeMeta(trx, 'steady_since', now)
  return isContinued && hasSettled(await readMeta(trx, 'steady_since'), now)
}

function follows (lookedAt: number, now: number): boolean {
  return Math.abs(now - lookedAt) <= LONGEST_GAP
}

function hasSettled (since: number, now: number): boolean {
  return since > 0 && now - since >= SETTLING
}

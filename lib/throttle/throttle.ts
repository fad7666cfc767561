import type { Transaction } from 'kysely'
import type { Clock } from '../time/clock.js'
import type { NewEvent } from '../ledger/events.js'
import { createFailureCounts } from '../ledger/failure-counts.js'
import type { Ledger } from '../ledger/ledger.js'
import type { Tables } from '../store/tables.js'
import type { Store } from '../store/store.js'
import { createBuckets } from './buckets.js'
import type { Bucket, Buckets } from './buckets.js'
import { countFailure, createCounting, isFailure } from './counting.js'
import type { Attempter, Count } from './counting.js'
import { findAttempts } from './rows.js'

export type { Bucket, Place } from './buckets.js'
export type { Settle } from './counting.js'

/** Slows down the guessing of passwords and secrets, for each account, in the store: across restarts and processes. */
export interface Throttle extends Omit<Buckets, 'accountsOf'> {
  /**
   * Looks at a password, or at a secret, by `check`, unless too many on this bucket were wrong: then throws
   * `too_many_failures` at once, without looking and without counting. The attempt is written down before `check` runs.
   * A check that throws `invalid_credentials`, `wrong_password` or `invalid_client` is a failure, one that resolves
   * forgives all failures of the bucket, and one that throws anything else has said nothing of the password. Ten
   * failures in a row cost nothing; then the wait doubles from a second to an hour; a hundred close the bucket for a
   * day (NIST SP 800-63B-4 section 3.2.2). A day without an attempt forgets all.
   * @param who - who tries, and on which account. It goes into the event of each failure, and into `attempts_blocked`,
   * once for each block. If there are many events, they are counted: see `FailureCounts`.
   */
  attempt<T> (bucket: Bucket, who: Attempter, check: () => Promise<T>): Promise<T>
  /**
   * `attempt` for a check after which `steps.write` runs a transaction. It is given a function to call inside that
   * transaction, which forgives the failures and saves a commit. If `write` rejects or does not call it, the failures
   * are forgiven in a transaction of their own. A process that dies before leaves the attempt counted.
   */
  attemptAndWrite: Count
  /**
   * Whether nothing is counted on this bucket. If so, a secret that is checked in no time needs no `attempt`, which
   * writes twice, unless it is wrong.
   */
  isClean (bucket: Bucket): Promise<boolean>
  /**
   * Forgets the failures of all logins to an account, except those that carried a session, as part of a transaction.
   * Returns whether there were any.
   */
  forgive (trx: Transaction<Tables>, username: string): Promise<boolean>
  /** Deletes up to `limit` buckets that can no longer matter; tells whether there may be more. */
  purge (limit: number): Promise<boolean>
  /** Records a failure on its subject in the audit trail, or counts it if there are many: see `FailureCounts`. */
  recordFailure (failure: NewEvent): Promise<void>
  /**
   * Records the failures that were only counted, in windows that are over. Call it every minute or so.
   * @param isEnding - whether the process is ending. Then failures of the current window are recorded too.
   */
  recordCounts (isEnding?: boolean): Promise<void>
}

/**
 * Creates the throttle over the store.
 * @param keys - for the MACs; the first one makes them, places are recognised by all.
 * @param isOn - if false, nothing is counted or refused. Places are kept all the same.
 */
export function createThrottle ({ store, clock, ledger, keys, isOn }: {
  store: Store
  clock: Clock
  ledger: Ledger
  keys: readonly [Buffer, ...Buffer[]]
  isOn: boolean
}): Throttle {
  const { accountsOf, ...buckets } = createBuckets({ store, clock, keys })
  const failures = createFailureCounts()

  async function record (events: NewEvent[]): Promise<void> {
    if (events.length > 0) await ledger.write(({ record }) => record(...events))
  }

  /** Runs the steps of an attempt without counting it. A failure is recorded all the same. */
  const runUncounted: Count = async (bucket, who, { check, write }) => {
    let checked
    try {
      checked = await check()
    } catch (error) {
      if (isFailure(error)) await record(countFailure({ failures, clock }, bucket, who))
      throw error
    }
    return await write(checked, async () => {})
  }

  const attemptAndWrite = isOn ? createCounting({ store, clock, ledger, failures }) : runUncounted

  return {
    ...buckets,
    attemptAndWrite,
    attempt: (bucket, who, check) => attemptAndWrite(bucket, who, { check, write: async checked => checked }),

    recordFailure: failure => record(failures.count(failure, failure.subject ?? '', clock.now())),

    recordCounts: (isEnding = false) => record(failures.collect(clock.now(), isEnding)),

    async isClean ({ key }) {
      return !isOn || await store.read(db => findAttempts(db, key, clock.now())) === undefined
    },

    async forgive (trx, username) {
      const { numDeletedRows } = await trx.deleteFrom('attempts').where('account', 'in', accountsOf(username))
        .executeTakeFirst()
      return numDeletedRows > 0n
    },

    async purge (limit) {
      const now = clock.now()
      const { numDeletedRows } = await store.transaction(trx => trx.deleteFrom('attempts')
        .where('key', 'in', trx.selectFrom('attempts').select('key').where('expires_at', '<=', now)
          .orderBy('expires_at').limit(limit))
        .executeTakeFirst())
      return numDeletedRows === BigInt(limit)
    }
  }
}

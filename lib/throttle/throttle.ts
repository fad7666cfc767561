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
export type { Attempter, Settle } from './counting.js'

/**
 * Slows down the guessing of passwords and secrets for each account. The counts are in the store, so they hold across
 * restarts and processes.
 */
export interface Throttle extends Omit<Buckets, 'accountsOf'> {
  /**
   * Runs `check`, which verifies a password or a secret. If several attempts are under way, or if failures cause a
   * wait, the attempt is stored before `check` runs. If the bucket has too many failures, throws `too_many_failures` at
   * once, and neither runs `check` nor counts the attempt.
   *
   * A check that throws `invalid_credentials`, `wrong_password` or `invalid_client` is a failure. A check that resolves
   * clears all failures of the bucket. Any other error leaves open whether the password is right.
   *
   * Ten failures in a row cause no wait. Then the wait doubles from a second to an hour. A hundred failures close the
   * bucket for a day (NIST SP 800-63B-4 section 3.2.2). After a day without an attempt, all failures are forgotten.
   * @param who - who makes the attempt, and on which account. It goes into the event of each failure, and into
   * `attempts_blocked`, once for each block. If there are many events, they are counted: see `FailureCounts`.
   */
  attempt<T> (bucket: Bucket, who: Attempter, check: () => Promise<T>): Promise<T>
  /**
   * Does the same as `attempt` for a check after which `steps.write` runs a transaction. `write` gets a step that
   * clears the failures. If it runs the step inside its transaction, that saves a commit. If `write` rejects or does
   * not run it, the failures are cleared in a transaction of their own. If the process dies before that, a stored
   * attempt stays counted.
   */
  attemptAndWrite: Count
  /**
   * Whether nothing is counted on this bucket. If so, a secret that is right and takes no time to check needs no
   * `attempt`, which writes twice.
   */
  isClean (bucket: Bucket): Promise<boolean>
  /**
   * Forgets the failures of all logins to an account, except those that carried a session, as part of a transaction.
   * Returns whether there were any.
   */
  forgive (trx: Transaction<Tables>, username: string): Promise<boolean>
  /**
   * Deletes up to `limit` buckets that can no longer matter. Returns whether there may be more.
   * @param now - the time, if it is steady: see `steady-time.ts`.
   */
  purge (limit: number, now: number): Promise<boolean>
  /**
   * Records a failure in the audit trail, or only counts it if there are many: see `FailureCounts`. The target is its
   * subject.
   */
  recordFailure (failure: NewEvent): Promise<void>
  /**
   * Records the failures that were only counted, for windows that are over. Call it about once a minute.
   * @param isEnding - whether the process is ending. Then failures of the current window are recorded too.
   */
  recordCounts (isEnding?: boolean): Promise<void>
}

/**
 * Creates the throttle.
 * @param keys - the keys of the MACs: see `createBuckets`.
 * @param isOn - if false, nothing is counted or refused. Sessions still store their places.
 */
export function createThrottle ({ store, clock, ledger, keys, isOn }: {
  store: Store
  clock: Clock
  ledger: Ledger
  keys: readonly [Buffer, ...Buffer[]]
  isOn: boolean
}): Throttle {
  const { accountsOf, ...buckets } = createBuckets({ store, keys })
  const failures = createFailureCounts()

  async function record (events: NewEvent[]): Promise<void> {
    if (events.length > 0) await ledger.write([], ({ record }) => record(...events))
  }

  /** Runs the steps of an attempt without counting it. A failure is still recorded. */
  const runUncounted: Count = async (bucket, who, { check, write }) => {
    let checked
    try {
      checked = await check()
    } catch (error) {
      if (isFailure(error)) await record(countFailure({ failures, clock }, bucket, who))
      throw error
    }
    return await write(checked, { locks: [], async within () {} })
  }

  const attemptAndWrite = isOn ? createCounting({ store, clock, ledger, failures }) : runUncounted

  return {
    ...buckets,
    attemptAndWrite,
    attempt: (bucket, who, check) => attemptAndWrite(bucket, who, { check, write: async checked => checked }),

    recordFailure: failure => record(failures.count(failure, failure.subject ?? '', clock.now())),

    recordCounts: (isEnding = false) => record(failures.collect(clock.now(), isEnding)),

    async isClean ({ key }) {
      return !isOn || await store.read(db => findAttempts(db, key)) === undefined
    },

    async forgive (trx, username) {
      const { numDeletedRows } = await trx.deleteFrom('latchkey_attempts').where('account', 'in', accountsOf(username))
        .executeTakeFirst()
      return numDeletedRows > 0n
    },

    async purge (limit, now) {
      const { numDeletedRows } = await store.transaction(trx => trx.deleteFrom('latchkey_attempts')
        // The outer condition too, because an attempt may change a row after the inner query has read it.
        .where('expires_at', '<=', now)
        .where('key', 'in', trx.selectFrom('latchkey_attempts').select('key').where('expires_at', '<=', now)
          .orderBy('expires_at').limit(limit))
        .executeTakeFirst())
      return numDeletedRows === BigInt(limit)
    }
  }
}

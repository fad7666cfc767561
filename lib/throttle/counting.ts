import type { ErrorCode } from '../../schemas/errors.js'
import type { EventType } from '../../schemas/events.js'
import { LatchkeyError } from '../errors.js'
import type { NewEvent } from '../ledger/events.js'
import type { FailureCounts } from '../ledger/failure-counts.js'
import type { Ledger, LedgerWrite } from '../ledger/ledger.js'
import type { Store } from '../store/store.js'
import type { Clock } from '../time/clock.js'
import { AT_ONCE, begin, settle } from './attempts.js'
import type { Outcome } from './attempts.js'
import type { Bucket } from './buckets.js'
import { findAttempts, keepAttempts } from './rows.js'

/** Who makes an attempt, and on which account, for the audit trail. */
export interface Attempter extends Omit<NewEvent, 'type' | 'details'> {
  /** The event to record for each failure. Default: none, because `check` records its own. */
  failure?: EventType
}

/** Forgives the failures of an attempt's bucket, as part of a transaction. */
export type Settle = (write: Pick<LedgerWrite, 'trx' | 'now'>) => Promise<void>

/** The two steps of an attempt that ends in a transaction: see `Throttle.attemptAndWrite`. */
interface Steps<Checked, Result> {
  check (): Promise<Checked>
  write (checked: Checked, settle: Settle): Promise<Result>
}

/** Runs the steps of an attempt, and counts it. */
export type Count = <Checked, Result>(bucket: Bucket, who: Attempter, steps: Steps<Checked, Result>) => Promise<Result>

/** The services behind the counting. */
export interface CountingContext {
  store: Store
  clock: Clock
  ledger: Ledger
  failures: FailureCounts
}

/** The errors for a password or secret that is wrong, or may be. */
const FAILURES: readonly ErrorCode[] = ['invalid_credentials', 'wrong_password', 'invalid_client']

/** Whether an error of a check means that the password or secret was wrong. */
export function isFailure (error: unknown): boolean {
  return error instanceof LatchkeyError && FAILURES.includes(error.code)
}

/**
 * Returns what to record now about a failure. The failure is counted by its bucket and not by its subject, because what
 * it writes must not depend on whether the account exists.
 */
export function countFailure (
  { failures, clock }: Pick<CountingContext, 'failures' | 'clock'>, bucket: Bucket, { failure, ...who }: Attempter
): NewEvent[] {
  return failure === undefined ? [] : failures.count({ ...who, type: failure }, targetOf(bucket), clock.now())
}

function targetOf ({ key, account }: Bucket): string {
  return account ?? key
}

/** Creates the error. It is the same for every account, whether or not the account exists. */
function refusal (wait: number): LatchkeyError {
  return new LatchkeyError('too_many_failures', { retryAfter: Math.ceil(wait / 1_000) })
}

/**
 * Limits the attempts on one bucket that are under way in this process. The store has the limit for all processes. This
 * one keeps a thousand simultaneous guesses from waiting for the only writer.
 */
function createGate () {
  const underWay = new Map<string, number>()
  return async function amongFew<T> (key: string, work: () => Promise<T>): Promise<T> {
    const count = underWay.get(key) ?? 0
    if (count >= AT_ONCE) throw refusal(1_000)
    underWay.set(key, count + 1)
    try {
      return await work()
    } finally {
      const left = (underWay.get(key) ?? 1) - 1
      if (left === 0) underWay.delete(key)
      else underWay.set(key, left)
    }
  }
}

/** Creates the function that counts attempts in the store. */
export function createCounting (context: CountingContext): Count {
  const { store, clock, ledger, failures } = context
  const amongFew = createGate()

  /** Stores an attempt before its check, in a transaction of its own. Returns when it began. */
  async function reserve (bucket: Bucket): Promise<number> {
    // An attempt on a blocked bucket must not keep the only writer busy.
    const known = begin(await store.read(db => findAttempts(db, bucket.key, clock.now())), clock.now())
    if ('wait' in known) throw refusal(known.wait)
    const outcome = await ledger.write(async ({ trx, now }) => {
      const decision = begin(await findAttempts(trx, bucket.key, clock.now()), now)
      if ('wait' in decision) return decision
      await keepAttempts(trx, bucket, decision.attempts)
      return { begunAt: now }
    })
    if ('wait' in outcome) throw refusal(outcome.wait)
    return outcome.begunAt
  }

  async function forgive (bucket: Bucket, begunAt: number, { trx, now }: Parameters<Settle>[0]): Promise<void> {
    const before = await findAttempts(trx, bucket.key, clock.now())
    await keepAttempts(trx, bucket, settle(before, { begunAt, outcome: 'succeeded', now }))
  }

  /** Settles an attempt whose check threw. */
  async function giveUp (
    bucket: Bucket, who: Attempter, { begunAt, outcome }: { begunAt: number, outcome: Outcome }
  ): Promise<void> {
    // Counted outside the transaction, because the transaction may run more than once.
    const failed = outcome === 'failed' ? countFailure(context, bucket, who) : []
    let blocked: NewEvent[] | undefined
    await ledger.write(async ({ trx, now, record }) => {
      const before = await findAttempts(trx, bucket.key, clock.now())
      const attempts = settle(before, { begunAt, outcome, now })
      await keepAttempts(trx, bucket, attempts)
      const wasBlocked = before !== undefined && now < before.blockedUntil
      if (attempts !== undefined && now < attempts.blockedUntil && !wasBlocked) {
        const { failure, ...about } = who
        const details = { failures: attempts.failures }
        blocked ??= failures.count({ ...about, type: 'attempts_blocked', details }, targetOf(bucket), now)
      }
      await record(...failed, ...blocked ?? [])
    })
  }

  async function check<Checked> (
    bucket: Bucket, who: Attempter, { begunAt, look }: { begunAt: number, look: () => Promise<Checked> }
  ): Promise<Checked> {
    try {
      return await look()
    } catch (error) {
      // The failure must be counted before the response is sent.
      await giveUp(bucket, who, { begunAt, outcome: isFailure(error) ? 'failed' : 'void' })
      throw error
    }
  }

  return (bucket, who, steps) => amongFew(bucket.key, async () => {
    const begunAt = await reserve(bucket)
    const checked = await check(bucket, who, { begunAt, look: steps.check })
    const settleAlone = (): Promise<void> => ledger.write(write => forgive(bucket, begunAt, write))
    let isSettled = false
    const settleWith: Settle = async write => {
      await forgive(bucket, begunAt, write)
      isSettled = true
    }
    let result
    try {
      result = await steps.write(checked, settleWith)
    } catch (error) {
      // The transaction may not have been committed, but the check succeeded.
      await settleAlone()
      throw error
    }
    if (!isSettled) await settleAlone()
    return result
  })
}

import type { ErrorCode } from '../../schemas/errors.js'
import type { EventType } from '../../schemas/events.js'
import { LatchkeyError } from '../errors.js'
import type { NewEvent } from '../ledger/events.js'
import type { FailureCounts } from '../ledger/failure-counts.js'
import type { Ledger, LedgerWrite } from '../ledger/ledger.js'
import { exclusive } from '../store/lock.js'
import type { Lock } from '../store/lock.js'
import type { Store } from '../store/store.js'
import type { Clock } from '../time/clock.js'
import { AT_ONCE, begin, mayRunUnstored, settle } from './attempts.js'
import type { Outcome } from './attempts.js'
import type { Bucket } from './buckets.js'
import { findAttempts, keepAttempts } from './rows.js'

/** Who makes an attempt, and on which account, for the audit trail. */
export interface Attempter extends Omit<NewEvent, 'type' | 'details'> {
  /** The event to record for each failure. Default: none, because `check` records its own. */
  failure?: EventType
}

/** Forgives the failures of an attempt's bucket, as part of a transaction. */
export interface Settle {
  /** The transaction must take these locks. */
  readonly locks: readonly Lock[]
  within (write: Pick<LedgerWrite, 'trx' | 'now'>): Promise<void>
}

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
 * How many attempts on one bucket each process runs without storing them first, while failures cause no wait. A login
 * then needs one transaction. With eight processes, an attacker gains 24 guesses at once.
 */
const UNSTORED = 3

/**
 * Limits the attempts on one bucket that are under way in this process. The store has the limit for all processes. This
 * one keeps a thousand simultaneous guesses from waiting for each other's transactions.
 */
function createGate () {
  const underWay = new Map<string, number>()
  return async function amongFew<T> (key: string, work: (others: number) => Promise<T>): Promise<T> {
    const count = underWay.get(key) ?? 0
    if (count >= AT_ONCE) throw refusal(1_000)
    underWay.set(key, count + 1)
    try {
      return await work(count)
    } finally {
      const left = (underWay.get(key) ?? 1) - 1
      if (left === 0) underWay.delete(key)
      else underWay.set(key, left)
    }
  }
}

/** An attempt that has begun. */
interface Reserved {
  /** Milliseconds. */
  begunAt: number
  isStored: boolean
}

function locksOf ({ key }: Bucket): Lock[] {
  return [exclusive('bucket', key)]
}

/**
 * Waits until the attempt is settled, because a failure must be counted before the response is sent. If the store has
 * already failed the caller, it does not wait again.
 */
async function settleAfter (error: unknown, settling: Promise<void>): Promise<void> {
  const isStoreAway = error instanceof LatchkeyError && ['store_unavailable', 'overloaded'].includes(error.code)
  if (isStoreAway) settling.catch(() => {})
  else await settling
}

/** Creates the function that counts attempts in the store. */
export function createCounting (context: CountingContext): Count {
  const { store, clock, ledger, failures } = context
  const amongFew = createGate()

  /**
   * Begins an attempt before its check. If many are under way, or if failures cause a wait, stores it in a transaction
   * of its own.
   */
  async function reserve (bucket: Bucket, others: number): Promise<Reserved> {
    // An attempt on a blocked bucket must not begin a transaction.
    const before = await store.read(db => findAttempts(db, bucket.key))
    const known = begin(before, clock.now())
    if ('wait' in known) throw refusal(known.wait)
    if (others < UNSTORED && mayRunUnstored(known.attempts)) return { begunAt: clock.now(), isStored: false }
    const outcome = await ledger.write(locksOf(bucket), async ({ trx, now }) => {
      const decision = begin(await findAttempts(trx, bucket.key), now)
      if ('wait' in decision) return decision
      await keepAttempts(trx, bucket, decision.attempts)
      return { begunAt: now }
    })
    if ('wait' in outcome) throw refusal(outcome.wait)
    return { ...outcome, isStored: true }
  }

  async function forgive (
    bucket: Bucket, { begunAt }: Reserved, { trx, now }: Pick<LedgerWrite, 'trx' | 'now'>
  ): Promise<void> {
    const before = await findAttempts(trx, bucket.key)
    if (before === undefined) return
    await keepAttempts(trx, bucket, settle(before, { begunAt, outcome: 'succeeded', now }))
  }

  /** Settles an attempt whose check threw. */
  async function giveUp (
    bucket: Bucket, who: Attempter, { begunAt, isStored, outcome }: Reserved & { outcome: Outcome }
  ): Promise<void> {
    if (outcome === 'void' && !isStored) return
    // Counted outside the transaction, because the transaction may run more than once.
    const failed = outcome === 'failed' ? countFailure(context, bucket, who) : []
    let blocked: NewEvent[] | undefined
    await ledger.write(locksOf(bucket), async ({ trx, now, record }) => {
      const before = await findAttempts(trx, bucket.key)
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
    bucket: Bucket, who: Attempter, { look, ...reserved }: Reserved & { look: () => Promise<Checked> }
  ): Promise<Checked> {
    try {
      return await look()
    } catch (error) {
      await settleAfter(error, giveUp(bucket, who, { ...reserved, outcome: isFailure(error) ? 'failed' : 'void' }))
      throw error
    }
  }

  return (bucket, who, steps) => amongFew(bucket.key, async others => {
    const reserved = await reserve(bucket, others)
    const checked = await check(bucket, who, { ...reserved, look: steps.check })
    const settleAlone = (): Promise<void> => ledger.write(locksOf(bucket), write => forgive(bucket, reserved, write))
    let isSettled = false
    const settleWith: Settle = {
      locks: locksOf(bucket),
      async within (write) {
        await forgive(bucket, reserved, write)
        isSettled = true
      }
    }
    let result
    try {
      result = await steps.write(checked, settleWith)
    } catch (error) {
      // The transaction may not have been committed, but the check succeeded.
      await settleAfter(error, settleAlone())
      throw error
    }
    if (!isSettled) await settleAlone()
    return result
  })
}

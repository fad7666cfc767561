import { createHmac } from 'node:crypto'
import type { Selectable, Transaction } from 'kysely'
import { AT_ONCE, begin, expiryOf, isCredible, settle } from './attempts.js'
import type { Attempts, Outcome } from './attempts.js'
import type { Clock } from '../time/clock.js'
import { LatchkeyError } from '../errors.js'
import type { ErrorCode } from '../../schemas/errors.js'
import type { EventType } from '../../schemas/events.js'
import type { NewEvent } from '../ledger/events.js'
import { createFailureCounts } from '../ledger/failure-counts.js'
import { networkOf } from '../identity/network.js'
import type { Ledger } from '../ledger/ledger.js'
import { toText } from '../store/columns.js'
import type { AttemptsTable, Queryable, Tables } from '../store/tables.js'
import type { Store } from '../store/store.js'
import { keyOf } from '../identity/usernames.js'

/** What failures are counted on. Made by a `Throttle`. */
export interface Bucket {
  /** A MAC: people type passwords where the username belongs, and those must not be read in the store. */
  key: string
  /** The account or client whose failures these are, as a MAC too. Null if only time forgives them. */
  account: string | null
}

/** Where a session began: what makes the next attempt from there one of a known place. */
export interface Place {
  account: string
  network: string
}

/** Who tries, and at whose account, for the audit trail. */
interface Attempter extends Omit<NewEvent, 'type' | 'details'> {
  /** The event to record for each failure. Default: none, because `check` records its own. */
  failure?: EventType
}

/** Slows down the guessing of passwords and secrets, for each account, in the store: across restarts and processes. */
export interface Throttle {
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
   * Whether nothing is counted on this bucket. Whoever looks at a secret in no time may then do so without `attempt`, which writes
   * twice, and call it only where the secret is wrong.
   */
  isClean (bucket: Bucket): Promise<boolean>
  /**
   * The bucket of a login. Strangers share one; so that they cannot lock out the owner, a live session of this account, and each
   * network where a session of it began, have their own. Asks the same of the store whether or not there is such an account.
   * @param from.sessionId - the live session whose refresh token the request carries, of whatever account.
   */
  findLoginBucket (username: string, from: { address: string | undefined, sessionId: string | undefined }): Promise<Bucket>
  /**
   * The bucket of whoever changes the password in a session. It is not that of the logins which carry its refresh token: a thief of an
   * access token must not close that to the owner.
   */
  changeBucket (sessionId: string): Bucket
  /** The bucket of a machine client's secret, for each network: nobody locks a client out from elsewhere. */
  clientBucket (clientId: string, address: string | undefined): Bucket
  /**
   * Returns the bucket for a wrong secret, usually the one of `clientBucket`. Networks that fail after a thousand
   * others share one bucket. Otherwise a sender with many addresses could fill the store. A right secret never waits
   * for the shared bucket.
   * @param clientId - undefined if there is no such client. All invented ids count as one client.
   */
  findFailureBucket (clientId: string | undefined, address: string | undefined): Promise<Bucket>
  /** What a new session keeps of the login that it began with. */
  placeOf (username: string, address: string | undefined): Place
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

/** How many networks have a separate count of failures for one client. */
const MOST_NETWORKS = 1_000

/** The errors of a password that is wrong, or may be. */
const FAILURES: readonly ErrorCode[] = ['invalid_credentials', 'wrong_password', 'invalid_client']

function isFailure (error: unknown): boolean {
  return error instanceof LatchkeyError && FAILURES.includes(error.code)
}

/**
 * Creates the throttle over the store.
 * @param keys - for the MACs; the first one makes them, places are recognised by all.
 * @param isOn - where false nothing is counted or refused; places are kept all the same.
 */
export function createThrottle ({ store, clock, ledger, keys, isOn }: {
  store: Store
  clock: Clock
  ledger: Ledger
  keys: readonly [Buffer, ...Buffer[]]
  isOn: boolean
}): Throttle {
  function name (...parts: string[]): string {
    return mac(keys[0], parts)
  }

  function accountOf (username: string): string {
    return name('account', keyOf(username))
  }

  function accountsOf (username: string): string[] {
    return keys.map(key => mac(key, ['account', keyOf(username)]))
  }

  function clientBucket (clientId: string, address: string | undefined): Bucket {
    return { key: name('client', clientId, networkOf(address)), account: name('client', clientId) }
  }

  // Of this process. The rule is kept in the store; this keeps a thousand guesses at once from standing in line for the only writer.
  const underWay = new Map<string, number>()

  async function amongFew<T> (key: string, work: () => Promise<T>): Promise<T> {
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

  async function find (db: Queryable, key: string): Promise<Attempts | undefined> {
    const row = await db.selectFrom('attempts').selectAll().where('key', '=', key).executeTakeFirst()
    return row === undefined ? undefined : toAttempts(row, clock.now())
  }

  async function keep (trx: Transaction<Tables>, { key, account }: Bucket, attempts: Attempts): Promise<void> {
    const columns = {
      failures: attempts.failures,
      pending: attempts.pending.join(' '),
      last_attempt_at: attempts.lastAttemptAt,
      blocked_until: attempts.blockedUntil,
      expires_at: expiryOf(attempts)
    }
    await trx.insertInto('attempts').values({ key, account, ...columns })
      .onConflict(conflict => conflict.column('key').doUpdateSet(columns)).execute()
  }

  async function reserve (bucket: Bucket): Promise<number> {
    // Whoever hammers on a bucket that is blocked must not keep the only writer busy.
    const known = begin(await store.read(db => find(db, bucket.key)), clock.now())
    if ('wait' in known) throw refusal(known.wait)
    const outcome = await ledger.write(async ({ trx, now }) => {
      const decision = begin(await find(trx, bucket.key), now)
      if ('wait' in decision) return decision
      await keep(trx, bucket, decision.attempts)
      return { begunAt: now }
    })
    if ('wait' in outcome) throw refusal(outcome.wait)
    return outcome.begunAt
  }

  const failures = createFailureCounts()

  async function record (events: NewEvent[]): Promise<void> {
    if (events.length > 0) await ledger.write(({ record }) => record(...events))
  }

  /** By the bucket and not by the subject: what a failure writes must not depend on whether the account exists. */
  function targetOf ({ key, account }: Bucket): string {
    return account ?? key
  }

  function countFailure (bucket: Bucket, { failure, ...who }: Attempter): NewEvent[] {
    return failure === undefined ? [] : failures.count({ ...who, type: failure }, targetOf(bucket), clock.now())
  }

  async function end (bucket: Bucket, who: Attempter, begunAt: number, outcome: Outcome): Promise<void> {
    // Outside of the transaction, which may run more than once.
    const failed = outcome === 'failed' ? countFailure(bucket, who) : []
    let blocked: NewEvent[] | undefined
    await ledger.write(async ({ trx, now, record }) => {
      const before = await find(trx, bucket.key)
      const attempts = settle(before, { begunAt, outcome, now })
      if (attempts === undefined) await trx.deleteFrom('attempts').where('key', '=', bucket.key).execute()
      else await keep(trx, bucket, attempts)
      const wasBlocked = before !== undefined && now < before.blockedUntil
      if (attempts !== undefined && now < attempts.blockedUntil && !wasBlocked) {
        const { failure, ...about } = who
        const details = { failures: attempts.failures }
        blocked ??= failures.count({ ...about, type: 'attempts_blocked', details }, targetOf(bucket), now)
      }
      await record(...failed, ...blocked ?? [])
    })
  }

  async function count<T> (bucket: Bucket, who: Attempter, check: () => Promise<T>): Promise<T> {
    const begunAt = await reserve(bucket)
    let answer
    try {
      answer = await check()
    } catch (error) {
      // Counted before the answer leaves.
      await end(bucket, who, begunAt, isFailure(error) ? 'failed' : 'void')
      throw error
    }
    await end(bucket, who, begunAt, 'succeeded')
    return answer
  }

  return {
    async attempt (bucket, who, check) {
      if (isOn) return await amongFew(bucket.key, () => count(bucket, who, check))
      try {
        return await check()
      } catch (error) {
        if (isFailure(error)) await record(countFailure(bucket, who))
        throw error
      }
    },

    recordFailure: failure => record(failures.count(failure, failure.subject ?? '', clock.now())),

    recordCounts: (isEnding = false) => record(failures.collect(clock.now(), isEnding)),

    async isClean ({ key }) {
      return !isOn || await store.read(db => find(db, key)) === undefined
    },

    async findLoginBucket (username, { address, sessionId }) {
      const accounts = accountsOf(username)
      const account = accountOf(username)
      const network = networkOf(address)
      return await store.read(async db => {
        const sessions = db.selectFrom('sessions').select('id').where('account', 'in', accounts)
        if (sessionId !== undefined && await sessions.where('id', '=', sessionId).executeTakeFirst() !== undefined) {
          return { key: name('session', sessionId), account: null }
        }
        const isKnown = await sessions.where('network', '=', network).limit(1).executeTakeFirst() !== undefined
        return { key: isKnown ? name('place', account, network) : name('strangers', account), account }
      })
    },

    changeBucket: sessionId => ({ key: name('change', sessionId), account: null }),
    clientBucket,
    async findFailureBucket (clientId = '', address) {
      const own = clientBucket(clientId, address)
      return await store.read(async db => {
        if (await find(db, own.key) !== undefined) return own
        const full = await db.selectFrom('attempts').select('key').where('account', '=', own.account)
          .limit(1).offset(MOST_NETWORKS - 1).executeTakeFirst()
        return full === undefined ? own : { key: name('client elsewhere', clientId), account: null }
      })
    },
    placeOf: (username, address) => ({ account: accountOf(username), network: networkOf(address) }),

    async forgive (trx, username) {
      const { numDeletedRows } = await trx.deleteFrom('attempts').where('account', 'in', accountsOf(username))
        .executeTakeFirst()
      return numDeletedRows > 0n
    },

    async purge (limit) {
      const now = clock.now()
      const { numDeletedRows } = await store.transaction(trx => trx.deleteFrom('attempts')
        .where('key', 'in', trx.selectFrom('attempts').select('key').where('expires_at', '<=', now).orderBy('expires_at').limit(limit))
        .executeTakeFirst())
      return numDeletedRows === BigInt(limit)
    }
  }
}

function mac (key: Buffer, parts: readonly string[]): string {
  return createHmac('sha256', key).update(JSON.stringify(parts)).digest('base64url')
}

/** The same for every account, also for those that do not exist. */
function refusal (wait: number): LatchkeyError {
  return new LatchkeyError('too_many_failures', { retryAfter: Math.ceil(wait / 1_000) })
}

/**
 * Returns undefined if the row is damaged, because its owner must not be locked out for good. The next attempt writes
 * it again.
 */
function toAttempts (row: Selectable<AttemptsTable>, now: number): Attempts | undefined {
  const pending = toText(row.pending)
  const attempts = {
    failures: row.failures,
    pending: pending === '' ? [] : pending.split(' ').map(Number),
    lastAttemptAt: row.last_attempt_at,
    blockedUntil: row.blocked_until
  }
  return isCredible(attempts, now) ? attempts : undefined
}

import { setImmediate } from 'node:timers/promises'
import type { Transaction } from 'kysely'
import type { Actor, SecurityEvent } from '../../schemas/events.js'
import { keepEvents } from '../ledger/audit.js'
import type { Clock } from '../time/clock.js'
import { createEvent, HOST } from '../ledger/events.js'
import type { Events, NewEvent } from '../ledger/events.js'
import { createFollower } from '../store/change-follower.js'
import type { Follower } from '../store/change-follower.js'
import { lastVerifyOnlyExpiry } from './verify-only-expiry.js'
import { createRevocationIndex, RULE_RETENTION } from './rule-index.js'
import type { Revocable, Rule } from './rule-index.js'
import { isSoundRule, toRules } from './rule-rows.js'
import { isMoment, LAST_MOMENT } from '../store/columns.js'
import { raiseMeta, raiseTime, readTime } from '../store/meta.js'
import type { Store } from '../store/store.js'
import type { Tables } from '../store/tables.js'

/** How many rules are read from the store, or purged, in one step: one to two milliseconds' work, and larger ones load no faster. */
const STEP = 1_000

/** How many places of each kind a purge looks at in the index, up to half of them free: a millisecond's work. */
const SWEEP = 20_000

/**
 * Revokes as part of a transaction: `token` needs the token's own `exp`, and says whose it is (a session, or a client of which it
 * is the own token); the others outlive every token they could kill.
 */
export interface Revoke {
  token (tokenId: string, ownerId: string | null, expiresAt: number): Promise<void>
  sessions (sessionIds: readonly string[]): Promise<void>
  /**
   * Kills the access tokens that the user holds now.
   * @param before - milliseconds. Kills only the tokens issued before then. Default: all.
   * @returns the time before which the killed tokens were issued.
   */
  user (userId: string, before?: number): Promise<number>
  /** Kills all access tokens issued to the client so far. Returns the time before which they were issued. */
  client (clientId: string): Promise<number>
  /**
   * Makes what ended users hold until `time` (milliseconds): tokens that live so long are about to be believed. Of rules that were
   * purged already only the accounts that are disabled are known.
   */
  prolongUsers (time: number): Promise<void>
}

/** A write transaction that may revoke: see `Revocations.transaction`. */
export interface Write {
  trx: Transaction<Tables>
  revoke: Revoke
  /** Milliseconds. */
  now: number
  record: RecordEvent
}

/** Says, as part of a transaction, what happened in it: kept in the audit trail with it, and told after its commit. */
export type RecordEvent = (...events: NewEvent[]) => Promise<void>

/** The revocation rules: durable in the store, and in an index that answers without a query. */
export interface Revocations {
  /**
   * A write transaction that may revoke, and says what happened. Its promise resolves when that is durable and what it revoked is
   * in force here: only then may it be acknowledged. `work` may run more than once. The time that it is given is not before that of any other
   * such transaction on this store, whatever the clocks of the processes say: what it issues is later than every rule that was
   * written before, and a rule that it writes is later than everything that was issued before.
   */
  transaction<T> (work: (trx: Transaction<Tables>, revoke: Revoke, now: number, record: RecordEvent) => Promise<T>): Promise<T>
  /**
   * Keeps the time in the store, or does nothing where one at or after `until` is kept already (milliseconds; default: never so).
   * It is kept with every transaction too; call it before the process ends, and before telling somebody that something has expired.
   */
  keepTime (until?: number): Promise<void>
  /** Brings our clock up to the time that is kept in the store: another process's may be ahead. */
  readTime (): Promise<void>
  /** Brings the index, and whatever else follows the store, up to what other processes have committed: see `Follower.refresh`. */
  refresh (): Promise<void> | undefined
  /** The moment, in milliseconds of `performance.now()`, as of which the index is complete. */
  asOf (): number
  /** Calls `listener` after rules were put into the index, whoever wrote them: those of a commit together. It must not throw. */
  onRules (listener: () => void): void
  /** Whether the index has a rule that kills this token. Call `refresh` first. */
  isRevoked (token: Revocable): boolean
  /** See `RevocationIndex.additions`. Call `refresh` first. */
  additions (): number
  /** Ends one access token. Resolves when it is dead here and durably so. `expiresAt` is its `exp`, in milliseconds. */
  revokeToken (tokenId: string, expiresAt: number, by?: Actor): Promise<void>
  /** Whether there is a rule for this very token, durable and in force here. */
  isTokenRevoked (tokenId: string): boolean
  /** Ends all access tokens that this user holds now; sessions go on, and give new ones. */
  revokeUser (userId: string, by?: Actor): Promise<void>
  /** Deletes up to one step of rules that can no longer matter, in the store and in the index; tells whether there may be more. */
  purge (): Promise<boolean>
  /** The step in the index alone: where another node purges the store. */
  sweep (): void
  /** Live rules in the index. */
  readonly size: number
}

/**
 * Loads the rules.
 * @param accessTokenTtl - milliseconds; the longest lifetime ever configured for this store is what rules are kept for.
 * @param log - gets one warning for each damaged rule.
 * @param follower - of this store, where something else follows it too: there must be one only. Default: one of its
 * own.
 */
export async function openRevocations ({
  store, clock, events, accessTokenTtl, log, follower = createFollower(store)
}: {
  store: Store
  clock: Clock
  events: Events
  accessTokenTtl: number
  log?: { warn (details: object, message: string): void }
  follower?: Follower
}): Promise<Revocations> {
  const index = createRevocationIndex()
  await store.transaction(trx => raiseMeta(trx, 'access_token_ttl', accessTokenTtl))

  const listeners: Array<() => void> = []
  // Kept over a load that fails in the middle: the next one reads on behind it.
  let untold = false
  function tell (): void {
    untold = false
    for (const listener of listeners) listener()
  }

  let kept = 0
  async function keepUp (): Promise<void> {
    kept = Math.max(kept, await store.read(db => readTime(db, clock.now())))
    clock.advanceTo(kept)
  }

  const reported = new Set<number>()
  function reportDamage (seq: number): void {
    if (reported.has(seq)) return
    reported.add(seq)
    log?.warn(
      { seq },
      'a revocation rule in the database is damaged, so everything that its value names is refused: ' +
        'delete the row if that is wrong'
    )
  }

  let lastSeq = 0
  const firstEpoch = store.epoch()
  let epoch = firstEpoch

  /** What is in the index is in the store, but where another server has taken over that may lack it: there it is to be written again. */
  function isDurable (tokenId: string): boolean {
    return store.epoch() === firstEpoch && index.hasToken(tokenId)
  }

  async function load (): Promise<void> {
    // Before the reading: where it changes in the middle the next load does it again. From the start: how many numbers were given again
    // nobody knows, and what is in the index already stays.
    const now = store.epoch()
    if (now !== epoch) lastSeq = 0
    epoch = now
    for (;;) {
      const rows = await store.read(db => db.selectFrom('rules').select(['seq', 'kind', 'value', 'issued_before', 'expires_at']).where('seq', '>', lastSeq).orderBy('seq').limit(STEP).execute())
      for (const row of rows) {
        if (!isSoundRule(row)) reportDamage(row.seq)
        for (const rule of toRules(row)) index.add(rule)
        lastSeq = row.seq
        untold = true
      }
      if (rows.length < STEP) break
      // A store that answers at once leaves nothing to wait for: without this, requests would stand until all is read.
      await setImmediate()
    }
    // That process's clock may be ahead of ours. What it issues must not look to us as if it came from the future, and what it
    // forgot as expired must be so for us: read after the rules, so that none was purged by a time that we do not know.
    await keepUp()
    if (untold) tell()
  }

  async function transaction<T> (work: (trx: Transaction<Tables>, revoke: Revoke, now: number, record: RecordEvent) => Promise<T>): Promise<T> {
    let written: Rule[] = []
    let happened: SecurityEvent[] = []
    let now = 0
    const result = await store.transaction(async trx => {
      written = []
      happened = []
      now = await raiseTime(trx, clock.now(), clock.now())
      clock.advanceTo(now)
      return work(trx, createRevoke(trx, written, now), now, async function record (...events) {
        const created = events.map(event => createEvent(event, now))
        await keepEvents(trx, created)
        happened.push(...created)
      })
    })
    kept = Math.max(kept, now)
    try {
      for (const rule of written) index.add(rule)
    } catch (error) {
      // No memory for it: it is durable, and not in force here before it was read again.
      follower.notice()
      throw error
    }
    if (written.length > 0) tell()
    for (const event of happened) events.emit(event)
    return result
  }

  function createRevoke (trx: Transaction<Tables>, written: Rule[], now: number): Revoke {
    // Read anew each time: another process may have been given a longer lifetime in the meantime.
    async function lastExpiry (issuedBefore: number): Promise<number> {
      return issuedBefore + await raiseMeta(trx, 'access_token_ttl', accessTokenTtl)
    }
    async function write (kind: Rule['kind'], values: readonly string[], issuedBefore: number | null, expiresAt: number, sessionId: string | null = null): Promise<void> {
      for (let start = 0; start < values.length; start += STEP) {
        const rules = values.slice(start, start + STEP).map(value => ({ kind, value, issuedBefore, expiresAt }))
        await trx.insertInto('rules').values(rules.map(rule => ({
          kind, value: rule.value, session_id: sessionId, issued_before: issuedBefore, expires_at: expiresAt
        }))).execute()
        written.push(...rules)
      }
    }
    /** Advances the clock, so that a token issued from now on is later than the rule, even within this millisecond. */
    async function passTime (): Promise<number> {
      const time = await raiseTime(trx, now + 1, clock.now())
      clock.advanceTo(time)
      return time
    }
    async function writeBefore (kind: 'user' | 'client', value: string, issuedBefore: number): Promise<number> {
      // The tokens of an older system live longer than ours.
      const expiresAt = Math.max(await lastExpiry(issuedBefore), kind === 'user' ? await lastVerifyOnlyExpiry(trx) : 0)
      await write(kind, [value], issuedBefore, expiresAt)
      return issuedBefore
    }
    return {
      token: (tokenId, ownerId, expiresAt) => write('token', [tokenId], null, expiresAt, ownerId),
      async sessions (sessionIds) {
        // No token can name a session whose id is damaged.
        const ids = sessionIds.filter(id => typeof id === 'string')
        if (ids.length > 0) await write('session', ids, null, await lastExpiry(now))
      },
      user: async (userId, before) => await writeBefore('user', userId, before ?? await passTime()),
      client: async clientId => await writeBefore('client', clientId, await passTime()),
      async prolongUsers (time) {
        // New rules, not longer ones: other processes read what was written since they last looked.
        const ended = await trx
          .selectFrom('rules')
          .select(eb => ['value', eb.fn.max('issued_before').as('issuedBefore')])
          .where('kind', '=', 'user')
          .where('issued_before', '<=', LAST_MOMENT)
          .groupBy('value')
          .having(eb => eb.fn.max('expires_at'), '<', time)
          .execute()
        for (const { value, issuedBefore } of ended) {
          if (isMoment(issuedBefore)) await write('user', [value], issuedBefore, time)
        }
        const disabled = await trx.selectFrom('users').select('id').where('disabled_at', 'is not', null).execute()
        await write('user', disabled.map(({ id }) => id), now, time)
      }
    }
  }

  function sweep (): void {
    index.sweep(clock.now() - RULE_RETENTION, SWEEP)
  }

  await load()
  follower.follow(load)

  return {
    transaction,
    readTime: keepUp,
    refresh: follower.refresh,
    asOf: follower.asOf,
    onRules (listener) {
      listeners.push(listener)
    },
    isRevoked: index.isRevoked,
    additions: index.additions,
    async revokeToken (tokenId, expiresAt, by = HOST) {
      // Revoking one token a million times must not write a million rules.
      if (isDurable(tokenId)) return
      await transaction(async (_trx, revoke, _now, record) => {
        await revoke.token(tokenId, null, expiresAt)
        await record({ type: 'token_revoked', actor: by, details: { tokenId } })
      })
    },
    isTokenRevoked: isDurable,
    revokeUser: (userId, by = HOST) => transaction(async (_trx, revoke, _now, record) => {
      await revoke.user(userId)
      await record({ type: 'tokens_revoked', actor: by, subject: userId })
    }),
    async keepTime (until = Infinity) {
      if (kept < until) await transaction(async () => {})
    },
    sweep,
    async purge () {
      sweep()
      // The transaction keeps the time: a clock that steps back after a restart must not bring back what a forgotten rule killed.
      const { numDeletedRows } = await transaction(async (trx, _revoke, now) => {
        return await trx.deleteFrom('rules')
          .where('seq', 'in', trx.selectFrom('rules').select('seq').where('expires_at', '<', now - RULE_RETENTION).orderBy('expires_at').limit(STEP))
          .executeTakeFirst()
      })
      return numDeletedRows === BigInt(STEP)
    },
    get size () {
      return index.size
    }
  }
}

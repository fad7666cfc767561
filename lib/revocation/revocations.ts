import { setImmediate } from 'node:timers/promises'
import type { Actor } from '../../schemas/events.js'
import type { UserId } from '../../schemas/user-ids.js'
import { textOf } from '../identity/user-ids.js'
import { HOST } from '../ledger/events.js'
import type { Ledger } from '../ledger/ledger.js'
import type { Follower } from '../store/change-follower.js'
import { ruling } from '../store/lock.js'
import type { Lock } from '../store/lock.js'
import { raiseHorizon, raiseMeta, readHorizon } from '../store/meta.js'
import type { Store } from '../store/store.js'
import { createRevocationIndex, RULE_RETENTION } from './rule-index.js'
import type { Revocable, RevocationIndex, Rule } from './rule-index.js'
import { isSoundRule, toRules } from './rule-rows.js'
import type { RuleRow } from './rule-rows.js'
import { createRevoke, insertRules } from './writing.js'
import type { PendingRule, Write } from './writing.js'

/**
 * How many rules are read from the store, or purged, in one step. That takes one to two milliseconds, and larger steps
 * load no faster.
 */
const STEP = 1_000

/** How many places of each kind a purge looks at in the index, up to half of them free. That takes a millisecond. */
const SWEEP = 20_000

/** The revocation rules: durable in the store, and in an index that answers without a query. */
export interface Revocations {
  /**
   * Runs a write transaction that may revoke: see `Ledger.write`. When its promise resolves, what it revoked is also in
   * force here. With the locks of the same user or client, a token that it issues is later than every rule written
   * before it, and a rule that it writes is later than every token issued before it.
   */
  write<T> (locks: readonly Lock[], work: (write: Write) => Promise<T>): Promise<T>
  /**
   * Registers a listener for rules that were added to the index, no matter which process wrote them. The rules of one
   * commit cause one call, or a few if there are many. The listener must not throw.
   */
  onRules (listener: (rules: readonly Rule[]) => void): void
  /** Whether the index has a rule that kills this token. Call `Follower.refresh` first. */
  isRevoked (token: Revocable): boolean
  /** Whether this session ended because two parties used the same refresh token. */
  isStolen (sessionId: string): boolean
  /** See `RevocationIndex.additions`. Call `Follower.refresh` first. */
  additions (): number
  /**
   * Returns the time, in milliseconds, from which tokens of this user and client are killed neither by the rules for
   * all their tokens, nor by a rule for a role, nor by the horizon, or 0. It can be ahead of a clock that was set back.
   */
  clearFrom (holder: Pick<Revocable, 'userId' | 'clientId'>): number
  /** Every token that was issued before this time (milliseconds) and expires by then is dead: see `readHorizon`. */
  horizon (): number
  /** Whether there is a rule for exactly this token, durable and in force here. */
  isTokenRevoked (tokenId: string): boolean
  /** Ends all access tokens that this user holds now. The sessions go on, and get new ones when they refresh. */
  revokeUser (userId: UserId, by?: Actor): Promise<void>
  /**
   * Deletes up to one step of rules that can no longer matter, in the store and in the index. Returns whether there may
   * be more.
   * @param now - the time, if it is steady: see `steady-time.ts`.
   */
  purge (now: number): Promise<boolean>
  /** Does the step in the index alone, up to the horizon in the store. For a node that does not purge the store. */
  sweep (): Promise<void>
  /** Live rules in the index. */
  readonly size: number
}

/** What the rules are read from and written through. */
interface Sources {
  store: Store
  ledger: Ledger
  /** The only follower of this store. */
  follower: Follower
}

/**
 * Loads the rules, and follows what other processes write.
 * @param accessTokenTtl - milliseconds. Rules are kept for the longest lifetime ever configured for this store.
 * @param log - gets one warning for each damaged rule.
 */
export async function openRevocations ({ accessTokenTtl, log, ...sources }: Sources & {
  accessTokenTtl: number
  log?: Log
}): Promise<Revocations> {
  const { store, ledger, follower } = sources
  const index = createRevocationIndex()
  await store.transaction(trx => raiseMeta(trx, 'access_token_ttl', accessTokenTtl))
  const firstEpoch = store.epoch()

  const listeners: Array<(rules: readonly Rule[]) => void> = []
  function tell (rules: readonly Rule[]): void {
    if (rules.length === 0) return
    for (const listener of listeners) listener(rules)
  }

  /**
   * A rule in the index is also in the store. But if another server has taken over, it may lack the rule, which must
   * then be written again.
   */
  function isDurable (tokenId: string): boolean {
    return store.epoch() === firstEpoch && index.hasToken(tokenId)
  }

  let horizon = 0
  async function write<T> (locks: readonly Lock[], work: (write: Write) => Promise<T>): Promise<T> {
    let written: PendingRule[] = []

    function putInForce (): void {
      try {
        for (const rule of written) index.add(rule)
      } catch (error) {
        // Out of memory: the rule is durable, but it is in force here only after it was read again.
        follower.notice()
        throw error
      }
      tell(written)
    }

    return await ledger.write(locks, async base => {
      written = []
      const result = await work({ ...base, revoke: createRevoke(base, written, { accessTokenTtl, horizon }) })
      await insertRules(base.trx, written)
      return result
    }, putInForce)
  }

  async function readOn (): Promise<void> {
    horizon = Math.max(horizon, await store.read(db => readHorizon(db, store.now())))
  }

  const load = createLoad({ ...sources, index, tell, log, readOn })
  await load()
  follower.follow(load)

  return {
    write,
    onRules (listener) {
      listeners.push(listener)
    },
    isRevoked: index.isRevoked,
    isStolen: index.isStolen,
    additions: index.additions,
    isTokenRevoked: isDurable,
    clearFrom: holder => Math.max(index.clearFrom(holder), horizon),
    horizon: () => horizon,
    async revokeUser (user, by = HOST) {
      const userId = textOf(user)
      await write(ruling(userId), async ({ revoke, record }) => {
        await revoke.user(userId)
        await record({ type: 'tokens_revoked', actor: by, subject: userId })
      })
    },
    async sweep () {
      await readOn()
      index.sweep(horizon, SWEEP)
    },
    async purge (now) {
      // A clock that is set back must not bring back tokens whose rule was purged, so the horizon is kept first.
      horizon = await store.transaction(trx => raiseHorizon(trx, now - RULE_RETENTION, now))
      index.sweep(horizon, SWEEP)
      const { numDeletedRows } = await store.transaction(async trx => {
        const over = trx.selectFrom('latchkey_rules').select('seq')
          .where('expires_at', '<', now - RULE_RETENTION).orderBy('expires_at').limit(STEP)
        return await trx.deleteFrom('latchkey_rules').where('seq', 'in', over).executeTakeFirst()
      })
      return numDeletedRows === BigInt(STEP)
    },
    get size () {
      return index.size
    }
  }
}

interface Log {
  warn (details: object, message: string): void
}

/** Makes the function that reads into the index the rules written since it last ran. */
function createLoad ({ store, index, tell, log, readOn }: Pick<Sources, 'store'> & {
  index: RevocationIndex
  tell: (rules: readonly Rule[]) => void
  log: Log | undefined
  /** Reads the horizon. */
  readOn: () => Promise<void>
}): () => Promise<void> {
  const reported = new Set<number>()
  let lastSeq = 0
  let epoch = store.epoch()
  // Survives a load that fails midway, because the next one reads on behind it.
  let untold: Rule[] = []

  function reportDamage (seq: number): void {
    if (reported.has(seq)) return
    reported.add(seq)
    log?.warn(
      { seq },
      'a revocation rule in the database is damaged, so everything that its value names is refused: ' +
        'delete the row if that is wrong'
    )
  }

  return async function load () {
    // Before the reading: if the epoch changes midway, the next load reads again. It reads from the start, because the
    // new server may have given any number to another rule. Rules that are already in the index stay.
    const now = store.epoch()
    if (now !== epoch) lastSeq = 0
    epoch = now
    for (;;) {
      const rows = await readRules(store, lastSeq)
      for (const row of rows) {
        if (!isSoundRule(row)) reportDamage(row.seq)
        const rules = toRules(row)
        for (const rule of rules) index.add(rule)
        lastSeq = row.seq
        untold.push(...rules)
      }
      const added = untold
      untold = []
      tell(added)
      if (rows.length < STEP) break
      // A store that answers at once never waits, so without this, requests would stand still until all is read.
      await setImmediate()
    }
    // Read after the rules, so that it covers every rule that was purged before they were read.
    await readOn()
  }
}

async function readRules (store: Store, after: number): Promise<RuleRow[]> {
  return await store.read(db =>
    db
      .selectFrom('latchkey_rules')
      .select(['seq', 'kind', 'value', 'issued_before', 'reason', 'expires_at'])
      .where('seq', '>', after)
      .orderBy('seq')
      .limit(STEP)
      .execute()
  )
}

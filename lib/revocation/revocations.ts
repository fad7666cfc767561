import { setImmediate } from 'node:timers/promises'
import type { Actor } from '../../schemas/events.js'
import type { UserId } from '../../schemas/user-ids.js'
import { textOf } from '../identity/user-ids.js'
import { HOST } from '../ledger/events.js'
import type { Ledger } from '../ledger/ledger.js'
import type { Follower } from '../store/change-follower.js'
import { raiseMeta } from '../store/meta.js'
import type { Store } from '../store/store.js'
import type { Clock } from '../time/clock.js'
import { createRevocationIndex, RULE_RETENTION } from './rule-index.js'
import type { Revocable, RevocationIndex, Rule } from './rule-index.js'
import { isSoundRule, toRules } from './rule-rows.js'
import type { RuleRow } from './rule-rows.js'
import { createRevoke } from './writing.js'
import type { Write } from './writing.js'

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
   * force here. A token that it issues is later than every rule written before it, and a rule that it writes is later
   * than every token issued before it.
   */
  write<T> (work: (write: Write) => Promise<T>): Promise<T>
  /**
   * Registers what to call after rules were put into the index, no matter which process wrote them. The rules of one
   * commit cause one call. The listener must not throw.
   */
  onRules (listener: () => void): void
  /** Whether the index has a rule that kills this token. Call `Follower.refresh` first. */
  isRevoked (token: Revocable): boolean
  /** See `RevocationIndex.additions`. Call `Follower.refresh` first. */
  additions (): number
  /** Whether there is a rule for exactly this token, durable and in force here. */
  isTokenRevoked (tokenId: string): boolean
  /** Ends all access tokens that this user holds now. The sessions go on, and get new ones when they refresh. */
  revokeUser (userId: UserId, by?: Actor): Promise<void>
  /**
   * Deletes up to one step of rules that can no longer matter, in the store and in the index. Returns whether there may
   * be more.
   */
  purge (): Promise<boolean>
  /** Does the step in the index alone, for a node that does not purge the store. */
  sweep (): void
  /** Live rules in the index. */
  readonly size: number
}

/** What the rules are read from and written through. */
interface Sources {
  store: Store
  clock: Clock
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
  const { store, clock, ledger, follower } = sources
  const index = createRevocationIndex()
  await store.transaction(trx => raiseMeta(trx, 'access_token_ttl', accessTokenTtl))
  const firstEpoch = store.epoch()

  const listeners: Array<() => void> = []
  function tell (): void {
    for (const listener of listeners) listener()
  }

  /**
   * A rule in the index is also in the store. But if another server has taken over, it may lack the rule, which must
   * then be written again.
   */
  function isDurable (tokenId: string): boolean {
    return store.epoch() === firstEpoch && index.hasToken(tokenId)
  }

  async function write<T> (work: (write: Write) => Promise<T>): Promise<T> {
    let written: Rule[] = []

    function putInForce (): void {
      try {
        for (const rule of written) index.add(rule)
      } catch (error) {
        // Out of memory: the rule is durable, but it is in force here only after it was read again.
        follower.notice()
        throw error
      }
      if (written.length > 0) tell()
    }

    return await ledger.write(async base => {
      written = []
      return await work({ ...base, revoke: createRevoke(base, written, { clock, accessTokenTtl }) })
    }, putInForce)
  }

  function sweep (): void {
    index.sweep(clock.now() - RULE_RETENTION, SWEEP)
  }

  const load = createLoad({ ...sources, index, tell, log })
  await load()
  follower.follow(load)

  return {
    write,
    onRules (listener) {
      listeners.push(listener)
    },
    isRevoked: index.isRevoked,
    additions: index.additions,
    isTokenRevoked: isDurable,
    revokeUser: (user, by = HOST) => write(async ({ revoke, record }) => {
      const userId = textOf(user)
      await revoke.user(userId)
      await record({ type: 'tokens_revoked', actor: by, subject: userId })
    }),
    sweep,
    async purge () {
      sweep()
      // The write keeps the time. Otherwise a clock that steps back after a restart would bring back tokens whose rule
      // was purged.
      const { numDeletedRows } = await ledger.write(async ({ trx, now }) => {
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
function createLoad ({ store, ledger, index, tell, log }: Pick<Sources, 'store' | 'ledger'> & {
  index: RevocationIndex
  tell: () => void
  log: Log | undefined
}): () => Promise<void> {
  const reported = new Set<number>()
  let lastSeq = 0
  let epoch = store.epoch()
  // Survives a load that fails midway, because the next one reads on behind it.
  let isUntold = false

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
        for (const rule of toRules(row)) index.add(rule)
        lastSeq = row.seq
        isUntold = true
      }
      if (rows.length < STEP) break
      // A store that answers at once never waits, so without this, requests would stand still until all is read.
      await setImmediate()
    }
    // The clock of the process that wrote them may be ahead of ours. The tokens that it issues must not look to us as
    // if they came from the future, and a rule that it purged as expired must be expired for us too. Read after the
    // rules, so that none was purged by a time that we do not know.
    await ledger.readTime()
    if (!isUntold) return
    isUntold = false
    tell()
  }
}

async function readRules (store: Store, after: number): Promise<RuleRow[]> {
  return await store.read(db =>
    db
      .selectFrom('latchkey_rules')
      .select(['seq', 'kind', 'value', 'issued_before', 'expires_at'])
      .where('seq', '>', after)
      .orderBy('seq')
      .limit(STEP)
      .execute()
  )
}

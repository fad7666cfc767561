import type { Transaction } from 'kysely'
import type { LedgerWrite } from '../ledger/ledger.js'
import { isMoment, LAST_MOMENT } from '../store/columns.js'
import { raiseMeta, raiseTime } from '../store/meta.js'
import type { Tables } from '../store/tables.js'
import type { Clock } from '../time/clock.js'
import type { Rule } from './rule-index.js'
import { lastVerifyOnlyExpiry } from './verify-only-expiry.js'

/** How many rules one statement inserts. */
const STEP = 1_000

/**
 * Revokes as part of a transaction. `token` needs the token's own `exp` and its owner: a session, or the client of a
 * client's own token. The other rules outlive every token that they could kill.
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
   * Keeps ended users ended until `time` (milliseconds), because tokens with such a long lifetime are about to be
   * accepted. If a user's rule has already been purged, only a disabled account is still known.
   */
  prolongUsers (time: number): Promise<void>
}

/** A write transaction that may revoke. */
export interface Write extends LedgerWrite {
  revoke: Revoke
}

/** The lifetime and the clock that rules are written with. */
export interface RuleLifetimes {
  clock: Clock
  /** Milliseconds. */
  accessTokenTtl: number
}

/** Makes the `revoke` of one transaction. It adds each rule that it writes to `written`. */
export function createRevoke ({ trx, now }: LedgerWrite, written: Rule[], times: RuleLifetimes): Revoke {
  const { clock } = times

  async function write (
    rule: Pick<Rule, 'kind' | 'issuedBefore' | 'expiresAt'>,
    values: readonly string[],
    ownerId: string | null = null
  ): Promise<void> {
    for (let start = 0; start < values.length; start += STEP) {
      const rules = values.slice(start, start + STEP).map(value => ({ ...rule, value }))
      await trx.insertInto('latchkey_rules').values(rules.map(({ kind, value, issuedBefore, expiresAt }) => ({
        kind, value, session_id: ownerId, issued_before: issuedBefore, expires_at: expiresAt
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
    const expiresAt = Math.max(
      await lastExpiry(trx, issuedBefore, times),
      kind === 'user' ? await lastVerifyOnlyExpiry(trx) : 0
    )
    await write({ kind, issuedBefore, expiresAt }, [value])
    return issuedBefore
  }

  return {
    token: (tokenId, ownerId, expiresAt) => write({ kind: 'token', issuedBefore: null, expiresAt }, [tokenId], ownerId),
    async sessions (sessionIds) {
      // No token can name a session whose id is damaged.
      const ids = sessionIds.filter(id => typeof id === 'string')
      if (ids.length === 0) return
      await write({ kind: 'session', issuedBefore: null, expiresAt: await lastExpiry(trx, now, times) }, ids)
    },
    user: async (userId, before) => await writeBefore('user', userId, before ?? await passTime()),
    client: async clientId => await writeBefore('client', clientId, await passTime()),
    async prolongUsers (time) {
      // New rules instead of longer ones: other processes read only the rules written since they last looked.
      for (const { value, issuedBefore } of await findEndedUsers(trx, time)) {
        if (isMoment(issuedBefore)) await write({ kind: 'user', issuedBefore, expiresAt: time }, [value])
      }
      const disabled = await trx.selectFrom('latchkey_users').select('id').where('disabled_at', 'is not', null)
        .execute()
      await write({ kind: 'user', issuedBefore: now, expiresAt: time }, disabled.map(({ id }) => id))
    }
  }
}

/**
 * Returns when the last access token issued before `issuedBefore` expires. It reads the lifetime each time, because
 * another process may be configured with a longer one.
 */
async function lastExpiry (
  trx: Transaction<Tables>,
  issuedBefore: number,
  { accessTokenTtl }: RuleLifetimes
): Promise<number> {
  return issuedBefore + await raiseMeta(trx, 'access_token_ttl', accessTokenTtl)
}

/** Returns the users whose rules all expire before `time`, and the latest moment before which their tokens are dead. */
async function findEndedUsers (trx: Transaction<Tables>, time: number) {
  return await trx
    .selectFrom('latchkey_rules')
    .select(eb => ['value', eb.fn.max('issued_before').as('issuedBefore')])
    .where('kind', '=', 'user')
    .where('issued_before', '<=', LAST_MOMENT)
    .groupBy('value')
    .having(eb => eb.fn.max('expires_at'), '<', time)
    .execute()
}

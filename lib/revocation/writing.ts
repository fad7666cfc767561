import type { Transaction } from 'kysely'
import type { LedgerWrite } from '../ledger/ledger.js'
import { isMoment, LAST_MOMENT, toMoment } from '../store/columns.js'
import { readMeta } from '../store/meta.js'
import type { Tables } from '../store/tables.js'
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
  /** @param isStolen - see `Rule.isStolen`. Default: false. */
  sessions (sessionIds: readonly string[], isStolen?: boolean): Promise<void>
  /**
   * Kills the access tokens that the user holds now.
   * @param before - milliseconds. Kills only the tokens issued before then. Default: all.
   * @returns the time before which the killed tokens were issued.
   */
  user (userId: string, before?: number): Promise<number>
  /** Kills all access tokens issued to the client so far. Returns the time before which they were issued. */
  client (clientId: string): Promise<number>
  /** Kills all access tokens issued so far that name the role. */
  role (name: string): Promise<void>
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

/** A rule that the transaction will insert. `ownerId`: see `RulesTable.session_id`. */
export interface PendingRule extends Rule {
  ownerId: string | null
}

interface RuleTimes {
  accessTokenTtl: number
  horizon: number
}

/**
 * Makes the `revoke` of one transaction. It only collects the rules: see `insertRules`.
 * @param times.accessTokenTtl - milliseconds.
 * @param times.horizon - see `Revocations.horizon`. Rules that expire before it would be removed from every index.
 */
export function createRevoke (
  { trx, now, pass }: LedgerWrite, pending: PendingRule[], { accessTokenTtl, horizon }: RuleTimes
): Revoke {
  function write (
    rule: Pick<Rule, 'kind' | 'issuedBefore' | 'expiresAt' | 'isStolen'>,
    values: readonly string[],
    ownerId: string | null = null
  ): void {
    const expiresAt = Math.max(rule.expiresAt, horizon)
    for (const value of values) pending.push({ ...rule, expiresAt, value, ownerId })
  }

  /** A token issued from now on is later than the rule, even within this millisecond. */
  function nextMoment (): number {
    pass(now + 1)
    return now + 1
  }

  async function writeBefore (kind: 'user' | 'client' | 'role', value: string, issuedBefore: number): Promise<number> {
    // The tokens of an older system live longer than ours. They name no client and no role of ours.
    const expiresAt = Math.max(
      await lastExpiry(trx, issuedBefore, accessTokenTtl),
      kind === 'user' ? await lastVerifyOnlyExpiry(trx) : 0
    )
    write({ kind, issuedBefore, expiresAt }, [value])
    return issuedBefore
  }

  async function writeUser (userId: string, before?: number): Promise<number> {
    // If the clock was set back, some tokens seem to come from the future.
    return await writeBefore('user', userId, before ?? Math.max(nextMoment(), await lastUseOf(trx, userId) + 1))
  }

  return {
    async token (tokenId, ownerId, expiresAt) {
      write({ kind: 'token', issuedBefore: null, expiresAt }, [tokenId], ownerId)
    },
    async sessions (sessionIds, isStolen) {
      // No token can name a session whose id is damaged.
      const ids = sessionIds.filter(id => typeof id === 'string')
      if (ids.length === 0) return
      // If the clock was set back, or is behind that of another process, their last tokens are from the future.
      const last = Math.max(now, await lastUseOfSessions(trx, ids))
      const expiresAt = await lastExpiry(trx, last, accessTokenTtl)
      write({ kind: 'session', issuedBefore: null, expiresAt, isStolen }, ids)
    },
    user: writeUser,
    client: async clientId => await writeBefore('client', clientId, nextMoment()),
    async role (name) {
      await writeBefore('role', name, nextMoment())
      // If the clock was set back, some tokens seem to come from the future.
      for (const userId of await holdersFromFuture(trx, now)) await writeUser(userId)
    },
    async prolongUsers (time) {
      // New rules instead of longer ones: other processes read only the rules written since they last looked.
      for (const { value, issuedBefore } of await findEndedUsers(trx, time)) {
        if (isMoment(issuedBefore)) write({ kind: 'user', issuedBefore, expiresAt: time }, [value])
      }
      const disabled = await trx.selectFrom('latchkey_users').select('id').where('disabled_at', 'is not', null)
        .execute()
      write({ kind: 'user', issuedBefore: now, expiresAt: time }, disabled.map(({ id }) => id))
    }
  }
}

/**
 * Inserts the rules of a transaction, as its last step. From here to the commit, no other transaction can insert rules
 * (see `announceChanges` of the engine), so it must not wait for anything.
 */
export async function insertRules (trx: Transaction<Tables>, rules: readonly PendingRule[]): Promise<void> {
  for (let start = 0; start < rules.length; start += STEP) {
    await trx.insertInto('latchkey_rules').values(rules.slice(start, start + STEP).map(rule => ({
      kind: rule.kind,
      value: rule.value,
      session_id: rule.ownerId,
      issued_before: rule.issuedBefore,
      reason: rule.isStolen === true ? 'stolen' : null,
      expires_at: rule.expiresAt
    }))).execute()
  }
}

/**
 * How many sessions are looked at for the time of the last token. A user has more only for a while: see `listSessions`.
 */
const MOST_SESSIONS = 1_000

/** Returns when the last token of a user's live sessions was issued, in milliseconds, or 0. */
async function lastUseOf (trx: Transaction<Tables>, userId: string): Promise<number> {
  const { last } = await trx.selectFrom(db => db.selectFrom('latchkey_sessions').select('last_used_at')
    .where('user_id', '=', userId).where('ended_at', 'is', null).where('last_used_at', '<=', LAST_MOMENT)
    .limit(MOST_SESSIONS).as('uses'))
    .select(eb => eb.fn.max('last_used_at').as('last')).executeTakeFirstOrThrow()
  return toMoment(last)
}

/**
 * Returns the users who may hold a role and have a token that was issued after `now`, according to their live sessions.
 * Only the host knows the roles of its own users.
 */
async function holdersFromFuture (trx: Transaction<Tables>, now: number): Promise<string[]> {
  const rows = await trx.selectFrom('latchkey_sessions').select('user_id').distinct()
    .leftJoin('latchkey_users', 'latchkey_users.id', 'latchkey_sessions.user_id')
    .where('ended_at', 'is', null).where('last_used_at', '>', now).where('last_used_at', '<=', LAST_MOMENT)
    .where(eb => eb.or([eb('roles', 'is', null), eb('roles', '!=', '')])).execute()
  return rows.map(row => row.user_id).filter(id => typeof id === 'string')
}

/** Returns when the last token of these sessions was issued, in milliseconds, or 0 if none of them has a row. */
async function lastUseOfSessions (trx: Transaction<Tables>, ids: readonly string[]): Promise<number> {
  const { last } = await trx.selectFrom('latchkey_sessions').select(eb => eb.fn.max('last_used_at').as('last'))
    .where('id', 'in', ids).where('last_used_at', '<=', LAST_MOMENT).executeTakeFirstOrThrow()
  return toMoment(last)
}

/**
 * Returns when the last access token issued before `issuedBefore` expires. It reads the lifetime each time, because
 * another process may be configured with a longer one.
 */
async function lastExpiry (
  trx: Transaction<Tables>, issuedBefore: number, accessTokenTtl: number
): Promise<number> {
  return issuedBefore + Math.max(accessTokenTtl, await readMeta(trx, 'access_token_ttl'))
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

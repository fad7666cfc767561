import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Selectable, Transaction } from 'kysely'
import type { Revocations } from './revocations.js'
import type { Write } from './writing.js'
import { isMoment, toMoment } from '../store/columns.js'
import type { Lock } from '../store/lock.js'
import { readHorizon, readMeta } from '../store/meta.js'
import type { SessionsTable, Tables } from '../store/tables.js'

/**
 * How many sessions one transaction ends. This takes one to two milliseconds, and the event loop serves nothing else
 * meanwhile.
 */
export const ENDING_STEP = 100

/** What the earlier transactions of an operation have done. */
export interface Progress {
  /** How many of the ended sessions were live. */
  live: number
  /** Milliseconds. A rule of this operation kills every access token issued before this time. */
  covered: number
}

/** The progress at the start of an operation. */
export const NOTHING_ENDED: Progress = Object.freeze({ live: 0, covered: 0 })

/** One transaction of an operation that may need several. */
export interface WriteStep extends Write {
  progress: Progress
}

/** The outcome of one transaction: the result of the operation, or the progress if there is more to end. */
export type Step<T> = { result: T } | { more: Progress }

/** A session that is being ended. */
export type Ending = Pick<Selectable<SessionsTable>, 'id' | 'last_used_at' | 'idle_expires_at' | 'expires_at'>

const COLUMNS = ['id', 'last_used_at', 'idle_expires_at', 'expires_at'] as const

/**
 * Runs an operation that ends any number of sessions, in as many transactions as it needs. The last transaction ends
 * the remaining sessions and does the rest of the operation. After a crash in between, the operation is not done and
 * the caller has no answer. A second call finishes it.
 */
export async function inSteps<T> (
  revocations: Revocations, locks: readonly Lock[], work: (write: WriteStep) => Promise<Step<T>>
): Promise<T> {
  for (let progress = NOTHING_ENDED; ;) {
    const current = progress
    const step = await revocations.write(locks, write => work({ ...write, progress: current }))
    if ('result' in step) return step.result
    progress = step.more
    // Requests that arrived during the step go first.
    await nextTurn()
  }
}

/** How many of these sessions can still be refreshed. */
export function countLive (sessions: readonly Ending[], now: number): number {
  return sessions.filter(session => now < session.expires_at && now < session.idle_expires_at).length
}

/** Ends these sessions and their refresh tokens. The caller must revoke their access tokens. */
export async function markEnded (
  trx: Transaction<Tables>, now: number, sessions: ReadonlyArray<Pick<Ending, 'id'>>
): Promise<void> {
  if (sessions.length === 0) return
  await trx.updateTable('latchkey_sessions').set({ ended_at: now })
    .where('id', 'in', sessions.map(({ id }) => id)).where('ended_at', 'is', null).execute()
}

/**
 * Ends one session with its tokens. Returns undefined if it had ended before, otherwise whether it was live.
 * @param isStolen - see `Rule.isStolen`. Default: false.
 */
export async function endSession (
  { trx, revoke, now }: Write,
  { userId, sessionId, isStolen = false }: { userId: string, sessionId: string, isStolen?: boolean }
): Promise<boolean | undefined> {
  const session = await trx.selectFrom('latchkey_sessions').select(COLUMNS)
    .where('id', '=', sessionId).where('user_id', '=', userId).where('ended_at', 'is', null).executeTakeFirst()
  if (session === undefined) return undefined
  await markEnded(trx, now, [session])
  if (isStolen) {
    await trx.updateTable('latchkey_sessions').set({ end_reason: 'stolen' }).where('id', '=', session.id).execute()
  }
  await revoke.sessions([session.id], isStolen)
  return countLive([session], now) === 1
}

/**
 * Returns when the last access token of a session was issued, in milliseconds. For a damaged row that may be any time.
 */
function lastTokenOf ({ last_used_at: lastUsedAt }: Ending): number {
  return isMoment(lastUsedAt) ? lastUsedAt : Infinity
}

/** Whose sessions end. */
export type Owner = { userId: string } | { clientId: string }

/**
 * Ends every session and every access token of a user or of a client. One rule kills all tokens. If several
 * transactions are needed, the first one writes such a rule too, so that no ended session has a live token.
 * @param owner.spare - the actor's own session. It ends last, because the actor needs it for the next step.
 * @returns how many sessions were live, once all have ended.
 */
export async function closeSessions (write: WriteStep, owner: Owner & { spare?: string }): Promise<Step<number>> {
  const { trx, revoke, now, progress } = write
  const revokeAll = (): Promise<number> =>
    'userId' in owner ? revoke.user(owner.userId) : revoke.client(owner.clientId)
  const unended = trx.selectFrom('latchkey_sessions').select(COLUMNS).where('ended_at', 'is', null)
    .limit(ENDING_STEP + 1)
  const found = 'userId' in owner
    ? await unended.where('user_id', '=', owner.userId).execute()
    : await unended.where('client_id', '=', owner.clientId).execute()
  if (found.length <= ENDING_STEP) {
    await coverAll({ ...write, progress: NOTHING_ENDED }, found, revokeAll)
    await markEnded(trx, now, found)
    return { result: progress.live + countLive(found, now) }
  }
  const ended = found.filter(({ id }) => id !== owner.spare).slice(0, ENDING_STEP)
  const covered = await coverAll(write, ended, revokeAll)
  await markEnded(trx, now, ended)
  return { more: { live: progress.live + countLive(ended, now), covered } }
}

/** Kills the access tokens of the sessions that end in this step. Other sessions of the same owner may go on. */
async function coverAll (
  { revoke, progress }: WriteStep, ended: readonly Ending[], revokeAll: () => Promise<number>
): Promise<number> {
  const covered = progress.covered === 0 ? await revokeAll() : progress.covered
  // These sessions were used after that rule, or before the clock was set back, so it does not cover their last token.
  await revoke.sessions(ended.filter(session => lastTokenOf(session) >= covered).map(({ id }) => id))
  return covered
}

/**
 * Ends every session of a user except `keep`, whose access tokens live on. One rule kills the tokens issued before the
 * kept session began. Sessions used since then need a rule each, unless all their tokens expired long ago.
 * @param keep - undefined if the caller's token belongs to no session of ours. It must survive, so each session needs
 * its own rule.
 */
export async function endOtherSessions (
  { trx, revoke, now, progress }: WriteStep, { userId, keep }: { userId: string, keep: string | undefined }
): Promise<Step<number>> {
  const unended = trx.selectFrom('latchkey_sessions').select(COLUMNS).where('user_id', '=', userId)
    .where('ended_at', 'is', null)
  const others = keep === undefined ? unended : unended.where('id', '!=', keep)
  const found = await others.limit(ENDING_STEP + 1).execute()
  const ended = found.slice(0, ENDING_STEP)
  await markEnded(trx, now, ended)

  const withTokens = await havingTokens(trx, now, ended)
  const began = await beginningOf(trx, userId, keep)
  const older = withTokens.filter(session => lastTokenOf(session) < began)
  let { covered } = progress
  if (covered < began && older.length > 1) covered = await revoke.user(userId, began)
  await revoke.sessions(withTokens.filter(session => lastTokenOf(session) >= covered).map(({ id }) => id))

  const live = progress.live + countLive(ended, now)
  return found.length > ENDING_STEP ? { more: { live, covered } } : { result: live }
}

/**
 * Returns the sessions that may still have a live access token, or would have one if the clock were set back. Only the
 * horizon decides, because a clock that is ahead must not make a session end without a rule.
 */
export async function havingTokens (
  trx: Transaction<Tables>, now: number, sessions: readonly Ending[]
): Promise<readonly Ending[]> {
  if (sessions.length === 0) return sessions
  const dead = await readHorizon(trx, now) - await readMeta(trx, 'access_token_ttl')
  return sessions.filter(session => lastTokenOf(session) >= dead)
}

/** Returns when the first token of a session was issued, or 0 if there is no such session or it has ended. */
async function beginningOf (trx: Transaction<Tables>, userId: string, sessionId: string | undefined): Promise<number> {
  if (sessionId === undefined) return 0
  const session = await trx.selectFrom('latchkey_sessions').select('created_at')
    .where('id', '=', sessionId).where('user_id', '=', userId).where('ended_at', 'is', null).executeTakeFirst()
  // A damaged time covers nothing, so each of the other sessions needs its own rule.
  return toMoment(session?.created_at)
}

/** What the row of a session whose user was removed is set to. A status list needs only the other columns. */
const ANONYMOUS = { user_id: '', nonce: '', user_agent: null, address: null, account: null, network: null }

/**
 * Deletes ended sessions of a user who is being removed, as many as one transaction can. Returns whether none is left.
 * A session in a status list keeps its row, without the user's data, until its tokens have expired. Without the row,
 * the list would report them as valid.
 */
export async function forgetEnded (trx: Transaction<Tables>, userId: string): Promise<boolean> {
  const found = await trx.selectFrom('latchkey_sessions').select(['id', 'status_list'])
    .where('user_id', '=', userId).where('ended_at', 'is not', null).limit(ENDING_STEP + 1).execute()
  const forgotten = found.slice(0, ENDING_STEP)
  const listed = forgotten.filter(session => session.status_list !== null).map(({ id }) => id)
  const unlisted = forgotten.filter(session => session.status_list === null).map(({ id }) => id)
  if (unlisted.length > 0) await trx.deleteFrom('latchkey_sessions').where('id', 'in', unlisted).execute()
  if (listed.length > 0) await trx.updateTable('latchkey_sessions').set(ANONYMOUS).where('id', 'in', listed).execute()
  return found.length <= ENDING_STEP
}

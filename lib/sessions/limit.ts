import { SYSTEM } from '../ledger/events.js'
import { countLive, ENDING_STEP, havingTokens, markEnded } from '../revocation/session-ending.js'
import type { Ending, Step, WriteStep } from '../revocation/session-ending.js'
import { toMoment } from '../store/columns.js'

/**
 * Makes room for one more session of a user, as part of the login. If there are `max` or more, it ends the least
 * recently used ones. It decides inside the transaction, so logins at the same moment cannot exceed the limit.
 *
 * A step reads a bounded number of sessions, in any order. Of these it keeps the `max - 1` most recently used ones and
 * ends the others. That is safe, because a session with `max - 1` more recently used ones in this step has at least as
 * many among all sessions. Each ended session that may have a live token needs a rule of its own. A rule for the user
 * would also kill the tokens of the sessions that stay.
 */
export async function makeRoom (write: WriteStep, userId: string, max: number): Promise<Step<undefined>> {
  const { trx, revoke, now, record, progress } = write
  const most = max - 1 + ENDING_STEP
  const found = await trx.selectFrom('latchkey_sessions')
    .select(['id', 'last_used_at', 'idle_expires_at', 'expires_at'])
    .where('user_id', '=', userId).where('ended_at', 'is', null).limit(most + 1).execute()
  const ended = found.length < max ? [] : found.slice(0, most).sort(byUse(now)).slice(max - 1)
  await markEnded(trx, now, ended)
  const live = progress.live + countLive(ended, now)
  await revoke.sessions((await havingTokens(trx, now, ended)).map(({ id }) => id))
  if (found.length > most) return { more: { ...progress, live } }

  const about = { actor: SYSTEM, subject: userId }
  const reason = 'too_many_sessions'
  if (live === 1) await record({ type: 'session_ended', ...about, sessionId: ended[0]?.id, details: { reason } })
  if (live > 1) await record({ type: 'sessions_ended', ...about, details: { sessions: live, reason } })
  return { result: undefined }
}

/** Sorts live sessions before expired ones, and then the most recently used ones first. */
function byUse (now: number) {
  const endOf = (session: Ending): number => Math.min(session.expires_at, session.idle_expires_at)
  return function compare (a: Ending, b: Ending): number {
    return (
      Number(now < endOf(b)) - Number(now < endOf(a)) ||
      toMoment(b.last_used_at) - toMoment(a.last_used_at) ||
      (a.id < b.id ? 1 : -1)
    )
  }
}

import type { User } from '../../schemas/host.js'
import { assertCurrent } from '../clients/rows.js'
import { LatchkeyError } from '../errors.js'
import { anonymous, asUser } from '../ledger/events.js'
import { endSession } from '../revocation/session-ending.js'
import type { Write } from '../revocation/writing.js'
import { exclusive, shared } from '../store/lock.js'
import { endClosed } from './closed-account.js'
import { accountChanged, asksHost as needsHost, dateOf } from './context.js'
import type { SessionContext } from './context.js'
import type { Grant, Issuing, Prepared } from './issued.js'
import { prepareFor } from './refresh-request.js'
import type { Asked, Presented } from './refresh-request.js'
import { isLive, standingOf } from './refresh-verdict.js'
import { findSession, noteUse, rotateSession } from './rows.js'
import type { SessionRow } from './rows.js'

/**
 * What a refresh decided inside its transaction. Refusals are thrown outside it, because a throw inside would undo
 * the end of the session.
 */
type Outcome =
  | { grant: Grant }
  | { refused: 'invalid' | 'stolen' | 'scope' | 'changed' | 'raced' }

/** The facts from which a refresh decides. */
interface Question {
  session: SessionRow
  user: User
  /** The generation of the refresh token. */
  generation: number
  /** Undefined if the request asks for more than was granted. */
  prepared: Prepared | undefined
  /** Milliseconds. */
  issuedAt: number
}

/** Decides on a refresh in a transaction: rotation, retry, reuse, or a refusal. */
export type DecideRefresh = (presented: Presented, asked: Asked) => Promise<Grant>

/** Creates the full decision. */
export function createDecideRefresh (context: SessionContext, { prepare, toGrant }: Issuing): DecideRefresh {
  const { revocations, builtInUsers, status, seen, refreshIdleTtl, refreshGrace } = context
  const asksHost = needsHost(context)

  async function decide (
    { trx, now }: Pick<Write, 'trx' | 'now'>, { session, user, generation, prepared, issuedAt }: Question
  ): Promise<Outcome | 'end'> {
    const standing = standingOf(session, generation, { now, refreshGrace, isSeen: seen.isSeen(session) })
    if (standing === 'reused') return 'end'

    if (prepared === undefined) return { refused: 'scope' }
    // The account has lost a scope since the host was asked, so the prepared grant has more than the account. Nothing
    // was written yet, so the client can try again.
    if (!prepared.scopes.every(name => user.scopes.includes(name))) return { refused: 'changed' }
    // No token of the session is newer than its last use.
    const usedAt = Math.max(now, issuedAt)
    if (standing === 'retry') {
      await noteUse(trx, session.id, usedAt)
      return { grant: toGrant({ session, user, prepared, issuedAt }) }
    }

    // A late retry begins a new grace period, because other requests of the client may send the old token too.
    const rotated = {
      generation: standing === 'late' ? session.generation : generation + 1,
      rotated_at: now,
      last_used_at: usedAt,
      // Never earlier than before. Otherwise all users who refresh while the clock is behind would be logged out when
      // it is right again.
      idle_expires_at: Math.min(Math.max(now + refreshIdleTtl, session.idle_expires_at), session.expires_at)
    }
    // A rotation in one statement may have come first, because it takes only the lock of the row. One token must not
    // get two successors.
    if (!await rotateSession(trx, session, rotated)) return { refused: 'raced' }
    // The session may have begun before status lists were switched on.
    const place = session.status_list === null ? await status?.give(trx, now) : undefined
    if (place !== undefined) {
      await trx.updateTable('latchkey_sessions').set(place).where('id', '=', session.id).execute()
    }
    return { grant: toGrant({ session: { ...session, ...rotated, ...place }, user, prepared, issuedAt }) }
  }

  return async function decideRefresh (presented, asked) {
    const { generation, client, address } = presented
    const { session: known, account, askedAt, clearFrom } = asked
    const locks = [
      shared('user', known.user_id),
      exclusive('session', known.id),
      ...client === undefined ? [] : [shared('client', client.id)]
    ]
    const outcome = await revocations.write<Outcome>(locks, async write => {
      const { trx, now, record } = write
      if (client !== undefined) await assertCurrent(trx, client)
      const session = await findSession(trx, known.id)
      if (session === undefined || !isLive(session, now)) {
        return { refused: session?.end_reason === 'stolen' ? 'stolen' : 'invalid' }
      }
      const user = builtInUsers === undefined ? account : await builtInUsers.findIn(trx, session.user_id)
      const about = { subject: session.user_id, sessionId: session.id, clientId: session.client_id }
      if (user === null) {
        await endClosed(write, session)
        return { refused: 'invalid' }
      }
      const prepared = asksHost ? asked.prepared : await prepareFor(prepare, presented, { session, account: user })
      const issuedAt = dateOf(context, { askedAt, now, clearFrom, usedAt: session.last_used_at })
      const decision = await decide(write, { session, user, generation, prepared, issuedAt })
      if (decision === 'end') {
        await endSession(write, { userId: session.user_id, sessionId: session.id, isStolen: true })
        await record({ type: 'refresh_token_reuse', actor: anonymous(address ?? null), ...about })
        return { refused: 'stolen' }
      }
      if ('grant' in decision) await record({ type: 'refresh', actor: asUser(user.id, address ?? null), ...about })
      return decision
    })

    if ('grant' in outcome) return outcome.grant
    if (outcome.refused === 'raced') return await decideRefresh(presented, asked)
    if (outcome.refused === 'stolen') throw new LatchkeyError('session_stolen')
    if (outcome.refused === 'changed') throw accountChanged()
    if (outcome.refused === 'scope') throw new LatchkeyError('invalid_scope')
    throw new LatchkeyError('invalid_refresh_token')
  }
}

import { SYSTEM } from '../ledger/events.js'
import { endSession } from '../revocation/session-ending.js'
import type { Write } from '../revocation/writing.js'
import type { SessionRow } from './rows.js'

/** Ends a session whose account was closed, as part of a transaction. */
export async function endClosed (write: Write, session: SessionRow): Promise<void> {
  const { id: sessionId, user_id: userId, client_id: clientId } = session
  await endSession(write, { userId, sessionId })
  const about = { subject: userId, sessionId, clientId }
  await write.record({ type: 'session_ended', actor: SYSTEM, ...about, details: { reason: 'account_closed' } })
}

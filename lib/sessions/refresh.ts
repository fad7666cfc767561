import type { Client } from '../clients/clients.js'
import { LatchkeyError } from '../errors.js'
import { FIRST_PARTY } from '../identity/client-ids.js'
import { asksHost as needsHost } from './context.js'
import type { SessionContext } from './context.js'
import type { Grant, Issuing } from './issued.js'
import { createRefreshAtOnce } from './refresh-at-once.js'
import { createDecideRefresh } from './refresh-decision.js'
import { prepareFor } from './refresh-request.js'
import type { Asked, Presented } from './refresh-request.js'
import { readRefreshToken } from './refresh-token.js'
import { isLive } from './refresh-verdict.js'
import { findSession } from './rows.js'

/** See `Sessions.refresh`. */
export type Refresh =
  (refreshToken: string, request?: { client?: Client, scope?: string, address?: string }) => Promise<Grant>

/** Creates `Sessions.refresh`. */
export function createRefresh (context: SessionContext, issuing: Issuing): Refresh {
  const { store, clock, follower, revocations, users, refreshKeys } = context
  const asksHost = needsHost(context)
  const refreshAtOnce = createRefreshAtOnce(context, issuing)
  const decideRefresh = createDecideRefresh(context, issuing)

  /** Reads the session, and asks the host's code about its account. Throws if the session is over. */
  async function ask (presented: Presented): Promise<Asked> {
    const { sessionId, nonce, client } = presented
    const session = await store.read(db => findSession(db, sessionId))
    // A client that keeps sending the token of a dead session must not begin a transaction.
    if (session?.nonce !== nonce || session.client_id !== (client?.id ?? FIRST_PARTY)) {
      throw new LatchkeyError('invalid_refresh_token')
    }
    if (session.end_reason === 'stolen') throw new LatchkeyError('session_stolen')
    if (!isLive(session, clock.now())) throw new LatchkeyError('invalid_refresh_token')
    // Reads what is in the store up to now. All of it is older than the answers of the host from here on.
    await follower.refresh()
    const askedAt = clock.now()
    const clearFrom = revocations.clearFrom({ userId: session.user_id, clientId: session.client_id })
    const account = asksHost ? await users.find(session.user_id) : null
    const prepared = await prepareFor(issuing.prepare, presented, { session, account })
    return { session, account, prepared, askedAt, clearFrom }
  }

  return async function refresh (refreshToken, { client, scope, address } = {}) {
    const parts = readRefreshToken(refreshKeys, refreshToken)
    if (parts === undefined) throw new LatchkeyError('invalid_refresh_token')
    const presented = { ...parts, client, scope, address }
    // Reads what is in the store up to now, or refuses if that is unknown.
    await follower.refresh()
    const asked = asksHost ? await ask(presented) : undefined
    return await refreshAtOnce(presented, asked) ?? await decideRefresh(presented, asked ?? await ask(presented))
  }
}

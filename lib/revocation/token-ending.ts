import type { Transaction } from 'kysely'
import type { Actor } from '../../schemas/events.js'
import type { AccessTokenClaims } from '../identity/access-token.js'
import { isClient } from '../identity/client-ids.js'
import { timeOfId } from '../identity/ids.js'
import { HOST } from '../ledger/events.js'
import type { Revocations } from './revocations.js'
import { endSession } from './session-ending.js'
import { exclusive, shared } from '../store/lock.js'
import type { Tables } from '../store/tables.js'

/**
 * How many rules for single tokens a session or a client may have. An honest client that ends each token early makes a
 * hundred a day.
 */
const MAX_TOKEN_RULES = 1_000

async function hasEnded (trx: Transaction<Tables>, sessionId: string): Promise<boolean> {
  const session = await trx.selectFrom('latchkey_sessions').select('ended_at').where('id', '=', sessionId)
    .executeTakeFirst()
  return session !== undefined && session.ended_at !== null
}

/** Makes `Sessions.endToken`. */
export function createTokenEnding ({ revocations }: { revocations: Revocations }) {
  return async function endToken (
    { jti, sid, sub, exp, client_id: clientId }: AccessTokenClaims, by: Actor = HOST
  ): Promise<void> {
    if (revocations.isTokenRevoked(jti)) return
    // A token that has just expired gets a rule too. Otherwise it would work again if the clock were set back.
    const horizon = revocations.horizon()
    if (exp * 1000 <= horizon && (timeOfId(jti) ?? 0) < horizon) return
    const owners = sid === undefined
      ? [exclusive('client', clientId)]
      : [shared('user', sub), exclusive('session', sid)]
    await revocations.write(owners, async write => {
      const { trx, revoke, record } = write
      const about = { actor: by, subject: sub, sessionId: sid, clientId }
      // The token of an older system belongs to no session and no client.
      if (sid === undefined && !isClient({ id: sub, clientId })) {
        await revoke.token(jti, null, exp * 1000)
        return await record({ type: 'token_revoked', ...about, details: { tokenId: jti } })
      }
      // The rule that ended the session killed the token. To record it again would let the holder fill the store.
      if (sid !== undefined && await hasEnded(trx, sid)) return
      const owner = sid ?? clientId
      const { rules } = await trx.selectFrom('latchkey_rules').select(eb => eb.fn.countAll<number>().as('rules'))
        .where('session_id', '=', owner).executeTakeFirstOrThrow()
      if (Number(rules) < MAX_TOKEN_RULES) {
        await revoke.token(jti, owner, exp * 1000)
        return await record({ type: 'token_revoked', ...about, details: { tokenId: jti } })
      }
      if (sid === undefined) {
        await revoke.client(clientId)
        // The client's rule kills what the single rules killed, here and elsewhere. So they can go, the count starts
        // again from zero, and the store does not fill up.
        await trx.deleteFrom('latchkey_rules').where('session_id', '=', clientId).execute()
        return await record({ type: 'tokens_revoked', ...about })
      }
      // The token is still valid, so a rule is needed even if the session is gone.
      const ended = await endSession(write, { userId: sub, sessionId: sid })
      if (ended === undefined) await revoke.sessions([sid])
      await record({ type: 'session_ended', ...about, details: { reason: 'too_many_tokens_revoked' } })
    })
  }
}

import type { User } from '../../schemas/host.js'
import { FIRST_PARTY } from '../identity/client-ids.js'
import type { RoleDefinitions } from '../identity/roles.js'
import { formatScope } from '../identity/scopes.js'
import { asUser } from '../ledger/events.js'
import type { RotatedSession, Rotation } from '../store/rotation.js'
import { toBuiltInUser } from '../users/stored-user.js'
import { dateOf } from './context.js'
import type { SessionContext } from './context.js'
import type { Grant, Issuing } from './issued.js'
import { prepareFor } from './refresh-request.js'
import type { Asked, Presented } from './refresh-request.js'
import { isSoundSession } from './rows.js'

/**
 * Rotates the session in one statement, if the engine can do that and nothing else must be decided. Returns undefined
 * if a transaction must decide.
 * @param asked - undefined if the host's code need not run.
 */
export type RefreshAtOnce = (presented: Presented, asked: Asked | undefined) => Promise<Grant | undefined>

/** Creates the common path of a refresh: the current token, no client, and no `scope`. */
export function createRefreshAtOnce (context: SessionContext, { prepare, toGrant }: Issuing): RefreshAtOnce {
  const { store, ledger, revocations, builtInUsers, roles, status, refreshIdleTtl } = context

  function accountOf (asked: Asked | undefined): Rotation['account'] {
    if (asked === undefined) return { isBuiltIn: true }
    const { session, account, askedAt, clearFrom } = asked
    const usedAt = dateOf(context, { askedAt, now: 0, clearFrom })
    return builtInUsers === undefined
      ? { isBuiltIn: false, userId: session.user_id, usedAt }
      : {
          isBuiltIn: true,
          grants: { scope: formatScope(account?.ownScopes ?? []), roles: formatScope(account?.roles ?? []) },
          usedAt
        }
  }

  return async function refreshAtOnce (presented, asked) {
    const { sessionId, nonce, generation, client, scope, address } = presented
    const isRefused = asked !== undefined && asked.prepared === undefined
    if (store.rotate === undefined || client !== undefined || scope !== undefined || isRefused) return undefined
    const rotated = await store.rotate({
      sessionId,
      nonce,
      generation,
      clientId: FIRST_PARTY,
      refreshIdleTtl,
      needsStatus: status !== undefined,
      account: accountOf(asked)
    })
    if (rotated === undefined || !isSoundSession(rotated.session)) return undefined
    const { session, now } = rotated
    const account = asked === undefined ? toUser(rotated.account, roles) : asked.account
    const prepared = asked?.prepared ?? await prepareFor(prepare, presented, { session, account })
    const issuedAt = dateOf(context, { askedAt: now, clearFrom: 0, ...asked, now: session.last_used_at })
    const { user_id: userId, client_id: clientId } = session
    // A rule kills the new token. The rule may be newer than the rotation. If it is older, the clock was set back, and
    // the transaction chooses a later date.
    if (account === null || prepared === undefined || issuedAt < revocations.clearFrom({ userId, clientId })) {
      return undefined
    }
    const actor = asUser(account.id, address ?? null)
    ledger.tell({ type: 'refresh', actor, subject: userId, sessionId, clientId }, now)
    return toGrant({ session, user: account, prepared, issuedAt })
  }
}

function toUser (account: RotatedSession['account'], roles: RoleDefinitions): User | null {
  return account === undefined ? null : toBuiltInUser(account, roles)
}

import type { Actor } from '../../schemas/events.js'
import type { AccessTokenClaims } from '../identity/access-token.js'
import { findChangeable, isLimited } from '../users/authority.js'
import type { Principal } from '../users/authority.js'
import { LatchkeyError } from '../errors.js'
import { HOST } from '../ledger/events.js'
import type { NewEvent } from '../ledger/events.js'
import { createIssuing } from './issued.js'
import { assertMayGrant } from '../identity/scopes.js'
import { closeSessions, endOtherSessions, endSession, inSteps } from '../revocation/session-ending.js'
import type { SessionContext } from './context.js'
import { listSessions } from './list.js'
import type { Session } from './list.js'
import { createRefresh } from './refresh.js'
import type { Refresh } from './refresh.js'
import { findAuthentic, isLive } from './refresh-verdict.js'
import { createStart } from './start.js'
import type { Start } from './start.js'
import { purgeSessions } from './purge.js'
import { createTokenEnding } from '../revocation/token-ending.js'

/** The sessions: one row each, whatever number of times they are refreshed. */
export interface Sessions {
  /**
   * Begins a session for a user who has just authenticated. If the user already has the maximum number of sessions, the
   * least recently used one ends. Throws `invalid_scope`, or `invalid_credentials` if the account was closed in the
   * meantime, or `invalid_client` if the client was changed since it authenticated.
   * @param request.client - the registered client that the session is for, which gets no more than its own scopes.
   * Default: none, a first-party app.
   * @param request.askedAt - milliseconds; when the user was asked for, before the password was looked at. Default:
   * now.
   * @param request.place - from where: attempts from there are no stranger's as long as the row is kept. Default: none.
   * @param request.settle - settles the attempt that this login is, in the same transaction. Default: there is none.
   */
  start: Start
  /**
   * Exchanges a refresh token for its successor. The immediate predecessor gets the same successor within the grace: a
   * lost race, a lost response and a retry all end there. Anything older is reuse, and ends the session. Throws
   * `invalid_refresh_token`, or `invalid_scope` (without rotating) where `scope` asks for more than was granted.
   * @param request.client - the registered client that asks. A session is refreshed by the client that it is for and by
   * nobody else (RFC 6749 section 6); to others every token of it is invalid, and nothing happens to it. Default: none,
   * a first-party app.
   */
  refresh: Refresh
  /**
   * The session that a refresh token belongs to, whether that token is current or not; undefined where it is not ours
   * or the session was ended. One that is not `live` has expired: it gives no right to anything, but an access token of
   * it may live, and whoever wants it ended must be able to.
   */
  identify (refreshToken: string): Promise<{
    sessionId: string
    userId: string
    clientId: string
    live: boolean
  } | undefined>
  /**
   * Ends one access token. A session that has had a thousand of its tokens ended within about a day is ended whole, and
   * of a client that did so with its own all are ended: nobody must fill the store with rules, and the index with them.
   */
  endToken (claims: AccessTokenClaims, by?: Actor): Promise<void>
  /**
   * The user's live sessions, the last used first, at most 500.
   * @param currentId - a session that must not be left out if there are more. Default: none.
   */
  list (userId: string, currentId?: string): Promise<Session[]>
  /**
   * Ends one session of the user; tells whether it was live. Its refresh and access tokens are dead when the promise
   * resolves.
   */
  end (userId: string, sessionId: string, by?: Actor): Promise<boolean>
  /**
   * Ends every session of the user but one; all where the token that asks belongs to none. Returns how many were live.
   */
  endOthers (userId: string, sessionId: string | undefined, by?: Actor): Promise<number>
  /**
   * Ends every session of the user, and every access token. Returns how many sessions were live. Throws
   * `insufficient_scope` or `not_found` where another user or a client asks for it who may not change that user.
   */
  endAll (userId: string, by?: Principal): Promise<number>
  /**
   * Deletes up to `limit` sessions that are over, with their access tokens, for more than a day; tells whether there
   * may be more.
   */
  purge (limit: number): Promise<boolean>
}

/** Nothing if no session ended: a user could repeat that without end. */
function endedEvents (userId: string, sessions: number, by: Actor): NewEvent[] {
  return sessions === 0 ? [] : [{ type: 'sessions_ended', actor: by, subject: userId, details: { sessions } }]
}

/** Creates the sessions over the store. All lifetimes are milliseconds. */
export function createSessions (context: SessionContext): Sessions {
  const { store, clock, ledger, revocations, users, builtInUsers, claims, refreshKeys, status } = context
  const issuing = createIssuing({ claims, refreshKeys, status })

  /** What the host's accounts may do is asked before the transaction: it must not wait for somebody else's code. */
  async function assertMayEnd (userId: string, by: Principal): Promise<void> {
    const account = await users.find(userId)
    // One that may not log in any more can have sessions all the same.
    if (account !== null) assertMayGrant(by.scopes ?? [], account.scopes)
    else if ((await store.read(db => listSessions(db, { userId }, clock.now()))).length === 0) {
      throw new LatchkeyError('not_found', { message: 'There is no such user.' })
    }
  }

  return {
    start: createStart(context, issuing),
    refresh: createRefresh(context, issuing),

    async identify (refreshToken) {
      const found = await store.read(db => findAuthentic(db, refreshKeys, refreshToken))
      if (found === undefined || found.session.ended_at !== null) return undefined
      const { session } = found
      return {
        sessionId: session.id,
        userId: session.user_id,
        clientId: session.client_id,
        live: isLive(session, clock.now())
      }
    },

    endToken: createTokenEnding({ clock, ledger, revocations }),

    list: (userId, currentId) => store.read(db => listSessions(db, { userId, currentId }, clock.now())),

    async end (userId, sessionId, by = HOST) {
      return await revocations.write(async write => {
        const wasLive = await endSession(write, { userId, sessionId }) === true
        if (wasLive) await write.record({ type: 'session_ended', actor: by, subject: userId, sessionId })
        return wasLive
      })
    },

    async endOthers (userId, sessionId, by = HOST) {
      return await inSteps(revocations, async write => {
        const step = await endOtherSessions(write, { userId, keep: sessionId })
        if ('result' in step) await write.record(...endedEvents(userId, step.result, by))
        return step
      })
    },

    async endAll (userId, by = HOST) {
      const isAdministration = isLimited(by) && !(by.kind === 'user' && by.id === userId)
      if (isAdministration && builtInUsers === undefined) await assertMayEnd(userId, by)
      return await inSteps(revocations, async write => {
        if (isAdministration && builtInUsers !== undefined) await findChangeable(write.trx, userId, by)
        const step = await closeSessions(write, { userId })
        if ('result' in step) await write.record(...endedEvents(userId, step.result, by))
        return step
      })
    },

    purge: limit => purgeSessions(store, clock, limit)
  }
}

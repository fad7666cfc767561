import type { Actor } from '../../schemas/events.js'
import type { UserId } from '../../schemas/user-ids.js'
import type { AccessTokenClaims } from '../identity/access-token.js'
import { findChangeable, isLimited } from '../users/authority.js'
import type { Principal } from '../users/authority.js'
import { LatchkeyError } from '../errors.js'
import { HOST } from '../ledger/events.js'
import type { NewEvent } from '../ledger/events.js'
import { createIssuing } from './issued.js'
import { assertMayGrant } from '../identity/scopes.js'
import { textOf } from '../identity/user-ids.js'
import { closeSessions, endOtherSessions, endSession, inSteps } from '../revocation/session-ending.js'
import type { SessionContext } from './context.js'
import { nameDevices } from './device.js'
import { listSessions } from './list.js'
import type { Session } from './list.js'
import { createRefresh } from './refresh.js'
import type { Refresh } from './refresh.js'
import { createReissue } from './reissue.js'
import type { Reissue } from './reissue.js'
import { findAuthentic, isLive } from './refresh-verdict.js'
import { createStart } from './start.js'
import type { Start } from './start.js'
import { purgeSessions } from './purge.js'
import { exclusive, ruling, shared } from '../store/lock.js'
import { createTokenEnding } from '../revocation/token-ending.js'

/** The sessions. Each has one row, however often it is refreshed. */
export interface Sessions {
  /**
   * Begins a session for a user who has just authenticated. If the user already has the maximum number of sessions, the
   * least recently used one ends. Throws `invalid_scope`, or `invalid_credentials` if the account was closed in the
   * meantime, or `invalid_client` if the client was changed since it authenticated.
   *
   * It does not check a password, limit attempts or reject cross-site requests. In a route, call `app.latchkey.logIn()`
   * or `logInAs()` instead.
   * @param request.client - the registered client that the session is for. The session gets at most the client's
   * scopes. Default: none, a first-party app.
   * @param request.askedAt - milliseconds. A time before the account was read and the password was checked. Default:
   * now.
   * @param request.place - where the login comes from. Attempts from there do not count as a stranger's for as long as
   * the row is kept. Default: none.
   * @param request.settle - settles the attempt of this login in the same transaction. Default: none.
   * @param request.method - how the app verified the user, for the audit trail. Default: none, which means a password.
   * @param request.amr - how the user authenticated (RFC 8176). Default: `pwd`, or nothing if `method` is set.
   * @param request.authTime - milliseconds: when the user did so. Default: now.
   */
  start: Start
  /**
   * Exchanges a refresh token for its successor. The immediate predecessor gets the same successor within the grace
   * period, and after it as long as no access token of the successor was used here. So a lost race, a lost response and
   * a retry all get the right token, no matter how late. Anything older is reuse, and ends the session. Throws
   * `invalid_refresh_token`, or `session_stolen` for any token of a session that ended by reuse, or `invalid_scope`
   * without rotating if `scope` asks for more than was granted.
   * @param request.client - the registered client that sends the request. Only the client of a session can refresh it
   * (RFC 6749 section 6). For any other client its tokens are invalid, and the session does not change. Default: none,
   * a first-party app.
   */
  refresh: Refresh
  /**
   * Issues a new access token for a live session, with the current claims. It has the scopes of the presented token
   * that the session and the account still have. It expires when the presented token does, because a stolen access
   * token must not be able to renew itself. Throws `token_revoked` if the session or the account is closed.
   * @param presented - the content of an access token that was verified for this request.
   */
  reissue: Reissue
  /**
   * Returns the session that a refresh token belongs to, whether the token is current or not. Returns undefined if the
   * token is not ours or the session was ended. A session that is not `live` has expired. It gives no rights, but it
   * can still be ended, because one of its access tokens may be live.
   */
  identify (refreshToken: string): Promise<{
    sessionId: string
    /** As text, as in `sub`. */
    userId: string
    clientId: string
    live: boolean
  } | undefined>
  /**
   * Ends one access token. Once a thousand tokens of one session were ended within about a day, the next one ends the
   * whole session. Once a thousand of a client's own tokens were ended, the next one ends all access tokens of the
   * client. Otherwise a caller could fill the store and the index with rules.
   */
  endToken (claims: AccessTokenClaims, by?: Actor): Promise<void>
  /**
   * Returns the user's live sessions, most recently used first, at most 500.
   * @param currentId - a session that must be among them, even if there are more. Default: none.
   */
  list (userId: UserId, currentId?: string): Promise<Session[]>
  /**
   * Ends one session of the user. Returns whether it was live. Its refresh and access tokens are dead when the promise
   * resolves.
   */
  end (userId: UserId, sessionId: string, by?: Actor): Promise<boolean>
  /**
   * Ends every session of the user except `sessionId`. Pass undefined if the caller's token belongs to no session: then
   * all sessions end. Returns how many were live.
   */
  endOthers (userId: UserId, sessionId: string | undefined, by?: Actor): Promise<number>
  /**
   * Ends every session and every access token of the user. Returns how many sessions were live. Throws
   * `insufficient_scope` or `not_found` if `by` is another user or a client and may not change that user.
   */
  endAll (userId: UserId, by?: Principal): Promise<number>
  /**
   * Deletes up to `limit` sessions that have been over, with their access tokens, for more than a day. Returns whether
   * there may be more.
   * @param now - the time, if it is steady: see `steady-time.ts`.
   */
  purge (limit: number, now: number): Promise<boolean>
}

/** Returns no event if no session ended, because a user could repeat that without end. */
function endedEvents (userId: string, sessions: number, by: Actor): NewEvent[] {
  return sessions === 0 ? [] : [{ type: 'sessions_ended', actor: by, subject: userId, details: { sessions } }]
}

/** Creates the sessions. */
export function createSessions (context: SessionContext): Sessions {
  const { store, clock, revocations, users, builtInUsers, roles, refreshKeys } = context
  const issuing = createIssuing(context)

  /** Reads the host's account before the transaction, because a transaction must not wait for the host's code. */
  async function assertMayEnd (userId: string, by: Principal): Promise<void> {
    const account = await users.find(userId)
    // The host returns null for an account that may no longer log in, but the account can still have sessions.
    if (account !== null) assertMayGrant(by.scopes ?? [], account.scopes)
    else if ((await store.read(db => listSessions(db, { userId }, clock.now()))).length === 0) {
      throw new LatchkeyError('not_found', { message: 'There is no such user.' })
    }
  }

  return {
    start: createStart(context, issuing),
    refresh: createRefresh(context, issuing),
    reissue: createReissue(context, issuing),

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

    endToken: createTokenEnding({ revocations }),

    async list (user, currentId) {
      const userId = textOf(user)
      return await nameDevices(await store.read(db => listSessions(db, { userId, currentId }, clock.now())))
    },

    async end (user, sessionId, by = HOST) {
      const userId = textOf(user)
      return await revocations.write([shared('user', userId), exclusive('session', sessionId)], async write => {
        const wasLive = await endSession(write, { userId, sessionId }) === true
        if (wasLive) await write.record({ type: 'session_ended', actor: by, subject: userId, sessionId })
        return wasLive
      })
    },

    async endOthers (user, sessionId, by = HOST) {
      const userId = textOf(user)
      return await inSteps(revocations, ruling(userId), async write => {
        const step = await endOtherSessions(write, { userId, keep: sessionId })
        if ('result' in step) await write.record(...endedEvents(userId, step.result, by))
        return step
      })
    },

    async endAll (user, by = HOST) {
      const userId = textOf(user)
      const isAdministration = isLimited(by) && !(by.kind === 'user' && by.id === userId)
      if (isAdministration && builtInUsers === undefined) await assertMayEnd(userId, by)
      const accounts = isAdministration ? [exclusive('accounts')] : []
      return await inSteps(revocations, [...ruling(userId), ...accounts], async write => {
        if (isAdministration && builtInUsers !== undefined) await findChangeable(write.trx, userId, { by, roles })
        const step = await closeSessions(write, { userId })
        if ('result' in step) await write.record(...endedEvents(userId, step.result, by))
        return step
      })
    },

    purge: (limit, now) => purgeSessions(store, limit, now)
  }
}

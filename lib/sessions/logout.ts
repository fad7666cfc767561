import type { AccessTokenClaims } from '../identity/access-token.js'
import { FIRST_PARTY, isClient } from '../identity/client-ids.js'
import { LatchkeyError } from '../errors.js'
import { asUser } from '../ledger/events.js'
import type { Tokens } from '../tokens/tokens.js'
import type { Sessions } from './sessions.js'

/** The tokens of a request that logs out. */
interface Held {
  accessToken: string | undefined
  /**
   * Also undefined if the request has an access token in a header, because a request with a bad token there must not
   * act on the session of its cookie.
   */
  refreshToken: string | undefined
  address: string
}

/** Which sessions end. */
type LogoutTarget = 'this' | 'others' | 'all'

/** The session that a request acts for. With a token of an older system, a request acts for a user without one. */
type HeldSession =
  | { userId: string, sessionId: string, live: boolean }
  | { userId: string, sessionId: undefined, live: true, claims: AccessTokenClaims }

/** Ends sessions on behalf of a browser. */
export interface Logout {
  /** Does nothing if the tokens belong to no session. Throws `user_required` for a machine client's own token. */
  logOut (target: LogoutTarget, held: Held): Promise<void>
  /** Ends the session that a browser leaves when it logs in again: ASVS 5.0 7.2.4. */
  leave (refreshToken: string, address: string): Promise<void>
}

/** Creates the logout. */
export function createLogout ({ sessions, tokens }: { sessions: Sessions, tokens: Pick<Tokens, 'verify'> }): Logout {
  async function identify (accessToken: string): Promise<HeldSession | undefined> {
    try {
      const { sessionId, clientId, claims } = await tokens.verify(accessToken)
      const { sub: userId } = claims
      if (isClient({ id: userId, clientId })) throw new LatchkeyError('user_required')
      if (sessionId === undefined) return { userId, sessionId, live: true, claims }
      return { userId, sessionId, live: true }
    } catch (error) {
      if (error instanceof LatchkeyError && error.statusCode === 401) return undefined
      throw error
    }
  }

  /** A registered client ends its session at POST /revoke, where it authenticates. */
  async function identifyFirstParty (refreshToken: string): Promise<HeldSession | undefined> {
    const session = await sessions.identify(refreshToken)
    return session?.clientId === FIRST_PARTY ? session : undefined
  }

  /** The access token decides. If it is no longer valid, the refresh token decides. */
  async function findSession ({ accessToken, refreshToken }: Held): Promise<HeldSession | undefined> {
    return (accessToken === undefined ? undefined : await identify(accessToken)) ??
      (refreshToken === undefined ? undefined : await identifyFirstParty(refreshToken))
  }

  return {
    async logOut (target, held) {
      const session = await findSession(held)
      if (session === undefined) return
      const { userId, sessionId } = session
      const by = asUser(userId, held.address)
      // An expired session cannot end others. It can still be ended, because its access tokens may have outlived it.
      if (target === 'others') {
        if (session.live) await sessions.endOthers(userId, sessionId, by)
      } else if (target === 'all' && session.live) await sessions.endAll(userId, by)
      else if (session.sessionId === undefined) await sessions.endToken(session.claims, by)
      else await sessions.end(userId, session.sessionId, by)
    },

    async leave (refreshToken, address) {
      const previous = await identifyFirstParty(refreshToken)
      if (previous?.sessionId === undefined) return
      await sessions.end(previous.userId, previous.sessionId, asUser(previous.userId, address))
    }
  }
}

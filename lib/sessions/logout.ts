import type { AccessTokenClaims } from '../identity/access-token.js'
import { FIRST_PARTY, isClient } from '../identity/client-ids.js'
import { LatchkeyError } from '../errors.js'
import { asUser } from '../ledger/events.js'
import type { Tokens } from '../tokens/tokens.js'
import type { Sessions } from './sessions.js'

/** The tokens of a request that logs out. */
interface Held {
  accessToken: string | undefined
  /** Undefined too if the request has an `Authorization` header: a bad header must not borrow the cookie's session. */
  refreshToken: string | undefined
  address: string
}

/** Which sessions end. */
type LogoutTarget = 'this' | 'others' | 'all'

/** The session that a request speaks for. A token of an older system speaks for a user without a session. */
type Spoken =
  | { userId: string, sessionId: string, live: boolean }
  | { userId: string, sessionId: undefined, live: true, claims: AccessTokenClaims }

/** Ends sessions on behalf of a browser. */
export interface Logout {
  /** Does nothing if the tokens speak for no session. Throws `user_required` for a machine client's own token. */
  logOut (target: LogoutTarget, held: Held): Promise<void>
  /** Ends the session that a browser leaves when it logs in again: ASVS 5.0 7.2.4. */
  leave (refreshToken: string, address: string): Promise<void>
}

/** Makes the logout. */
export function createLogout ({ sessions, tokens }: { sessions: Sessions, tokens: Pick<Tokens, 'verify'> }): Logout {
  async function identify (accessToken: string): Promise<Spoken | undefined> {
    try {
      const { id: userId, sessionId, clientId, claims } = await tokens.verify(accessToken)
      if (isClient({ id: userId, clientId })) throw new LatchkeyError('user_required')
      if (sessionId === undefined) return { userId, sessionId, live: true, claims }
      return { userId, sessionId, live: true }
    } catch (error) {
      if (error instanceof LatchkeyError && error.statusCode === 401) return undefined
      throw error
    }
  }

  /** A registered client ends its session at POST /revoke, where it authenticates. */
  async function identifyFirstParty (refreshToken: string): Promise<Spoken | undefined> {
    const session = await sessions.identify(refreshToken)
    return session?.clientId === FIRST_PARTY ? session : undefined
  }

  /** The access token decides. If it has died, the refresh token does. */
  async function findSession ({ accessToken, refreshToken }: Held): Promise<Spoken | undefined> {
    return (accessToken === undefined ? undefined : await identify(accessToken)) ??
      (refreshToken === undefined ? undefined : await identifyFirstParty(refreshToken))
  }

  return {
    async logOut (target, held) {
      const session = await findSession(held)
      if (session === undefined) return
      const { userId, sessionId } = session
      const by = asUser(userId, held.address)
      // An expired session ends no other session. But one of its own access tokens may have outlived it.
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

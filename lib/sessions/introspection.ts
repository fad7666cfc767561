import type { UserDirectory } from '../../schemas/host.js'
import type { IntrospectResponse } from '../../schemas/tokens.js'
import type { Client } from '../clients/clients.js'
import type { Clock } from '../time/clock.js'
import { LatchkeyError } from '../errors.js'
import { isClient } from '../identity/client-ids.js'
import { formatScope, parseScope } from '../identity/scopes.js'
import { findAuthentic, isLive, standingOf } from './refresh-verdict.js'
import type { SeenGenerations } from './seen-generations.js'
import { isKey as isPersonalAccessToken } from '../personal-access-tokens/value.js'
import type { Store } from '../store/store.js'
import type { Tokens } from '../tokens/tokens.js'
import type { AuthenticatedUser } from '../identity/access-token.js'

/** Whether the caller may introspect the tokens of this client: RFC 7662 section 4. */
export type MayKnow = (clientId: string) => boolean

/** The scope whose holder may introspect every token. */
export const KNOWS_ALL = 'tokens:introspect'

/** A client may introspect its own tokens, or all tokens if it has the scope `KNOWS_ALL`. */
export function mayClientKnow ({ id, scopes }: Client): MayKnow {
  return scopes.includes(KNOWS_ALL) ? () => true : clientId => clientId === id
}

/** Introspects tokens. */
export interface Inspector {
  /**
   * Returns whether an access or refresh token is live, and what it contains. It changes nothing. The answer is the
   * same for expired, revoked and unknown tokens, and for tokens that `mayKnow` hides from the caller. Throws a 503 if
   * it cannot find out.
   */
  inspect (token: string, mayKnow: MayKnow): Promise<IntrospectResponse>
}

const INACTIVE: IntrospectResponse = Object.freeze({ active: false })

/** Creates the inspector. All lifetimes are in milliseconds. */
export function createInspector ({ store, clock, tokens, acceptKey, users, refreshKeys, refreshGrace, seen, issuer }: {
  store: Store
  clock: Clock
  tokens: Tokens
  /** See `KeyAcceptance.accept`. */
  acceptKey: (value: string) => AuthenticatedUser | Promise<AuthenticatedUser>
  users: UserDirectory
  refreshKeys: readonly Buffer[]
  refreshGrace: number
  seen: Pick<SeenGenerations, 'isSeen'>
  issuer: string
}): Inspector {
  /**
   * Decides as the guards do. The end of a session and the disabling of a user write rules, which the guards obey.
   * Returns undefined if every guard would reject the token.
   */
  async function inspectAccessToken (
    token: string, mayKnow: MayKnow, isKey: boolean
  ): Promise<IntrospectResponse | undefined> {
    try {
      const { claims } = isKey ? await acceptKey(token) : await tokens.verify(token)
      const { iss, sub, aud, client_id: clientId, exp, iat, jti, sid, scope, gen, auth_time: authTime, amr } = claims
      if (!mayKnow(clientId)) return INACTIVE
      // The token has no name, because it holds no personal data.
      const user = isClient({ id: sub, clientId }) ? null : await users.find(sub)
      return {
        active: true,
        scope,
        client_id: clientId,
        ...(user === null ? {} : { username: user.username }),
        token_type: 'bearer',
        exp,
        iat,
        sub,
        aud,
        iss,
        jti,
        sid,
        gen,
        // RFC 9470 section 6.2.
        auth_time: authTime,
        amr
      }
    } catch (error) {
      if (error instanceof LatchkeyError && error.statusCode === 401) return undefined
      throw error
    }
  }

  /**
   * Decides as a refresh would. The predecessor is live for as long as a refresh exchanges it for its successor. If a
   * client had lost that response and then read here that its token is dead, it would log its user out.
   */
  async function inspectRefreshToken (token: string, mayKnow: MayKnow): Promise<IntrospectResponse> {
    const found = await store.read(db => findAuthentic(db, refreshKeys, token))
    const now = clock.now()
    if (found === undefined || !isLive(found.session, now) || !mayKnow(found.session.client_id)) return INACTIVE
    const { session, generation } = found
    const isSeen = seen.isSeen(session)
    const standing = standingOf(session, generation, { now, refreshGrace, isSeen })
    const user = standing === 'reused' ? null : await users.find(session.user_id)
    if (user === null) return INACTIVE
    const end = Math.min(
      session.idle_expires_at,
      session.expires_at,
      standing === 'retry' && isSeen ? session.rotated_at + refreshGrace : Infinity
    )
    return {
      active: true,
      scope: formatScope(parseScope(session.scope).filter(name => user.scopes.includes(name))),
      client_id: session.client_id,
      username: user.username,
      exp: Math.floor(end / 1000),
      ...(standing === 'current' ? { iat: Math.floor(session.rotated_at / 1000) } : {}),
      sub: session.user_id,
      iss: issuer,
      sid: session.id
    }
  }

  return {
    async inspect (token, mayKnow) {
      // The kinds of tokens cannot be mistaken for each other. The work that `token_type_hint` could save is too
      // little to matter.
      const isKey = isPersonalAccessToken(token)
      const found = await inspectAccessToken(token, mayKnow, isKey)
      return found ?? (isKey ? INACTIVE : await inspectRefreshToken(token, mayKnow))
    }
  }
}

import type { UserDirectory } from '../../schemas/host.js'
import type { IntrospectResponse } from '../../schemas/tokens.js'
import type { Client } from '../clients/clients.js'
import type { Clock } from '../time/clock.js'
import { LatchkeyError } from '../errors.js'
import { formatScope, parseScope } from '../identity/scopes.js'
import { findAuthentic, isLive, standingOf } from './refresh-verdict.js'
import type { Store } from '../store/store.js'
import type { Tokens } from '../tokens/tokens.js'

/** Whether the one who asks may know of the tokens of this client: RFC 7662 section 4. */
export type MayKnow = (clientId: string) => boolean

/** The scope that lets its holder know of every token. */
export const KNOWS_ALL = 'tokens:introspect'

/** A client may know of its own tokens, or of all if it has the scope for that. */
export function mayClientKnow ({ id, scopes }: Client): MayKnow {
  return scopes.includes(KNOWS_ALL) ? () => true : clientId => clientId === id
}

/** Says whether a token is live. */
export interface Inspector {
  /**
   * Looks at an access or a refresh token, and changes nothing. Not live, and told in the same words: what is expired,
   * revoked or unknown, and what `mayKnow` keeps from the one who asks. Throws a 503 where it cannot be told.
   */
  inspect (token: string, mayKnow: MayKnow): Promise<IntrospectResponse>
}

const INACTIVE: IntrospectResponse = Object.freeze({ active: false })

/** Creates the inspector. All lifetimes are milliseconds. */
export function createInspector ({ store, clock, tokens, users, refreshKeys, refreshGrace, issuer }: {
  store: Store
  clock: Clock
  tokens: Tokens
  users: UserDirectory
  refreshKeys: readonly Buffer[]
  refreshGrace: number
  issuer: string
}): Inspector {
  /**
   * As the guards see it: a session that ended and a user who was disabled have left rules. Undefined: no guard would
   * let it pass.
   */
  async function inspectAccessToken (token: string, mayKnow: MayKnow): Promise<IntrospectResponse | undefined> {
    try {
      const { iss, sub, aud, client_id: clientId, exp, iat, jti, sid, scope } = (await tokens.verify(token)).claims
      if (!mayKnow(clientId)) return INACTIVE
      return { active: true, scope, client_id: clientId, token_type: 'bearer', exp, iat, sub, aud, iss, jti, sid }
    } catch (error) {
      if (error instanceof LatchkeyError && error.statusCode === 401) return undefined
      throw error
    }
  }

  /**
   * As a refresh would: the predecessor is live within its grace, because it gets its successor. A client that lost
   * that answer, and were told that its token is dead, would throw its user out.
   */
  async function inspectRefreshToken (token: string, mayKnow: MayKnow): Promise<IntrospectResponse> {
    const found = await store.read(db => findAuthentic(db, refreshKeys, token))
    const now = clock.now()
    if (found === undefined || !isLive(found.session, now) || !mayKnow(found.session.client_id)) return INACTIVE
    const { session, generation } = found
    const standing = standingOf(session, generation, { now, refreshGrace })
    const user = standing === 'reused' ? null : await users.find(session.user_id)
    if (user === null) return INACTIVE
    const end = Math.min(
      session.idle_expires_at,
      session.expires_at,
      standing === 'retry' ? session.rotated_at + refreshGrace : Infinity
    )
    return {
      active: true,
      scope: formatScope(parseScope(session.scope).filter(name => user.scopes.includes(name))),
      client_id: session.client_id,
      exp: Math.floor(end / 1000),
      ...(standing === 'current' ? { iat: Math.floor(session.rotated_at / 1000) } : {}),
      sub: session.user_id,
      iss: issuer,
      sid: session.id
    }
  }

  return {
    async inspect (token, mayKnow) {
      // Never both: the two kinds cannot be mistaken for each other, and a hint could only save work that is not worth
      // saving.
      return await inspectAccessToken(token, mayKnow) ?? await inspectRefreshToken(token, mayKnow)
    }
  }
}

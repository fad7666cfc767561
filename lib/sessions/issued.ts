import type { ClaimsHook, User } from '../../schemas/host.js'
import { LatchkeyError } from '../errors.js'
import { knownRoles } from '../identity/roles.js'
import type { RoleDefinitions } from '../identity/roles.js'
import { toHostUser } from '../identity/user-ids.js'
import type { UserIdKind } from '../identity/user-ids.js'
import { formatRefreshToken } from './refresh-token.js'
import { narrowScope } from '../identity/scopes.js'
import type { SessionRow } from './rows.js'
import type { StatusReferences } from '../status-lists/references.js'
import type { AccessGrant } from '../tokens/tokens.js'

/** What a login or a refresh issues: the content of an access token, and the session's refresh token. */
export interface Grant extends AccessGrant {
  /** Its id has the app's type. */
  user: User
  sessionId: string
  refreshToken: string
  /** Milliseconds. When the refresh token expires if it is not used. */
  refreshExpiresAt: number
}

/** The part of a grant that may need the host's code: see `Issuing.prepare`. */
export type Prepared = Pick<Grant, 'scopes' | 'claims'>

/**
 * Characters of JSON. A browser drops a cookie of more than 4,096 bytes (RFC 6265bis section 5.6), and base64 adds a
 * third.
 */
const MAX_CLAIMS_LENGTH = 2_048

/** What a grant is made of. */
interface GrantParts {
  session: SessionRow
  user: User
  prepared: Prepared
  /** Milliseconds. */
  issuedAt: number
}

/** Makes grants from accounts and sessions. */
export interface Issuing {
  /**
   * Returns the scopes of the new access token, and the host's claims for it. If the host has claims, call this before
   * the transaction, because the transaction must not wait for the host's code. That is also before the refresh token
   * is rotated, because a failure of that code must not lose the refresh token. Throws `invalid_scope` if `scope` asks
   * for more than `granted`.
   */
  prepare (user: User, granted: readonly string[], scope: string | undefined): Promise<Prepared>
  toGrant (parts: GrantParts): Grant
}

/**
 * Creates the functions that make grants.
 * @param refreshKeys - the first key makes the refresh tokens.
 * @param status - undefined if the tokens refer to no status list.
 */
export function createIssuing (
  { claims, roles, userIds, refreshKeys, status }: {
    claims: ClaimsHook | undefined
    roles: RoleDefinitions
    userIds: UserIdKind
    refreshKeys: readonly [Buffer, ...Buffer[]]
    status: StatusReferences | undefined
  }
): Issuing {
  return {
    async prepare (user, granted, scope) {
      const scopes = narrowScope(granted, scope)
      try {
        const added = await claims?.(toHostUser(user, userIds), scopes) ?? {}
        const length = JSON.stringify(added).length
        if (length > MAX_CLAIMS_LENGTH) {
          throw new RangeError(
            `The option claims returned ${length} characters of JSON, but at most ${MAX_CLAIMS_LENGTH} fit into ` +
            'the cookie of a token: return fewer or shorter claims'
          )
        }
        return { scopes, claims: added }
      } catch (cause) {
        throw new LatchkeyError('internal_error', { cause })
      }
    },

    toGrant ({ session, user, prepared: { scopes, claims }, issuedAt }) {
      return {
        user: toHostUser(user, userIds),
        sessionId: session.id,
        session: {
          generation: session.generation,
          authTime: session.auth_time,
          amr: session.amr.split(' ').filter(method => method !== '')
        },
        clientId: session.client_id,
        scopes,
        roles: knownRoles(user.roles ?? [], roles),
        claims,
        issuedAt,
        status: status?.claimOf(session),
        refreshToken: formatRefreshToken({
          key: refreshKeys[0], nonce: session.nonce, sessionId: session.id, generation: session.generation
        }),
        refreshExpiresAt: Math.min(session.idle_expires_at, session.expires_at)
      }
    }
  }
}

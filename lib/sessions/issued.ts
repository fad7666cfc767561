import type { ClaimsHook, User } from '../../schemas/host.js'
import { LatchkeyError } from '../errors.js'
import { formatRefreshToken } from './refresh-token.js'
import { narrowScope } from '../identity/scopes.js'
import type { SessionRow } from './rows.js'
import type { StatusReferences } from '../status-lists/references.js'
import type { AccessGrant } from '../tokens/tokens.js'

/** What a login or a refresh may hand out: all that an access token says, and the session's refresh token. */
export interface Grant extends AccessGrant {
  user: User
  sessionId: string
  refreshToken: string
  /** Milliseconds; when the refresh token stops working if it is not used. */
  refreshExpiresAt: number
}

/** What is asked for before a transaction that makes a grant. */
export type Prepared = Pick<Grant, 'scopes' | 'claims'>

/**
 * Characters of JSON. A browser drops a cookie of more than 4,096 bytes (RFC 6265bis section 5.6), and a third is added
 * by base64.
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

/** From an account and a session to what is handed out. */
export interface Issuing {
  /**
   * The scopes of the token to be, and the host's claims for it: asked for before the transaction, which must not wait
   * for somebody else's code, and before the refresh token is rotated, which must not be lost to a failure of that
   * code. Throws `invalid_scope` where `scope` asks for more than `granted`.
   */
  prepare (user: User, granted: readonly string[], scope: string | undefined): Promise<Prepared>
  toGrant (parts: GrantParts): Grant
}

/**
 * Creates the grants of one instance.
 * @param refreshKeys - the first one makes the refresh tokens.
 * @param status - undefined: the tokens refer to no status list.
 */
export function createIssuing (
  { claims, refreshKeys, status }: {
    claims: ClaimsHook | undefined
    refreshKeys: readonly [Buffer, ...Buffer[]]
    status: StatusReferences | undefined
  }
): Issuing {
  return {
    async prepare (user, granted, scope) {
      const scopes = narrowScope(granted, scope)
      try {
        const added = await claims?.(user, scopes) ?? {}
        const length = JSON.stringify(added).length
        if (length > MAX_CLAIMS_LENGTH) {
          throw new RangeError(
            `The option claims gave ${length} characters of JSON: with more than ${MAX_CLAIMS_LENGTH} a token does not fit into a cookie`
          )
        }
        return { scopes, claims: added }
      } catch (cause) {
        throw new LatchkeyError('internal_error', { cause })
      }
    },

    toGrant ({ session, user, prepared: { scopes, claims }, issuedAt }) {
      return {
        user,
        sessionId: session.id,
        clientId: session.client_id,
        scopes,
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

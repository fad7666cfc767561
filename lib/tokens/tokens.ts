import type { User } from '../../schemas/host.js'
import { RESERVED_CLAIMS } from '../identity/access-token.js'
import type { Clock } from '../time/clock.js'
import { verifyForeign } from './foreign-tokens.js'
import { createRefusalReports } from './refusal-reports.js'
import type { RefusalLog } from './refusal-reports.js'
import { createId } from '../identity/ids.js'
import { textOf } from '../identity/user-ids.js'
import type { UserIdKind } from '../identity/user-ids.js'
import type { Keyring } from '../keys/keyring.js'
import type { PublicJwk } from '../keys/material.js'
import type { Revocations } from '../revocation/revocations.js'
import { formatScope } from '../identity/scopes.js'
import type { StatusClaim } from '../status-lists/references.js'
import { MAX_TOKEN_LENGTH } from './header.js'
import { createTokenVerification } from './verification.js'
import type { SignalOf } from './verified-token.js'
import type { OnUse, StateFollower, TimeReader, TokenVerification } from './verification.js'

/** The claims that only a token of a session has. */
interface SessionClaims {
  /** The generation of the session that the token belongs to. */
  generation: number
  /** Milliseconds: when the user last proved who they are. */
  authTime: number
  /** How they did so (RFC 8176). */
  amr: readonly string[]
}

/** What an access token is made of. */
export interface AccessGrant {
  /** The user, whose id becomes `sub`. For a client's own token, the client. */
  user: Pick<User, 'id'>
  sessionId: string | undefined
  /** What its session adds to the token. Undefined for a client's own token. */
  session?: SessionClaims
  clientId: string
  /** The scopes of the new access token. */
  scopes: string[]
  /** The roles that the user holds and the app has. Default: none. */
  roles?: readonly string[]
  /**
   * Milliseconds. Set inside the transaction, so that a rule that is written later kills the tokens of this grant. If
   * the clock was set back, it can be in the future.
   */
  issuedAt: number
  /** The host's claims for the access token (option `claims`). */
  claims: Record<string, unknown>
  /** The latest time at which the token expires, in seconds since the epoch. Default: when its lifetime ends. */
  latestExpiry?: number
  /** Where verifiers can read its status. Default: nowhere. */
  status?: StatusClaim
}

/** If a token is dated further ahead of now than this, in milliseconds, its `iat` is now. */
const MOST_AHEAD = 1_000

/** Makes and verifies access tokens. */
export interface Tokens extends Pick<TokenVerification, 'verify' | 'accept' | 'confirm' | 'decode'> {
  /**
   * Signs an access token for a grant with the current signing key. Rejects if the token would be too long to be
   * verified, or with a 503 if the current key is unknown.
   */
  sign (grant: AccessGrant): Promise<string>
  /** Returns the public keys (RFC 7517 section 5). Rejects with a 503 if they are unknown. */
  readJwks (): Promise<PublicJwk[]>
}

/**
 * Creates the access tokens of one issuer.
 * @param accessTokenTtl - milliseconds.
 * @param catalogue - the known scopes.
 * @param onUse - see `OnUse`. Default: uses are not reported.
 * @param log - receives why tokens of older systems are refused. Default: none.
 */
export function createTokens ({
  keyring, issuer, audience, catalogue, accessTokenTtl, clock, follower, ledger, revocations, signalOf, userIds, onUse,
  log
}: {
  keyring: Keyring
  issuer: string
  audience: readonly string[]
  catalogue: Readonly<Record<string, string>>
  accessTokenTtl: number
  clock: Clock
  follower: StateFollower
  ledger: TimeReader
  revocations: Pick<Revocations, 'isRevoked' | 'isStolen' | 'additions'> & Partial<Pick<Revocations, 'horizon'>>
  signalOf: SignalOf
  userIds?: UserIdKind
  onUse?: OnUse
  log?: RefusalLog
}): Tokens {
  const onRefused = createRefusalReports(clock, log)
  const sources = { keys: keyring, clock, follower, revocations, horizon: revocations.horizon }
  const { verify, accept, confirm, decode, refresh } = createTokenVerification({
    ...sources,
    ledger,
    signalOf,
    userIds,
    onUse,
    checkOther: (token, header, now) =>
      keyring.holdsVerifyOnly(now)
        ? verifyForeign(token, header, { keyring, audience, catalogue, now, onRefused })
        : undefined
  })
  const aud = audience.length === 1 ? audience[0] as string : [...audience]
  const ttlSeconds = Math.floor(accessTokenTtl / 1000)

  return {
    async sign (grant) {
      // Another process may have revoked the key while the password was hashed. The token would be dead on arrival.
      await refresh()
      const now = clock.now()
      const isAhead = grant.issuedAt > now + MOST_AHEAD
      const iat = Math.floor((isAhead ? now : grant.issuedAt) / 1000)
      const token = keyring.signer(now).sign({
        ...Object.fromEntries(
          Object.entries(grant.claims).filter(([claim]) => !(RESERVED_CLAIMS as readonly string[]).includes(claim))
        ),
        iss: issuer,
        sub: textOf(grant.user.id),
        aud,
        client_id: grant.clientId,
        exp: Math.min(iat + ttlSeconds, grant.latestExpiry ?? Infinity),
        iat,
        jti: createId(grant.issuedAt),
        ...(grant.sessionId === undefined ? {} : { sid: grant.sessionId }),
        ...(grant.session === undefined ? {} : toSessionClaims(grant.session)),
        ...(grant.status === undefined ? {} : { status: grant.status }),
        ...(grant.roles === undefined || grant.roles.length === 0 ? {} : { roles: [...grant.roles] }),
        scope: formatScope(grant.scopes)
      })
      if (token.length > MAX_TOKEN_LENGTH) {
        throw new Error(
          `An access token would have ${token.length} characters, more than ${MAX_TOKEN_LENGTH}: ` +
          'grant fewer scopes or roles, or shorten the claims'
        )
      }
      return token
    },
    verify,
    accept,
    confirm,
    decode,
    async readJwks () {
      await refresh()
      return keyring.jwks(clock.now())
    }
  }
}

function toSessionClaims ({ generation, authTime, amr }: SessionClaims): Record<string, unknown> {
  return { gen: generation, auth_time: Math.floor(authTime / 1000), amr: [...amr] }
}

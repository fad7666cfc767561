import type { ClaimsHook, UserDirectory } from '../../schemas/host.js'
import { LatchkeyError } from '../errors.js'
import type { UserIdKind } from '../identity/user-ids.js'
import type { Ledger } from '../ledger/ledger.js'
import type { Revocations } from '../revocation/revocations.js'
import type { StatusReferences } from '../status-lists/references.js'
import type { Follower } from '../store/change-follower.js'
import type { Store } from '../store/store.js'
import type { Throttle } from '../throttle/throttle.js'
import type { Clock } from '../time/clock.js'
import type { Users } from '../users/users.js'

/** The services and settings behind the sessions. All lifetimes are in milliseconds. */
export interface SessionContext {
  store: Store
  clock: Clock
  ledger: Ledger
  follower: Follower
  revocations: Revocations
  throttle: Pick<Throttle, 'placeOf'>
  users: UserDirectory
  /** The built-in users. Undefined if `users` is the host's directory, which no transaction can read. */
  builtInUsers: Users | undefined
  claims: ClaimsHook | undefined
  /** The type of user ids in the app. In this folder, ids are text. */
  userIds: UserIdKind
  /** The first key makes refresh tokens. Tokens of all keys are accepted. */
  refreshKeys: readonly [Buffer, ...Buffer[]]
  /** Undefined if the tokens refer to no status list. */
  status: StatusReferences | undefined
  /** How many sessions a user may have. */
  maxSessions: number
  sessionTtl: number
  refreshIdleTtl: number
  refreshGrace: number
}

/**
 * Returns when a token counts as issued. The host's directory is asked before the transaction, so a rule written since
 * then must kill the token. The built-in users are read inside the transaction, after every earlier rule.
 */
export function dateOf (
  { builtInUsers }: Pick<SessionContext, 'builtInUsers'>, { askedAt, now }: { askedAt: number, now: number }
): number {
  return builtInUsers === undefined ? askedAt : now
}

/** Creates the error for a login or a refresh whose account changed at the same moment. */
export function accountChanged (): LatchkeyError {
  return new LatchkeyError('account_changed', { retryAfter: 1 })
}

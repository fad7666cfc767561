import type { ClaimsHook, UserDirectory } from '../../schemas/host.js'
import { LatchkeyError } from '../errors.js'
import type { RoleDefinitions } from '../identity/roles.js'
import type { UserIdKind } from '../identity/user-ids.js'
import type { Ledger } from '../ledger/ledger.js'
import type { Revocations } from '../revocation/revocations.js'
import type { StatusReferences } from '../status-lists/references.js'
import type { Follower } from '../store/change-follower.js'
import type { Store } from '../store/store.js'
import type { Throttle } from '../throttle/throttle.js'
import type { Clock } from '../time/clock.js'
import type { Users } from '../users/users.js'
import type { SeenGenerations } from './seen-generations.js'

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
  roles: RoleDefinitions
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
  seen: Pick<SeenGenerations, 'isSeen'>
}

/** What decides when a token counts as issued. All times are in milliseconds. */
interface Dates {
  /** When the host was asked. */
  askedAt: number
  /** The time of the transaction. */
  now: number
  /** From `Revocations.clearFrom`, before the transaction began. */
  clearFrom: number
  /** When the session was last used. Default: it is new. */
  usedAt?: number
}

/**
 * Returns when a token counts as issued. The host's directory is asked before the transaction, so a rule written since
 * then must kill the token. The built-in users are read inside the transaction, after every earlier rule. If the clock
 * was set back, an earlier rule may lie in the future, and must not kill the token. The tokens of a session are always
 * dated in their order.
 */
export function dateOf (
  { builtInUsers }: Pick<SessionContext, 'builtInUsers'>, { askedAt, now, clearFrom, usedAt = 0 }: Dates
): number {
  return Math.max(builtInUsers === undefined ? askedAt : now, clearFrom, usedAt)
}

/** Whether the host's code must run, before the transaction. Everything else is read once, inside it. */
export function asksHost ({ builtInUsers, claims }: Pick<SessionContext, 'builtInUsers' | 'claims'>): boolean {
  return builtInUsers === undefined || claims !== undefined
}

/** Creates the error for a login or a refresh whose account changed at the same moment. */
export function accountChanged (): LatchkeyError {
  return new LatchkeyError('account_changed', { retryAfter: 1 })
}

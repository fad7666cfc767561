import type { ClaimsHook, UserDirectory } from '../../schemas/host.js'
import { LatchkeyError } from '../errors.js'
import type { Ledger } from '../ledger/ledger.js'
import type { Revocations } from '../revocation/revocations.js'
import type { StatusReferences } from '../status-lists/references.js'
import type { Follower } from '../store/change-follower.js'
import type { Store } from '../store/store.js'
import type { Clock } from '../time/clock.js'
import type { Users } from '../users/users.js'

/** What the sessions work with. All lifetimes are milliseconds. */
export interface SessionContext {
  store: Store
  clock: Clock
  ledger: Ledger
  follower: Follower
  revocations: Revocations
  users: UserDirectory
  /** The built-in table if `users` is that. It can be read inside a transaction, and the host's accounts cannot. */
  builtInUsers: Users | undefined
  claims: ClaimsHook | undefined
  /** The first one signs. */
  refreshKeys: readonly [Buffer, ...Buffer[]]
  /** Undefined: no status list has them. */
  status: StatusReferences | undefined
  /** How many sessions a user may have. */
  maxSessions: number
  sessionTtl: number
  refreshIdleTtl: number
  refreshGrace: number
}

/**
 * Returns when a token counts as issued. The host's accounts are asked before the transaction, and a rule written since
 * then must kill the token. The built-in ones are read inside it, after every earlier rule.
 */
export function dateOf (
  { builtInUsers }: Pick<SessionContext, 'builtInUsers'>, { askedAt, now }: { askedAt: number, now: number }
): number {
  return builtInUsers === undefined ? askedAt : now
}

/** The error of a login or a refresh whose account changed at the same moment. */
export function accountChanged (): LatchkeyError {
  return new LatchkeyError('account_changed', { retryAfter: 1 })
}

import type { RoleDefinitions } from '../identity/roles.js'
import type { Ledger } from '../ledger/ledger.js'
import type { Passwords } from '../passwords/pool.js'
import type { Revocations } from '../revocation/revocations.js'
import type { Store } from '../store/store.js'
import type { Throttle } from '../throttle/throttle.js'
import type { Clock } from '../time/clock.js'

/** The services and settings behind the built-in users. */
export interface UsersContext {
  store: Store
  clock: Clock
  passwords: Passwords
  ledger: Ledger
  revocations: Revocations
  throttle: Pick<Throttle, 'forgive' | 'placeOf' | 'recordFailure'>
  catalogue: Readonly<Record<string, string>>
  roles: RoleDefinitions
  passwordMinLength: number
  /** See `createDummyReader`. */
  readDummies: () => Promise<readonly string[]>
}

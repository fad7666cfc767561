import type { Ledger } from '../ledger/ledger.js'
import type { Revocations } from '../revocation/revocations.js'
import type { Store } from '../store/store.js'
import type { Clock } from '../time/clock.js'

/** The services and settings behind the machine clients. */
export interface ClientsContext {
  store: Store
  clock: Clock
  ledger: Ledger
  revocations: Revocations
  catalogue: Readonly<Record<string, string>>
}

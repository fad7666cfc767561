import { LatchkeyError } from '../errors.js'
import { networkOf } from '../identity/network.js'

/** How many unknown keys one network may present in a window, and the window in milliseconds. */
const MOST = 100
const WINDOW = 60_000

/** How many networks are counted. With more of them, all others share one count. */
const MOST_NETWORKS = 10_000

/**
 * Counts keys that do not exist, because each costs a query. Keys cannot be guessed, so it is enough to count in the
 * memory of the process.
 */
export interface UnknownKeys {
  /** Throws `too_many_requests` if this network has presented too many. */
  assertFew (address: string | undefined): void
  note (address: string | undefined): void
}

/** @param isOn - the option `rateLimit`. */
export function createUnknownKeys (isOn: boolean, now: () => number = () => performance.now()): UnknownKeys {
  let counts = new Map<string, number>()
  let since = now()

  function windowOf (address: string): string {
    if (now() - since >= WINDOW) {
      counts = new Map()
      since = now()
    }
    const network = networkOf(address)
    return counts.has(network) || counts.size < MOST_NETWORKS ? network : ''
  }

  return {
    assertFew (address) {
      if (!isOn || address === undefined || (counts.get(windowOf(address)) ?? 0) < MOST) return
      throw new LatchkeyError('too_many_requests', { retryAfter: Math.ceil((since + WINDOW - now()) / 1_000) })
    },
    note (address) {
      if (address === undefined) return
      const network = windowOf(address)
      counts.set(network, (counts.get(network) ?? 0) + 1)
    }
  }
}

import { createOptionCheck } from '../lib/options/check.js'
import { toMilliseconds } from '../lib/options/durations.js'
import { VerifierOptions } from '../schemas/verifier-options.js'
import type { VerifierLog } from '../schemas/verifier-options.js'
import type { Stopwatches } from '../lib/time/elapsed-time.js'

/** Id and secret of the machine client that the verifier is to the service. */
export interface Credentials {
  clientId: string
  clientSecret: string
}

/** The options after the check: defaults filled in, durations in milliseconds. */
export interface VerifierSettings {
  issuer: string
  audience: readonly string[]
  /** Undefined: no feed is wanted. */
  credentials: Credentials | undefined
  revocationBound: number
  whenStale: 'refuse' | 'introspect'
  /** Undefined: those that the service lists. */
  scopes: Readonly<Record<string, string>> | undefined
  log: VerifierLog
  fetch: typeof globalThis.fetch
  time: Stopwatches
}

/** Milliseconds: heartbeats come every 200, and one may be late. */
const SHORTEST_BOUND = 500

const checkOptions = createOptionCheck<VerifierOptions & Required<Pick<VerifierOptions, 'revocations' | 'revocationBound' | 'whenStale'>>>(VerifierOptions)

const SILENCE: VerifierLog = { info () {}, warn () {} }

/**
 * Checks the options of a verifier and fills in the defaults.
 * @throws TypeError in one sentence that names the option and the legal values.
 */
export function readVerifierOptions (given: unknown): VerifierSettings {
  const options = checkOptions(given)
  const { issuer, audience = issuer, clientId, clientSecret, revocations, whenStale, scopes, log = SILENCE } = options
  if (revocations === 'none') {
    for (const name of ['clientId', 'clientSecret'] as const) {
      if (options[name] !== undefined) throw new TypeError(`Latchkey: the option ${name} is of no use with revocations: 'none': leave one of them out`)
    }
    if (whenStale === 'introspect') throw new TypeError("Latchkey: the option whenStale is of no use with revocations: 'none': leave one of them out")
  }
  const credentials = clientId === undefined || clientSecret === undefined ? undefined : { clientId, clientSecret }
  if (revocations === 'feed' && credentials === undefined) {
    throw new TypeError("Latchkey: the options clientId and clientSecret are missing: they must be those of a machine client with the scope revocations:read; or let revoked tokens live until they expire, with revocations: 'none'")
  }
  const revocationBound = toMilliseconds(options.revocationBound)
  if (revocationBound < SHORTEST_BOUND) throw new TypeError(`Latchkey: the option revocationBound is "${options.revocationBound}": it must be a duration such as 1s, at least 500ms`)
  return {
    issuer,
    audience: [audience].flat(),
    credentials,
    revocationBound,
    whenStale,
    scopes,
    log,
    fetch: options.fetch ?? globalThis.fetch,
    time: { wall: options.now ?? Date.now, stopwatch: options.stopwatch ?? options.now ?? (() => performance.now()) }
  }
}

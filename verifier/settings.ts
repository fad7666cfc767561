import { createOptionCheck } from '../lib/options/check.js'
import { toMilliseconds } from '../lib/options/durations.js'
import { VerifierOptions } from '../schemas/verifier-options.js'
import type { VerifierLog } from '../schemas/verifier-options.js'
import type { UserIdKind } from '../lib/identity/user-ids.js'
import type { Stopwatches } from '../lib/time/elapsed-time.js'

/** The id and secret of the verifier's machine client. */
export interface Credentials {
  clientId: string
  clientSecret: string
}

/** The checked options, with defaults, and with durations in milliseconds. */
export interface VerifierSettings {
  issuer: string
  audience: readonly string[]
  /** Undefined if the verifier uses no feed. */
  credentials: Credentials | undefined
  revocationBound: number
  whenStale: 'refuse' | 'introspect'
  /** Undefined if the scopes of the service apply. */
  scopes: Readonly<Record<string, string>> | undefined
  userIds: UserIdKind
  log: VerifierLog
  fetch: typeof globalThis.fetch
  time: Stopwatches
}

/** Milliseconds. Heartbeats come every 200, and one may be late. */
const SHORTEST_BOUND = 500

const checkOptions = createOptionCheck<
  VerifierOptions & Required<Pick<VerifierOptions, 'revocations' | 'revocationBound' | 'whenStale' | 'userIds'>>
>(VerifierOptions)

const SILENCE: VerifierLog = { info () {}, warn () {} }

/**
 * Checks the options of a verifier and fills in the defaults.
 * @throws TypeError if an option is invalid. The message names the option and its legal values.
 */
export function readVerifierOptions (given: unknown): VerifierSettings {
  const options = checkOptions(given)
  const { issuer, audience = issuer, clientId, clientSecret, revocations, whenStale, scopes, log = SILENCE } = options
  if (revocations === 'none') {
    for (const name of ['clientId', 'clientSecret'] as const) {
      if (options[name] !== undefined) {
        throw new TypeError(
          `Latchkey: the option ${name} has no effect with revocations: 'none': remove one of the two`
        )
      }
    }
    if (whenStale === 'introspect') {
      throw new TypeError(
        "Latchkey: the option whenStale has no effect with revocations: 'none': remove one of the two"
      )
    }
  }
  const credentials = clientId === undefined || clientSecret === undefined ? undefined : { clientId, clientSecret }
  if (revocations === 'feed' && credentials === undefined) {
    throw new TypeError('Latchkey: the options clientId and clientSecret are missing: ' +
      'they must be those of a machine client with the scope revocations:read. ' +
      "To accept revoked tokens until they expire, set revocations: 'none' instead")
  }
  const revocationBound = toMilliseconds(options.revocationBound)
  if (revocationBound < SHORTEST_BOUND) {
    throw new TypeError('Latchkey: the option revocationBound is ' +
      `"${options.revocationBound}": it must be a duration such as 1s, at least 500ms`)
  }
  return {
    issuer,
    audience: [audience].flat(),
    credentials,
    revocationBound,
    whenStale,
    scopes,
    userIds: options.userIds,
    log,
    fetch: options.fetch ?? globalThis.fetch,
    time: { wall: options.now ?? Date.now, stopwatch: options.stopwatch ?? options.now ?? (() => performance.now()) }
  }
}

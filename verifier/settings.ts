import { createOptionCheck, show } from '../lib/options/check.js'
import { toMilliseconds } from '../lib/options/durations.js'
import { OtherIssuer, VerifierOptions } from '../schemas/verifier-options.js'
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
  /** The URL at which the issuer is reached. */
  address: string
  audience: readonly string[]
  /** Undefined if the verifier uses no feed. */
  credentials: Credentials | undefined
  revocationBound: number
  whenStale: 'refuse' | 'introspect'
  accepts: ReadonlyArray<'token' | 'key'>
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
  VerifierOptions &
  Required<Pick<VerifierOptions, 'revocations' | 'revocationBound' | 'whenStale' | 'accepts' | 'userIds'>>
>(VerifierOptions)

const SILENCE: VerifierLog = { info () {}, warn () {} }

const checkOther = createOptionCheck<Partial<VerifierOptions>>(OtherIssuer)

/**
 * Checks the options of a verifier and of its other issuers.
 * @throws TypeError if an option is invalid. The message names the option and its legal values.
 */
export function readAllVerifierOptions (given: unknown): [first: VerifierSettings, ...others: VerifierSettings[]] {
  const first = readVerifierOptions(given)
  const { otherIssuers = [], log, now, stopwatch, fetch, userIds } = given as VerifierOptions
  const all: [VerifierSettings, ...VerifierSettings[]] = [first]
  for (const [index, other] of otherIssuers.entries()) {
    try {
      all.push(readVerifierOptions({ fetch, ...checkOther(other), log, now, stopwatch, userIds }))
    } catch (error) {
      if (!(error instanceof TypeError)) throw error
      const message = error.message.replace('Latchkey: ', `Latchkey: in otherIssuers[${index}], `)
      throw new TypeError(message, { cause: error })
    }
  }
  const names = all.map(({ issuer }) => issuer)
  const twice = names.find((name, index) => names.indexOf(name) < index)
  if (twice !== undefined) {
    throw new TypeError(`Latchkey: the option otherIssuers has ${show(twice)} twice: list each issuer only once`)
  }
  return all
}

/**
 * Checks the options of a verifier and fills in the defaults.
 * @throws TypeError if an option is invalid. The message names the option and its legal values.
 */
export function readVerifierOptions (given: unknown): VerifierSettings {
  const options = checkOptions(given)
  const { issuer, address = issuer, audience = issuer, log = SILENCE } = options
  const { clientId, clientSecret, revocations, whenStale, accepts, scopes } = options
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
  if (revocations === 'none' && accepts.includes('key')) {
    throw new TypeError(
      "Latchkey: the option accepts has 'key', but with revocations: 'none' the verifier cannot ask about personal " +
      'access tokens: remove one of the two'
    )
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
    address,
    audience: [audience].flat(),
    credentials,
    revocationBound,
    whenStale,
    accepts,
    scopes,
    userIds: options.userIds,
    log,
    fetch: options.fetch ?? globalThis.fetch,
    time: { wall: options.now ?? Date.now, stopwatch: options.stopwatch ?? options.now ?? (() => performance.now()) }
  }
}

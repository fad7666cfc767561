import type { AuthenticatedUser } from '../lib/identity/access-token.js'
import { LatchkeyError } from '../lib/errors.js'
import { BUILT_IN_SCOPES } from '../lib/identity/scopes.js'
import type { VerifierOptions } from '../schemas/verifier-options.js'
import { isKey } from '../lib/personal-access-tokens/value.js'
import type { TokenVerification } from '../lib/tokens/verification.js'
import { createParts } from './parts.js'
import { createPause } from './pause.js'
import { createReadiness } from './readiness.js'
import { combineVerifiers } from './several.js'
import { readAllVerifierOptions } from './settings.js'
import type { VerifierSettings } from './settings.js'
import { start } from './start.js'
import type { Verifier } from './verifier.js'

/**
 * Creates a verifier. It starts at once to read the endpoints of the service (RFC 8414), its keys (RFC 7517) and the
 * revocations. Until it has them, it rejects tokens with 503. Call `close` at the end, because the connection keeps the
 * process alive.
 * @throws TypeError if an option is invalid. The message names the option and its legal values.
 */
export function createVerifier (options: VerifierOptions): Verifier {
  const [first, ...others] = readAllVerifierOptions(options)
  if (others.length === 0) return createForIssuer(first)
  return combineVerifiers([first, ...others].map(settings => [settings.issuer, createForIssuer(settings)]))
}

function createForIssuer (settings: VerifierSettings): Verifier {
  const { scopes } = settings
  const closing = new AbortController()
  const closed = closing.signal
  const readiness = createReadiness()
  const pause = createPause()
  const parts = createParts(settings, { closed, onProgress: noteIfAccepting })
  const { requests, discovery, keys, freshness, status, reporter, signals, verification } = parts
  const { client, clock, feed, fallback, checkKey } = parts

  function isAccepting (): boolean {
    return (
      !closed.aborted &&
      keys.areThere() &&
      (status.isKnown() || (fallback !== undefined && client?.isConfirmed() === true))
    )
  }

  function noteIfAccepting (): void {
    if (!isAccepting()) return
    if (status.isKnown()) reporter.accepting()
    readiness.resolve()
  }

  function recover (error: unknown, token: string): Promise<AuthenticatedUser> {
    reporter.refused(error)
    if (
      closed.aborted ||
      fallback === undefined ||
      !(error instanceof LatchkeyError) ||
      error.code !== 'revocation_unknown'
    ) { throw error }
    return fallback(token)
  }

  function askAbout (key: string): Promise<AuthenticatedUser> {
    if (checkKey === undefined || closed.aborted) throw new LatchkeyError('invalid_token')
    return checkKey(key)
  }

  /** Checks a token, and asks the service about it if the revocations are unknown. */
  function createCheck (check: TokenVerification['verify']): Verifier['verify'] {
    return token => {
      if (token === undefined) throw new LatchkeyError('unauthenticated')
      if (isKey(token)) return askAbout(token)
      let outcome: AuthenticatedUser | Promise<AuthenticatedUser>
      try {
        outcome = check(token)
      } catch (error) {
        return recover(error, token)
      }
      return outcome instanceof Promise ? outcome.catch(error => recover(error, token)) : outcome
    }
  }

  start(parts, { pause, closed }).catch(reporter.failed)

  return {
    ready: () => readiness.promise,
    verify: createCheck(verification.verify),
    confirm: createCheck(verification.confirm),
    status () {
      const age = freshness.age()
      return {
        accepting: isAccepting(),
        fresh: freshness.isFresh(),
        age: age === Infinity ? undefined : age,
        error: reporter.error()
      }
    },
    now: clock.now,
    scopes: () => scopes === undefined ? discovery.scopes() : Object.keys({ ...BUILT_IN_SCOPES, ...scopes }),
    endSignals: signals.close,
    close () {
      closing.abort()
      signals.close()
      readiness.reject(new Error('The verifier was closed'))
      feed?.close()
      pause.close()
      requests.close()
    }
  }
}

export type { Verifier, VerifierStatus } from './verifier.js'
export { challengeOf, readBearer } from '../lib/http/credentials.js'
export { LatchkeyError } from '../lib/errors.js'
export type { AccessTokenClaims, AuthenticatedUser } from '../lib/identity/access-token.js'
export type { ErrorCode } from '../schemas/errors.js'
export type { VerifierLog, VerifierOptions } from '../schemas/verifier-options.js'
export type * from '../schemas/user-ids.js'

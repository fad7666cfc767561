import { LatchkeyError } from '../lib/errors.js'
import { reasonOf } from './requests.js'
import type { VerifierSettings } from './settings.js'

/** Logs each change once, and keeps the latest failure. */
export interface Reporter {
  /** Reports that tokens are accepted. */
  accepting (): void
  /** Reports that tokens are not accepted, and why. Returns the error to throw. */
  stale (reason: string): Error
  /** Reports a failure that will be retried. */
  failed (error: unknown): void
  /** Reports why a token was refused, if the error knows more than the client may. */
  refused (error: unknown): void
  /** The latest failure, in a sentence, until tokens are accepted again. */
  error (): string | undefined
}

export function createReporter ({ log, issuer }: Pick<VerifierSettings, 'log' | 'issuer'>): Reporter {
  let isAccepting: boolean | undefined
  let failure: string | undefined

  return {
    accepting () {
      failure = undefined
      if (isAccepting === true) return
      isAccepting = true
      log.info({ issuer }, 'tokens are accepted')
    },
    stale (reason) {
      const error = new Error(failure === undefined ? reason : `${reason}: ${failure}`)
      if (isAccepting !== false) {
        isAccepting = false
        log.warn({ issuer, err: error }, 'tokens are not accepted: the known revocations are too old')
      }
      return error
    },
    failed (error) {
      const text = reasonOf(error)
      // A repeated failure is logged once.
      if (text === failure) return
      failure = text
      log.warn({ issuer, err: error }, 'cannot follow the service that issues the tokens: trying again')
    },
    refused (error) {
      if (!(error instanceof LatchkeyError) || error.code !== 'invalid_token' || error.cause === undefined) return
      log.debug?.({ issuer, reason: reasonOf(error.cause) }, 'a token was refused')
    },
    error: () => failure
  }
}

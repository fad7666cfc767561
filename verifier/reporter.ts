import type { VerifierLog } from '../schemas/verifier-options.js'
import { reasonOf } from './requests.js'

/** Logs each change once, and keeps the latest failure. */
export interface Reporter {
  /** Reports that tokens are accepted. */
  accepting (): void
  /** Reports that tokens are not accepted, and why. Returns the error to throw. */
  stale (reason: string): Error
  /** Reports a failure that will be retried. */
  failed (error: unknown): void
  /** The latest failure, in a sentence, until tokens are accepted again. */
  error (): string | undefined
}

export function createReporter (log: VerifierLog): Reporter {
  let isAccepting: boolean | undefined
  let failure: string | undefined

  return {
    accepting () {
      failure = undefined
      if (isAccepting === true) return
      isAccepting = true
      log.info({}, 'tokens are accepted')
    },
    stale (reason) {
      const error = new Error(failure === undefined ? reason : `${reason}: ${failure}`)
      if (isAccepting !== false) {
        isAccepting = false
        log.warn({ err: error }, 'tokens are not accepted: the known revocations are too old')
      }
      return error
    },
    failed (error) {
      const text = reasonOf(error)
      // A repeated failure is logged once.
      if (text === failure) return
      failure = text
      log.warn({ err: error }, 'cannot follow the service that issues the tokens: trying again')
    },
    error: () => failure
  }
}

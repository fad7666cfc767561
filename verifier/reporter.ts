import type { VerifierLog } from '../schemas/verifier-options.js'
import { reasonOf } from './requests.js'

/** Tells the log what changes, once, and keeps the last of it. */
export interface Reporter {
  /** Tokens are accepted. */
  accepting (): void
  /** They are not, and this is why; gives the error to throw. */
  stale (reason: string): Error
  /** Something went wrong, and is going to be tried again. */
  failed (error: unknown): void
  /** The last thing that went wrong and has not been put right, in a sentence. */
  error (): string | undefined
}

/** Creates the reporter. */
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
        log.warn({ err: error }, 'tokens are not accepted on what is known here: it is too old')
      }
      return error
    },
    failed (error) {
      const text = reasonOf(error)
      // Tried again and again, and told once.
      if (text === failure) return
      failure = text
      log.warn({ err: error }, 'the service whose tokens are verified cannot be followed: trying again')
    },
    error: () => failure
  }
}

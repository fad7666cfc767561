import { describeError } from '../schemas/errors.js'
import type { ErrorCode } from '../schemas/errors.js'

/** An error whose status, code and message may be shown to the client. Its `cause` is for the log only. */
export class LatchkeyError extends Error {
  override readonly name = 'LatchkeyError'
  readonly statusCode: number
  /** The code of RFC 6749 section 5.2 or RFC 6750 section 3.1; undefined where the standard wants none. */
  readonly oauth: string | undefined
  readonly code: ErrorCode
  /** Seconds to wait, for `Retry-After`. */
  readonly retryAfter: number | undefined
  /** The scopes that would have been enough, for the `scope` attribute of a 403 challenge. */
  readonly scope: string | undefined
  /** The response headers that go with a guard's refusal. Fastify's own error handler sends them. */
  headers: Record<string, string> | undefined

  constructor (code: ErrorCode, details: { message?: string, cause?: unknown, retryAfter?: number, scope?: string } = {}) {
    super(details.message ?? describeError(code).message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    const { status, oauth } = describeError(code)
    this.statusCode = status
    this.oauth = oauth
    this.retryAfter = details.retryAfter
    this.scope = details.scope
  }
}

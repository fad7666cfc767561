import { describeError } from '../schemas/errors.js'
import type { ErrorCode } from '../schemas/errors.js'

/** An error whose status, code and message the client may see. Its `cause` is only for the log. */
export class LatchkeyError extends Error {
  override readonly name = 'LatchkeyError'
  readonly statusCode: number
  /** The code of RFC 6749 section 5.2 or RFC 6750 section 3.1. Undefined if the standard has none. */
  readonly oauth: string | undefined
  readonly code: ErrorCode
  /** The seconds to wait, for `Retry-After`. */
  readonly retryAfter: number | undefined
  /** The scopes that would have been enough, for the `scope` attribute of a 403 challenge. */
  readonly scope: string | undefined
  /** The highest age of the login that the route accepts, in seconds, for the `max_age` attribute of a challenge. */
  readonly maxAge: number | undefined
  /** The response headers of a rejection by a guard. Fastify's own error handler sends them. */
  headers: Record<string, string> | undefined

  constructor (
    code: ErrorCode,
    details: {
      message?: string, cause?: unknown, retryAfter?: number, scope?: string, oauth?: string, maxAge?: number
    } = {}
  ) {
    super(
      details.message ?? describeError(code).message,
      details.cause === undefined ? undefined : { cause: details.cause }
    )
    this.code = code
    const { status, oauth } = describeError(code)
    this.statusCode = status
    this.oauth = details.oauth ?? oauth
    this.retryAfter = details.retryAfter
    this.scope = details.scope
    this.maxAge = details.maxAge
  }
}

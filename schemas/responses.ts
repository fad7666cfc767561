import type { TSchema } from 'typebox'
import { describeError, oauthErrorOf, oauthMessageOf, oauthStatusOf, problemOf } from './errors.js'
import type { ErrorCode, StatusOf } from './errors.js'
import { OAuthError, Problem } from './problems.js'
import { ERROR_HEADERS } from './response-headers.js'

/** The errors of a guard. */
export const GUARDED = [
  'unauthenticated',
  'invalid_token',
  'token_expired',
  'token_revoked',
  'session_stolen',
  'revocation_unknown'
] as const satisfies ErrorCode[]

/** The errors of a guard that requires scopes. */
export const SCOPED = [...GUARDED, 'insufficient_scope'] as const satisfies ErrorCode[]

/** The errors of a guarded route that also accepts personal access tokens. */
export const OR_KEY = ['too_many_requests'] as const satisfies ErrorCode[]

/** The errors of every route that takes a body. */
export const BODY = ['invalid_request', 'payload_too_large', 'unsupported_media_type'] as const satisfies ErrorCode[]

/** The errors of every route. */
const ALWAYS = ['headers_too_large', 'internal_error', 'store_unavailable'] as const satisfies ErrorCode[]

/** Returns the `response` entries of a route for these errors and those in `ALWAYS`, each with an example. */
export function problems<const Codes extends readonly ErrorCode[]> (
  ...codes: Codes
): Record<StatusOf<Codes[number] | typeof ALWAYS[number]>, typeof Problem> {
  return toResponses([...codes, ...ALWAYS], {
    schema: Problem,
    mediaType: 'application/problem+json',
    messageOf: ({ message }) => message,
    statusOf: ({ statusCode }) => statusCode,
    show: problemOf
  })
}

/** The same for an OAuth endpoint. */
export function oauthErrors<const Codes extends readonly ErrorCode[]> (
  ...codes: Codes
): Record<StatusOf<Codes[number] | typeof ALWAYS[number]>, typeof OAuthError> {
  return toResponses([...codes, ...ALWAYS], {
    schema: OAuthError,
    mediaType: 'application/json',
    messageOf: oauthMessageOf,
    statusOf: oauthStatusOf,
    show: oauthErrorOf
  })
}

/** An error as the functions of `schemas/errors.ts` take it. */
interface ErrorLike {
  code: ErrorCode
  statusCode: number
  oauth: string | undefined
  message: string
}

interface Form<Schema extends TSchema> {
  schema: Schema
  mediaType: string
  messageOf (error: ErrorLike): string
  statusOf (error: ErrorLike): number
  show (error: ErrorLike): unknown
}

/** Fastify takes a schema for each media type, but its types allow only one for each status, hence the cast. */
function toResponses<Status extends number, Schema extends TSchema> (
  codes: ErrorCode[],
  { schema, mediaType, messageOf, statusOf, show }: Form<Schema>
): Record<Status, Schema> {
  const errors = [...new Set(codes)].map(code => {
    const { status: statusCode, oauth, message } = describeError(code)
    const error = { code, statusCode, oauth, message }
    return { ...error, message: messageOf(error) }
  })
  return Object.fromEntries([...new Set(errors.map(statusOf))].map(status => {
    const these = errors.filter(error => statusOf(error) === status)
    return [
      status,
      {
        description: these.map(({ code, message }) => `\`${code}\`: ${message}`).join('\n\n'),
        headers: ERROR_HEADERS[status],
        content: {
          [mediaType]: {
            schema,
            examples: Object.fromEntries(these.map(error => [error.code, { value: show(error) }]))
          }
        }
      }
    ]
  })) as unknown as Record<Status, Schema>
}

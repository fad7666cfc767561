import { STATUS_CODES } from 'node:http'
import { listNames, OAUTH_BODY_TYPES } from './common.js'
import type { OAuthError, Problem } from './problems.js'

/**
 * Every error that a client can receive. The code is part of the API, and the message can change. `oauth` is the code
 * of RFC 6749 section 5.2 or RFC 6750 section 3.1, if an OAuth endpoint or a Bearer challenge can report the error.
 * `expected` marks a rejection with a 5xx status that is not a fault, so it is not logged as an error. `isNamed`: the
 * message of an OAuth endpoint names the code, because RFC 6749 has no error code for it.
 */
const TABLE = {
  invalid_request: { status: 400, oauth: 'invalid_request', message: 'The request is malformed.' },
  invalid_scope: { status: 400, oauth: 'invalid_scope', message: 'A requested scope is unknown or was not granted.' },
  unsupported_grant_type: {
    status: 400,
    oauth: 'unsupported_grant_type',
    message: 'This grant_type is not supported.'
  },
  unauthorized_client: {
    status: 400,
    oauth: 'unauthorized_client',
    message: 'The client is not allowed to use this grant_type.'
  },
  token_of_another_client: {
    status: 400,
    oauth: 'invalid_grant',
    message: 'The token was issued to another client: only that client can revoke it.'
  },
  password_rejected: {
    status: 400,
    oauth: 'invalid_request',
    message: 'The new password does not meet the password policy.'
  },
  invalid_client: {
    status: 401,
    oauth: 'invalid_client',
    message: 'The client is unknown, or its secret is wrong or missing. Send the id and secret of a registered ' +
      'client, or only the id if the client is public. Your own app can send client_id=latchkey without a secret.'
  },
  invalid_credentials: { status: 401, oauth: 'invalid_grant', message: 'The username or password is incorrect.' },
  unauthenticated: { status: 401, oauth: undefined, message: 'Authentication is required.' },
  invalid_token: { status: 401, oauth: 'invalid_token', message: 'The access token is invalid.' },
  token_expired: { status: 401, oauth: 'invalid_token', message: 'The access token expired.' },
  token_revoked: { status: 401, oauth: 'invalid_token', message: 'The access token was revoked.' },
  invalid_refresh_token: {
    status: 401,
    oauth: 'invalid_grant',
    message: 'The refresh token is invalid, expired or revoked.'
  },
  session_stolen: {
    status: 401,
    oauth: 'invalid_grant',
    message: 'Two parties have used the same refresh token of this session, so the session was ended: log in again.',
    isNamed: true
  },
  insufficient_user_authentication: {
    status: 401,
    oauth: 'insufficient_user_authentication',
    message: 'This route requires a more recent login: log in again.'
  },
  insufficient_scope: { status: 403, oauth: 'insufficient_scope', message: 'The access token lacks a required scope.' },
  user_required: {
    status: 403,
    oauth: 'insufficient_scope',
    message: 'The access token belongs to a machine client: use the token of a user.'
  },
  cross_site_request: {
    status: 403,
    oauth: 'invalid_request',
    message: 'A request from another site cannot use the cookies of this site.'
  },
  wrong_password: { status: 403, oauth: 'invalid_request', message: 'The current password is incorrect.' },
  not_found: { status: 404, oauth: 'invalid_request', message: 'This resource does not exist.' },
  method_not_allowed: {
    status: 405,
    oauth: 'invalid_request',
    message: 'This method is not allowed here: use one that the Allow header lists.'
  },
  request_timeout: { status: 408, oauth: 'invalid_request', message: 'The request took too long to arrive.' },
  username_taken: { status: 409, oauth: undefined, message: 'This username is taken.' },
  last_administrator: {
    status: 409,
    oauth: undefined,
    message: 'This is the last enabled user with users:write. Grant that scope to another user first.'
  },
  payload_too_large: { status: 413, oauth: 'invalid_request', message: 'The request body is too large.' },
  unsupported_media_type: {
    status: 415,
    oauth: 'invalid_request',
    message: 'The content type must be application/json.'
  },
  too_many_requests: {
    status: 429,
    oauth: 'invalid_request',
    message: 'Too many attempts from this address: wait, then try again.'
  },
  too_many_failures: {
    status: 429,
    oauth: 'invalid_request',
    message: 'Too many attempts have failed: wait, then try again.'
  },
  headers_too_large: {
    status: 431,
    oauth: 'invalid_request',
    message: 'The request has too many headers, or they are too long.'
  },
  internal_error: { status: 500, oauth: 'server_error', message: 'Something went wrong on the server.' },
  history_not_kept: {
    status: 501,
    expected: true,
    oauth: 'invalid_request',
    message: "Only the current version of a status list is available: leave out 'time'."
  },
  overloaded: {
    status: 503,
    expected: true,
    oauth: 'temporarily_unavailable',
    message: 'Too many logins are waiting: try again in a moment.'
  },
  feed_unavailable: {
    status: 503,
    expected: true,
    oauth: 'temporarily_unavailable',
    message: 'Too many clients are connected to the revocation feed: try again in a moment.'
  },
  account_changed: {
    status: 503,
    expected: true,
    oauth: 'temporarily_unavailable',
    message: 'The account was changed during this request: try again.'
  },
  store_unavailable: {
    status: 503,
    oauth: 'temporarily_unavailable',
    message: 'The database is not available: try again in a moment.'
  },
  revocation_unknown: {
    status: 503,
    oauth: 'temporarily_unavailable',
    message: "The token's revocation status is currently unknown: try again in a moment."
  }
} as const satisfies Record<string, ErrorDescription>

interface ErrorDescription {
  status: number
  oauth: string | undefined
  message: string
  expected?: true
  isNamed?: true
}

/** The stable name of an error, which programs can rely on. */
export type ErrorCode = keyof typeof TABLE

/** Every code, for the table in docs/reference/errors.md. */
export const ERROR_CODES = Object.keys(TABLE) as ErrorCode[]

/** The HTTP status of an error. */
export type StatusOf<Code extends ErrorCode> = typeof TABLE[Code]['status']

/** The row of the table for `code`. */
export function describeError (code: ErrorCode): ErrorDescription {
  return TABLE[code]
}

/**
 * The message of an error at an OAuth endpoint. These endpoints read more media types than the others, and their errors
 * have no member for Latchkey's own code.
 */
export function oauthMessageOf ({ code, message }: { code: string, message: string }): string {
  if (code === 'unsupported_media_type') return `The content type must be ${listNames(OAUTH_BODY_TYPES)}.`
  return isNamed(code) ? message.replace(/\.$/, ` (${code}).`) : message
}

/** Returns the problem document of an error. */
export function problemOf (
  { statusCode, message, code }: { statusCode: number, message: string, code: string }
): Problem {
  return { type: 'about:blank', title: STATUS_CODES[statusCode] ?? 'Error', status: statusCode, detail: message, code }
}

/** The same for an OAuth endpoint. RFC 6749 section 5.2 allows printable ASCII except double quote and backslash. */
export function oauthErrorOf ({ oauth, message }: { oauth: string | undefined, message: string }): OAuthError {
  return {
    error: oauth ?? 'invalid_request',
    error_description: message.replace(/[^\x20\x21\x23-\x5B\x5D-\x7E]/g, "'")
  }
}

function isNamed (code: string): boolean {
  return Object.hasOwn(TABLE, code) && describeError(code as ErrorCode).isNamed === true
}

/**
 * The status of an error at an OAuth endpoint. As specified in RFC 6749 section 5.2, a bad grant is 400, because 401 is
 * for failed client authentication.
 */
export function oauthStatusOf ({ statusCode, oauth }: { statusCode: number, oauth: string | undefined }): number {
  return oauth === 'invalid_grant' ? 400 : statusCode
}

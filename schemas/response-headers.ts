import type { TSchema } from 'typebox'

/** The schema of a header of a response, by its name. */
type Headers = Readonly<Record<string, { type: 'string' | 'integer', description: string }>>

/** The cookies of a login, a refresh or a logout. */
export const SET_COOKIE: Headers = {
  'Set-Cookie': { type: 'string', description: 'The cookies of the tokens. No script can read them.' }
}

/** The version of a response. */
export const ETAG: Headers = {
  ETag: { type: 'string', description: 'Changes whenever the content changes. Send it in `If-None-Match`.' }
}

const CHALLENGE: Headers = {
  'WWW-Authenticate': { type: 'string', description: 'How to authenticate (RFC 6750 section 3).' }
}
const RETRY_AFTER: Headers = { 'Retry-After': { type: 'integer', description: 'Seconds to wait.' } }

/** The headers of an error response, by status. */
export const ERROR_HEADERS: Readonly<Record<number, Headers>> = {
  401: CHALLENGE,
  403: CHALLENGE,
  429: RETRY_AFTER,
  503: RETRY_AFTER
}

/** Returns the schema of a response that also has these headers, for the OpenAPI document. */
export function withHeaders<Schema extends TSchema> (schema: Schema, headers: Headers): Schema {
  return { ...schema, headers }
}

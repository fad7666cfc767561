import { Type } from 'typebox'

/** A problem document: RFC 9457. `code` is what a program switches on; the README lists the codes. */
export const Problem = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.String(),
  code: Type.String()
}, { description: 'A problem document (RFC 9457).' })

/** The error of an OAuth endpoint: RFC 6749 section 5.2. */
export const OAuthError = Type.Object({
  error: Type.String(),
  error_description: Type.String()
}, { description: 'An OAuth error (RFC 6749 section 5.2).' })

/** The `response` entries of a route for these statuses, beside its own. 500 and 503 can happen to every route that reads the store. */
export function problems<const Statuses extends readonly number[]> (...statuses: Statuses): Record<Statuses[number] | 500 | 503, typeof Problem> {
  return Object.fromEntries([...statuses, 500, 503].map(status => [status, Problem])) as Record<Statuses[number] | 500 | 503, typeof Problem>
}

/** The same for an OAuth endpoint. */
export function oauthErrors<const Statuses extends readonly number[]> (...statuses: Statuses): Record<Statuses[number] | 500 | 503, typeof OAuthError> {
  return Object.fromEntries([...statuses, 500, 503].map(status => [status, OAuthError])) as Record<Statuses[number] | 500 | 503, typeof OAuthError>
}

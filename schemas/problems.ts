import { Type } from 'typebox'
import type { Static } from 'typebox'

/** A problem document: RFC 9457. Programs can rely on `code`. docs/reference/errors.md lists the codes. */
export const Problem = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer({ minimum: 400, maximum: 599 }),
  detail: Type.String(),
  code: Type.String()
}, { title: 'Problem', description: 'A problem document (RFC 9457).' })
export type Problem = Static<typeof Problem>

/** The error of an OAuth endpoint: RFC 6749 section 5.2. */
export const OAuthError = Type.Object({
  error: Type.String(),
  error_description: Type.String()
}, { title: 'OAuthError', description: 'An OAuth error (RFC 6749 section 5.2).' })
export type OAuthError = Static<typeof OAuthError>

/**
 * Whether a client already has this representation (RFC 9110 section 13.1.2, by weak comparison).
 * @param ifNoneMatch - the `If-None-Match` header.
 * @param etag - the entity tag of the response, which must not contain a comma.
 */
export function isKnown (ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  return ifNoneMatch.trim() === '*' || ifNoneMatch.split(',').some(tag => tag.trim().replace(/^W\//, '') === etag)
}

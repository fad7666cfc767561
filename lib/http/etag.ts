/**
 * Whether a client has this representation already: RFC 9110 section 13.1.2, by weak comparison.
 * @param ifNoneMatch - the header as it came.
 * @param etag - the entity tag of what would be sent, without a comma in it.
 */
export function isKnown (ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  return ifNoneMatch.trim() === '*' || ifNoneMatch.split(',').some(tag => tag.trim().replace(/^W\//, '') === etag)
}

/** The algorithms that access tokens can be signed with (RFC 7518 section 3.1, RFC 8037 section 3.1). */
export const ALGORITHMS = ['ES256', 'RS256', 'PS256', 'EdDSA', 'HS256'] as const
export type Algorithm = typeof ALGORITHMS[number]

import type { Algorithm } from '../../schemas/algorithms.js'
import { REQUIRED_CLAIMS } from '../identity/access-token.js'

/**
 * The profile of our tokens, for a library that verifies JWTs: one algorithm, our type, issuer and audience, and all
 * required claims. `verification.ts` does what is left open here. It checks the times, because the library cannot use
 * our clock and accepts a token at `exp` itself. It has a cache, because the library's would accept what a removed key
 * signed.
 */
export function jwtProfileOf (
  algorithm: Algorithm,
  { issuer, audience }: { issuer: string, audience: readonly string[] }
) {
  return {
    algorithms: [algorithm],
    checkTyp: 'at+jwt',
    allowedIss: issuer,
    allowedAud: [...audience],
    requiredClaims: [...REQUIRED_CLAIMS],
    ...OPEN
  }
}

/** The options that leave times and cache open, for every token. */
export const OPEN = { ignoreExpiration: true, ignoreNotBefore: true, cache: false } as const

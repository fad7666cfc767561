import type { Algorithm } from '../../schemas/algorithms.js'
import { REQUIRED_CLAIMS } from '../identity/access-token.js'

/**
 * What a library that verifies JWTs is told of our tokens: one algorithm, our type, issuer and audience, and every claim there. Left
 * open, and closed in `token-verification.ts`: the times (its clock cannot be ours, and it accepts a token at `exp` itself) and
 * the cache (it accepts what a removed key signed).
 */
export function jwtProfileOf (algorithm: Algorithm, { issuer, audience }: { issuer: string, audience: readonly string[] }) {
  return {
    algorithms: [algorithm],
    checkTyp: 'at+jwt',
    allowedIss: issuer,
    allowedAud: [...audience],
    requiredClaims: [...REQUIRED_CLAIMS],
    ...OPEN
  }
}

/** What is left open for every token. */
export const OPEN = { ignoreExpiration: true, ignoreNotBefore: true, cache: false } as const

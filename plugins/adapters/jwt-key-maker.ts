import fastifyJwt from '@fastify/jwt'
import type { FastifyJWTOptions } from '@fastify/jwt'
import { REQUIRED_CLAIMS } from '../../lib/identity/access-token.js'
import { jwtProfileOf, OPEN } from '../../lib/tokens/jwt-profile.js'
import type { AuthenticatedUser } from '../../lib/identity/access-token.js'
import type { JwtKey, JwtKeyMaker, VerifyOnlyJwtKey } from '../../lib/keys/keyring.js'
import type { SigningKey, VerifyOnlyKey } from '../../lib/keys/material.js'
import { isolate } from './isolate.js'

declare module '@fastify/jwt' {
  // The types of @fastify/jwt declare `request.user` in this package. In an app they do so only if it imports them.
  interface FastifyJWT {
    user: AuthenticatedUser
  }
}

/**
 * Makes one @fastify/jwt for each key. So a key is parsed once, and a token can only be verified with the algorithm of
 * its key.
 */
export function createJwtKeyMaker ({ issuer, audience }: { issuer: string, audience: readonly string[] }): JwtKeyMaker {
  return {
    toJwtKey: key => toJwtKey(key, { issuer, audience }),
    toVerifyOnlyJwtKey
  }
}

/**
 * Makes a key with our type, issuer and audience pinned, and every claim required. Rejects if the key does not verify
 * what it signs.
 */
async function toJwtKey (
  key: SigningKey,
  { issuer, audience }: { issuer: string, audience: readonly string[] }
): Promise<JwtKey> {
  const options: FastifyJWTOptions = {
    secret: typeof key.private === 'string' ? { private: key.private, public: key.public } : key.private,
    sign: { algorithm: key.algorithm, kid: key.kid, header: { alg: key.algorithm, typ: 'at+jwt' } },
    verify: jwtProfileOf(key.algorithm, { issuer, audience })
  }
  const { jwt } = await isolate(fastifyJwt, options)
  const claims = Object.fromEntries(REQUIRED_CLAIMS.map(claim => [claim, claim]))
  jwt.verify(jwt.sign({ ...claims, iss: issuer, aud: [...audience], iat: 0, exp: 1 }))
  return {
    kid: key.kid,
    algorithm: key.algorithm,
    jwk: key.jwk,
    sign: claims => jwt.sign(claims),
    signStatusList: claims => jwt.sign(claims, { header: { alg: key.algorithm, typ: 'statuslist+jwt' } }),
    verify: token => jwt.verify(token)
  }
}

/**
 * Makes a key that checks only the signature. lib/tokens/foreign-tokens.ts judges the claims. Rejects if the key cannot
 * verify anything.
 */
async function toVerifyOnlyJwtKey (key: VerifyOnlyKey): Promise<VerifyOnlyJwtKey> {
  const { jwt } = await isolate<FastifyJWTOptions>(fastifyJwt, {
    secret: typeof key.public === 'string' ? { public: key.public } : key.public,
    verify: { algorithms: [key.algorithm], ...OPEN }
  })
  const made = { key, verify: (token: string): unknown => jwt.verify(token) }
  assertVerifies(made)
  return made
}

/**
 * Tests a key that cannot sign, with a token that it must refuse because of the signature and for no earlier reason.
 */
function assertVerifies ({ key, verify }: VerifyOnlyJwtKey): void {
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url')
  try {
    verify(`${encode({ alg: key.algorithm })}.${encode({})}.${Buffer.alloc(64, 1).toString('base64url')}`)
  } catch (error) {
    if ((error as { code?: unknown }).code === 'FAST_JWT_INVALID_SIGNATURE') return
    throw error
  }
  throw new Error('A key accepted a signature that it cannot have made')
}

import fastifyJwt from '@fastify/jwt'
import type { FastifyJWTOptions } from '@fastify/jwt'
import fp from 'fastify-plugin'
import type { SigningKey } from '../lib/keys.js'
import type { Settings } from '../lib/options.js'
import { createTokens, REQUIRED_CLAIMS } from '../lib/tokens.js'
import type { JwtKey, Tokens } from '../lib/tokens.js'
import { kClock } from './database.js'
import { isolate } from './isolate.js'
import { kSigningKeys } from './keys.js'
import { kRevocations } from './revocations.js'
import { kSettings } from './settings.js'

export const kTokens = Symbol('latchkey.tokens')

declare module 'fastify' {
  interface FastifyInstance {
    [kTokens]: Tokens
  }
}

/** The access tokens: @fastify/jwt signs and verifies, `lib/tokens.ts` decides. */
export default fp(async function latchkeyJwt (app) {
  const settings = app[kSettings]
  const keys: JwtKey[] = []
  for (const key of app[kSigningKeys]) keys.push(await toJwtKey(key, settings))
  app.decorate(kTokens, createTokens({ ...settings, keys, clock: app[kClock], revocations: app[kRevocations] }))
}, { name: 'latchkey-jwt', fastify: '5.x', dependencies: ['latchkey-keys', 'latchkey-revocations'] })

/**
 * One @fastify/jwt for each key: the key is parsed once, and a token can be verified with nothing but the algorithm of its key,
 * our type, issuer and audience, and every claim there. Left open here, and closed in `lib/tokens.ts`: the times (its clock
 * cannot be ours, and it accepts a token at `exp` itself) and the cache (see there).
 */
async function toJwtKey (key: SigningKey, { issuer, audience }: Settings): Promise<JwtKey> {
  const options: FastifyJWTOptions = {
    secret: typeof key.private === 'string' ? { private: key.private, public: key.public } : key.private,
    sign: { algorithm: key.algorithm, kid: key.kid, header: { alg: key.algorithm, typ: 'at+jwt' } },
    verify: {
      algorithms: [key.algorithm],
      checkTyp: 'at+jwt',
      allowedIss: issuer,
      allowedAud: [...audience],
      requiredClaims: [...REQUIRED_CLAIMS],
      ignoreExpiration: true,
      ignoreNotBefore: true,
      cache: false
    }
  }
  const { jwt } = await isolate(fastifyJwt, options)
  return {
    kid: key.kid,
    algorithm: key.algorithm,
    jwk: key.jwk,
    sign: claims => jwt.sign(claims),
    verify: token => jwt.verify(token)
  }
}

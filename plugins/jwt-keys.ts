import fastifyJwt from '@fastify/jwt'
import type { FastifyJWTOptions } from '@fastify/jwt'
import { jwtProfileOf, OPEN } from '../lib/jwt-profile.js'
import type { JwtKey, JwtKeyMaker, VerifyOnlyJwtKey } from '../lib/keyring.js'
import type { SigningKey, VerifyOnlyKey } from '../lib/keys.js'
import { isolate } from './isolate.js'

/**
 * One @fastify/jwt for each key: the key is parsed once, and a token can be verified with nothing but the algorithm of its key.
 */
export function createJwtKeyMaker ({ issuer, audience }: { issuer: string, audience: readonly string[] }): JwtKeyMaker {
  return {
    toJwtKey: key => toJwtKey(key, { issuer, audience }),
    toVerifyOnlyJwtKey
  }
}

/** With our type, issuer and audience pinned, and every claim there. */
async function toJwtKey (key: SigningKey, { issuer, audience }: { issuer: string, audience: readonly string[] }): Promise<JwtKey> {
  const options: FastifyJWTOptions = {
    secret: typeof key.private === 'string' ? { private: key.private, public: key.public } : key.private,
    sign: { algorithm: key.algorithm, kid: key.kid, header: { alg: key.algorithm, typ: 'at+jwt' } },
    verify: jwtProfileOf(key.algorithm, { issuer, audience })
  }
  const { jwt } = await isolate(fastifyJwt, options)
  return {
    kid: key.kid,
    algorithm: key.algorithm,
    jwk: key.jwk,
    sign: claims => jwt.sign(claims),
    signStatusList: claims => jwt.sign(claims, { header: { alg: key.algorithm, typ: 'statuslist+jwt' } }),
    verify: token => jwt.verify(token)
  }
}

/** The signature only: what such a token says is judged in lib/foreign-tokens.ts. */
async function toVerifyOnlyJwtKey (key: VerifyOnlyKey): Promise<VerifyOnlyJwtKey> {
  const { jwt } = await isolate<FastifyJWTOptions>(fastifyJwt, {
    secret: typeof key.public === 'string' ? { public: key.public } : key.public,
    verify: { algorithms: [key.algorithm], ...OPEN }
  })
  return { key, verify: token => jwt.verify(token) }
}

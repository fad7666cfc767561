import { createPrivateKey, createPublicKey } from 'node:crypto'
import type { JsonWebKey } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import fastifyJwt from '@fastify/jwt'
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Test } from 'tap'
import { LatchkeyError } from '../../lib/errors.js'
import type { SigningKey } from '../../lib/keys/material.js'
import { readOptions } from '../../lib/options/options.js'
import type { Tokens } from '../../lib/tokens/tokens.js'
import { kClock, kFollower, kStore } from '../../plugins/database.js'
import { isolate } from '../../plugins/adapters/isolate.js'
import tokensPlugin, { kTokens } from '../../plugins/tokens.js'
import { createJwtKeyMaker } from '../../plugins/adapters/jwt-key-maker.js'
import { kKeyring } from '../../plugins/keys.js'
import { kRevocations } from '../../plugins/revocations.js'
import { kSeenGenerations } from '../../plugins/sessions.js'
import { kSettings } from '../../plugins/settings.js'
import { ALGORITHMS } from '../../schemas/algorithms.js'
import type { Algorithm } from '../../schemas/algorithms.js'
import { createFixedKeyring, createWorld, ISSUER } from '../lib/support.js'

/**
 * The published vectors beside the repository: never copied into it. Found from its root, and from anywhere else
 * through `dist`.
 */
const FOLDERS = [...new Set([resolve('../shared/vectors'), resolve(import.meta.dirname, '../../../../shared/vectors')])]
const folder = FOLDERS.find(path => existsSync(path))

/** Why the tests that need the vectors are skipped; false where they are not. */
export const MISSING = folder === undefined ? `no published vectors: there is no ${FOLDERS.join(' and no ')}` : false

export function readVectors<T> (file: string): T {
  if (folder === undefined) throw new Error(String(MISSING))
  return JSON.parse(readFileSync(join(folder, file), 'utf8')) as T
}

export interface Jwk extends JsonWebKey {
  kid?: string
  alg?: string
  use?: string
  key_ops?: string[]
}

export interface Case {
  tcId: number
  comment: string
  /** An object is a JSON serialization. */
  jws?: unknown
  jwe?: unknown
  result: 'valid' | 'invalid'
}

export interface Group<Key = Jwk> {
  comment: string
  private: Key
  public?: Key
  tests: Case[]
}

export interface WycheproofFile<Key = Jwk> {
  numberOfTests: number
  testGroups: Array<Group<Key>>
}

/** What became of a token. Any other text is an exception that should not be. */
export type Verdict = 'accepted' | 'refused' | `threw ${string}`

/** Cases that end otherwise than their file says, and why. */
export interface Difference {
  tcIds: readonly number[]
  because: string
}

export function textOf ({ jws, jwe }: Case): string {
  const token = jws ?? jwe
  return typeof token === 'string' ? token : JSON.stringify(token)
}

function expectedOf ({ result }: Case): Verdict {
  return result === 'valid' ? 'accepted' : 'refused'
}

/** All whole numbers from `first` to `last`. */
export function range (first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}

/** Both ways: a case that differs and is not in the table, and one that is in the table and no longer differs. */
export function assertDifferences (
  t: Test, file: Pick<WycheproofFile<unknown>, 'numberOfTests' | 'testGroups'>, verdicts: ReadonlyMap<number, Verdict>,
  table: readonly Difference[]
): void {
  const cases = file.testGroups.flatMap(group => group.tests)
  t.equal(verdicts.size, file.numberOfTests, 'every case was driven')
  const listed = new Set(table.flatMap(({ tcIds }) => tcIds))
  const describe = (
    { tcId, comment, result }: Case, verdict: Verdict | undefined
  ): string => `${tcId} ${comment}: ${result}, ${verdict}`
  const found = cases.filter(
    one => verdicts.get(one.tcId) !== expectedOf(one)
  ).map(one => describe(one, verdicts.get(one.tcId)))
  const expected = cases.filter(({ tcId }) => listed.has(tcId)).map(
    one => describe(one, one.result === 'valid' ? 'refused' : 'accepted')
  )
  t.strictSame(found, expected, 'the cases of the table differ from the file, and no others')
}

/**
 * A key as it would be in our store, of a JWK: `alg`, `use` and `key_ops` are lost in a PEM. Throws where no key can be
 * made of it.
 * @param algorithm - what the key is pinned to; the vectors also know algorithms that are not among ours.
 */
export function toSigningKey (jwk: Jwk, publicJwk: Jwk | undefined, algorithm: string): SigningKey {
  const common = { kid: jwk.kid ?? 'unnamed', algorithm: algorithm as Algorithm, jwk: null }
  if (jwk.kty === 'oct') {
    const bytes = Buffer.from(String(jwk.k), 'base64url')
    return { ...common, private: bytes, public: bytes }
  }
  return {
    ...common,
    private: createPrivateKey({ key: jwk, format: 'jwk' }).export({ type: 'pkcs8', format: 'pem' }).toString(),
    public: createPublicKey({ key: publicJwk ?? jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' }).toString()
  }
}

export function isOurs (algorithm: string | undefined): algorithm is Algorithm {
  return (ALGORITHMS as readonly unknown[]).includes(algorithm)
}

/**
 * @fastify/jwt registered as plugins/adapters/jwt-key-maker.ts does for a key, without what is about our claims and not
 * about signatures. The payloads of the vectors are no JSON objects, and would all be refused for that: see
 * `withAnyPayload`.
 */
export async function createSignatureLayer (key: SigningKey): Promise<(token: string) => Verdict> {
  const { jwt } = await isolate(fastifyJwt, {
    secret: typeof key.private === 'string' ? { private: key.private, public: key.public } : key.private,
    sign: { algorithm: key.algorithm, kid: key.kid },
    verify: { algorithms: [key.algorithm], ignoreExpiration: true, ignoreNotBefore: true, cache: false }
  })
  return token => {
    try {
      withAnyPayload(() => jwt.verify(token))
      return 'accepted'
    } catch {
      return 'refused'
    }
  }
}

/**
 * Fast-jwt parses two texts, header and payload. While `work` runs, a payload that is no JSON object reads as an empty
 * one.
 */
function withAnyPayload (work: () => unknown): void {
  const { parse } = JSON
  let texts = 0
  JSON.parse = (text: string) => {
    if (++texts !== 2) return parse(text)
    try {
      const payload: unknown = parse(text)
      if (typeof payload === 'object' && payload !== null && !Array.isArray(payload)) return payload
    } catch {}
    return {}
  }
  try {
    work()
  } finally {
    JSON.parse = parse
  }
}

/** The real verification path over the given keys, the last of which signs. */
export interface VerificationPath {
  tokens: Tokens
  /** A good token, signed by the last key. */
  good: string
  drive (token: string): Promise<Verdict>
}

/** Makes verification paths over one store. */
export async function createPaths (t: Test): Promise<(keys: readonly SigningKey[]) => Promise<VerificationPath>> {
  const { store, clock, follower, revocations, sessions, seen, addUser } = await createWorld(t)
  const grant = await sessions.start(await addUser())
  const settings = readOptions({ issuer: ISSUER, database: ':memory:' })
  return async keys => {
    const jwtKeys = await Promise.all(keys.map(createJwtKeyMaker(settings).toJwtKey))
    const app = fastify({ logger: false }) as FastifyInstance
    app.decorate(kSettings, settings)
    app.decorate(kClock, clock)
    app.decorate(kFollower, follower)
    app.decorate(kStore, store)
    await app.register(fp(
      async app => { app.decorate(kKeyring, createFixedKeyring(jwtKeys)) }, { name: 'latchkey-keys' }
    ))
    await app.register(fp(async app => { app.decorate(kRevocations, revocations) }, { name: 'latchkey-revocations' }))
    await app.register(fp(async app => { app.decorate(kSeenGenerations, seen) }, { name: 'latchkey-sessions' }))
    await app.register(tokensPlugin)
    const tokens = app[kTokens]
    return {
      tokens,
      good: await tokens.sign(grant),
      async drive (token) {
        try {
          await tokens.verify(token)
          return 'accepted'
        } catch (error) {
          return error instanceof LatchkeyError && error.code === 'invalid_token' ? 'refused' : `threw ${String(error)}`
        }
      }
    }
  }
}

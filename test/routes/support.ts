import { constants, createHmac, createPrivateKey, createPublicKey, sign as signBytes } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { fastify } from 'fastify'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import type { Test } from 'tap'
import latchkey from '../../app.js'
import type { LatchkeyOptions } from '../../app.js'
import { ERROR_CODES } from '../../schemas/errors.js'
import { deriveKeys, unseal } from '../../lib/keys/secrets.js'
import { engineOf } from '../../lib/store/engines.js'
import type { EngineName } from '../../lib/store/engines.js'
import type { Store } from '../../lib/store/store.js'
import type { ClientGrant } from '../../schemas/grants.js'
import { kStore } from '../../plugins/database.js'
import { addUsers, askBefore, createTestClock, ON_POSTGRES, SECRET, TEST_OPTIONS } from '../helper.js'
import { createDatabase, queryPostgres } from '../postgres/databases.js'
import type { TestClock } from '../helper.js'

export { SECRET } from '../helper.js'

/**
 * The path of a new database in a folder that goes away with the test, or the URL of one on the server of the tests.
 */
export function databaseFile (t: Test): string {
  return ON_POSTGRES ? createDatabase() : join(t.testdir({}), 'auth.db')
}

/** Runs SQL on a database from outside, as another process would. */
export function query<Row> (file: string, sql: string, ...parameters: unknown[]): Row[] {
  return QUERIES[engineOf(file).name](file, sql, parameters) as Row[]
}

const QUERIES: Record<EngineName, (file: string, sql: string, parameters: unknown[]) => unknown[]> = {
  SQLite: queryFile,
  PostgreSQL: queryPostgres
}

function queryFile (file: string, sql: string, parameters: unknown[]): unknown[] {
  const database = new Database(file)
  try {
    const statement = database.prepare(sql)
    if (statement.reader) return statement.all(...parameters)
    statement.run(...parameters)
    return []
  } finally {
    database.close()
  }
}

/** The sessions in a file, oldest first. */
export function readSessions (file: string): Array<{ id: string, generation: number, ended_at: number | null }> {
  return query(file, 'select id, generation, ended_at from latchkey_sessions order by created_at, id')
}

export type Claims = Record<string, unknown>

/** Base64url of JSON; a string is taken as it is, so that a test can write what no serializer would. */
export function encode (value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
}

export function claimsOf (token: string): Claims {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Claims
}

export function headerOf (token: string): Claims {
  return JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as Claims
}

/** What to hand node:crypto for a signature or a verification under a JOSE algorithm. */
export function cryptoOf (algorithm: string): { digest: string | null, options: object } {
  switch (algorithm) {
    case 'ES256': return { digest: 'sha256', options: { dsaEncoding: 'ieee-p1363' } }
    case 'PS256': return { digest: 'sha256', options: { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } }
    case 'RS256': return { digest: 'sha256', options: {} }
    default: return { digest: null, options: {} }
  }
}

/** Signs a token with whatever header and claims: a PEM for the public-key algorithms, bytes for HS256. */
export function mint (algorithm: string, key: string | Buffer, header: unknown, claims: unknown): string {
  const input = `${encode(header)}.${encode(claims)}`
  if (Buffer.isBuffer(key)) return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`
  const { digest, options } = cryptoOf(algorithm)
  return `${input}.${signBytes(digest, Buffer.from(input), {
 key:
    createPrivateKey(key),
...options
}).toString('base64url')}`
}

export interface StolenKey {
  kid: string
  algorithm: string
  /** PEM, or bytes for HS256. */
  key: string | Buffer
  publicPem: string
}

/**
 * The signing key of a database made with `SECRET`: what an attacker never has, and what the tests need to sign odd
 * tokens.
 */
export function openSigningKey (file: string): StolenKey {
  const [row] = query<{ kid: string, algorithm: string, sealed: string }>(
    file, 'select kid, algorithm, sealed from latchkey_keys order by created_at desc'
  )
  if (row === undefined) throw new Error('There is no key')
  const secret = unseal(deriveKeys([SECRET])[0].seal, row.sealed, `${row.kid} ${row.algorithm}`)
  if (secret === undefined) throw new Error('The key does not open')
  if (row.algorithm === 'HS256') return { ...row, key: Buffer.from(secret, 'base64url'), publicPem: '' }
  return { ...row, key: secret, publicPem: createPublicKey(secret).export({ type: 'spki', format: 'pem' }).toString() }
}

/** Listens on a free port; returns the origin. */
export async function listen (app: FastifyInstance): Promise<string> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
}

/** An empty host, closed when the test ends. */
export function createHost (t: Test): FastifyInstance {
  const host = fastify({ logger: false }) as FastifyInstance
  t.teardown(() => host.close())
  askBefore(host)
  return host
}

/**
 * A host with Latchkey and `alice` in it, whose routes and hooks the test makes; and the store beneath, to break it.
 */
export async function buildHost (
  t: Test, options: LatchkeyOptions, arrange: (app: FastifyInstance) => void | Promise<void> = () => {}
): Promise<{ app: FastifyInstance, clock: TestClock, store: Store }> {
  const clock = createTestClock()
  const app = createHost(t)
  const scopes: FastifyInstance[] = []
  app.addHook('onRegister', scope => { scopes.push(scope) })
  await app.register(latchkey, { ...TEST_OPTIONS, now: clock, ...options })
  await arrange(app)
  await app.ready()
  if (options.users === undefined) await addUsers(app, ['alice'])
  const store = scopes.find(scope => scope[kStore] !== undefined)?.[kStore]
  if (store === undefined) throw new Error('There is no store')
  return { app, clock, store }
}

/** Registers a machine client, and says how it authenticates: by Basic, or in the body. */
export async function addClient (
  app: FastifyInstance,
  { name = 'billing', scopes = ['items:read'], grants }: {
    name?: string, scopes?: string[], grants?: ClientGrant[]
  } = {}
): Promise<RegisteredClient> {
  const { client, secret } = await app.latchkey.clients.add({ name, scopes, grants })
  return {
    id: client.id, secret, form: { client_id: client.id, client_secret: secret }, basic: basic(client.id, secret)
  }
}

export interface RegisteredClient {
  id: string
  secret: string
  form: { client_id: string, client_secret: string }
  basic: { authorization: string }
}

/** HTTP Basic as RFC 6749 section 2.3.1 has it. */
export function basic (id: string, secret: string): { authorization: string } {
  return {
    authorization: `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64')}`
  }
}

/** A problem document in the contract's form, and nothing in it that should not be there. */
export function assertProblem (
  t: Test, response: LightMyRequestResponse, status: number, code?: string, name = 'the answer'
): void {
  t.equal(response.statusCode, status, `${name} has the status`)
  t.equal(response.headers['content-type'], 'application/problem+json; charset=utf-8', `${name} is a problem document`)
  const problem = parse(response)
  t.strictSame(
    Object.keys(problem).sort(), ['code', 'detail', 'status', 'title', 'type'],
    `${name} has these members and no others`
  )
  t.equal(problem.status, status, `${name} repeats the status`)
  t.ok((ERROR_CODES as string[]).includes(String(problem.code)), `${name} has a code of the table`)
  if (code !== undefined) t.equal(problem.code, code, `${name} has the code`)
  assertDiscreet(t, response, name)
}

/** An error of an OAuth endpoint: RFC 6749 section 5.2. */
export function assertOAuthError (
  t: Test, response: LightMyRequestResponse, status: number, error?: string, name = 'the answer'
): void {
  t.equal(response.statusCode, status, `${name} has the status`)
  t.match(response.headers['content-type'], /^application\/json\b/, `${name} is JSON`)
  t.equal(response.headers['cache-control'], 'no-store', `${name} is not cached`)
  const body = parse(response)
  t.strictSame(Object.keys(body).sort(), ['error', 'error_description'], `${name} has these members and no others`)
  t.match(
    body.error_description, /^[\x20\x21\x23-\x5B\x5D-\x7E]+$/,
    `${name} describes itself in the characters that the RFC allows`
  )
  if (error !== undefined) t.equal(body.error, error, `${name} has the error`)
  assertDiscreet(t, response, name)
}

function parse (response: LightMyRequestResponse): Record<string, unknown> {
  try {
    return response.json()
  } catch {
    return {}
  }
}

/** No stack, no SQL, no path, no hash. */
export function assertDiscreet (t: Test, response: LightMyRequestResponse, name = 'the answer'): void {
  t.notMatch(
    response.body, /\bat \S+ \(|node_modules|\.js:\d|SQLITE|sqlite|select |insert |\$2[aby]\$|database connection/,
    `${name} tells nothing of the inside`
  )
}

/** What an observer sees of an answer, without what always differs. */
export function visible (response: LightMyRequestResponse): { status: number, headers: object, body: string } {
  const { date: _date, ...headers } = response.headers
  return { status: response.statusCode, headers, body: response.body }
}

import { fastify } from 'fastify'
import type { FastifyInstance, FastifyServerOptions, LightMyRequestResponse } from 'fastify'
import type { Test } from 'tap'
import latchkey from '../app.js'
import type { LatchkeyOptions } from '../app.js'
import { hashPassword } from '../lib/passwords/hashing.js'
import { kStore } from '../plugins/database.js'
import { createDatabase } from './postgres/databases.js'
import './shared-threads.js'

/** The password of every user of the tests. */
export const PASSWORD = 'marble otter sings at noon'

/** A hash of it for each username, made once: a hash takes milliseconds, and most tests add the same two users. */
const hashes = new Map<string, string>()

function hashFor (username: string): string {
  const hash = hashes.get(username) ?? hashPassword(PASSWORD, 4)
  hashes.set(username, hash)
  return hash
}

/** A clock that stands still until it is moved. Starts now: foreign verifiers have no other. */
export interface TestClock {
  (): number
  /** Moves it by so many milliseconds, backwards too. */
  move (milliseconds: number): void
}

export function createTestClock (): TestClock {
  let time = Date.now()
  return Object.assign(() => time, { move (milliseconds: number) { time += milliseconds } })
}

/** Whether the databases of the tests are PostgreSQL's: `npm run test:postgres` says so. */
export const ON_POSTGRES = process.env.LATCHKEY_TEST_ENGINE === 'postgres'

/** A service's secret that the tests know. */
export const SECRET = 'a secret of the tests, of more than 32 bytes'

/**
 * The options that make a test quick and quiet: cheap hashes, no limit on attempts, and a database that is new each
 * time they are spread, in memory where it can be.
 */
export const TEST_OPTIONS = {
  get database (): string { return ON_POSTGRES ? createDatabase() : ':memory:' },
  ...(ON_POSTGRES ? { secret: SECRET } : {}),
  bcryptCost: 4,
  rateLimit: false,
  scopes: { admin: 'Administer everything', 'items:read': 'Read items', 'items:write': 'Change items' }
} as const satisfies LatchkeyOptions

/**
 * A host app with Latchkey in it and two routes of its own, closed when the test ends. `alice` has `admin` and
 * `items:read`, `bob` has `items:read`; they are there unless the host brings its own users.
 */
export async function build (
  t: Test,
  options: LatchkeyOptions = {},
  server: FastifyServerOptions = {},
  addRoutes: (app: FastifyInstance) => void = () => {}
): Promise<{ app: FastifyInstance, clock: TestClock }> {
  const clock = createTestClock()
  const app = fastify({ logger: false, ...server } as FastifyServerOptions) as FastifyInstance
  t.teardown(() => app.close())
  askBefore(app)
  await app.register(latchkey, { ...TEST_OPTIONS, now: clock, ...options })
  app.get(
    '/protected-route', { onRequest: app.authenticate },
    async request => ({ id: request.user.id, scopes: request.user.scopes })
  )
  app.post('/protected-route', { onRequest: app.authenticate }, async request => ({ id: request.user.id }))
  app.get('/admin/', { preHandler: app.requireScopes('admin') }, async request => ({ id: request.user.id }))
  addRoutes(app)
  await app.ready()
  if (options.users === undefined) await addUsers(app)
  return { app, clock }
}

/**
 * With SQLite the next request knows what another process has committed. With PostgreSQL some request within the bound
 * does: a test of two nodes must not hang on which, so each request asks before it begins. What happens within the
 * bound is for test/postgres.
 */
export function askBefore (app: FastifyInstance): void {
  if (!ON_POSTGRES) return
  const scopes: FastifyInstance[] = []
  app.addHook('onRegister', scope => { scopes.push(scope) })
  app.addHook('onRequest', async () => {
    // Where it fails the request will be told so.
    await scopes.find(scope => scope[kStore] !== undefined)?.[kStore].poll().catch(() => {})
  })
}

/**
 * Adds users by their hashes. A check of their password would load dictionaries, which takes longer than most tests.
 */
export async function addUsers (app: FastifyInstance, names: readonly string[] = ['alice', 'bob']): Promise<void> {
  const { users } = app.latchkey
  if (await users.findByName('alice') !== null) return
  const scopes: Record<string, string[]> = { alice: ['admin', 'items:read'], bob: ['items:read'] }
  const values = names.map(username => ({ username, scopes: scopes[username], password_hash: hashFor(username) }))
  await users.startImport()(values.map((value, index) => ({ line: index + 1, value })))
}

/** The body of a successful answer of `POST /token`. */
export interface TokenBody {
  access_token: string
  token_type: string
  expires_in: number
  refresh_token: string
  scope: string
}

/** Posts a form, as RFC 6749 has it. */
export async function postForm (
  app: FastifyInstance, url: string, form: Record<string, string>, headers: Record<string, string> = {}
): Promise<LightMyRequestResponse> {
  return await app.inject({
    method: 'POST',
    url,
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    payload: new URLSearchParams(form).toString()
  })
}

/** Logs in at `POST /token` and returns the tokens. */
export async function logIn (
  app: FastifyInstance, username = 'alice', form: Record<string, string> = {}
): Promise<TokenBody> {
  const response = await postForm(app, '/token', { grant_type: 'password', username, password: PASSWORD, ...form })
  if (response.statusCode !== 200) {
    throw new Error(
    `Logging in ${username} failed: ${response.statusCode} ${response.body}`
    )
  }
  return response.json()
}

/** The header that carries an access token. */
export function bearer (token: string): { authorization: string } {
  return { authorization: `Bearer ${token}` }
}

/** Logs in at `POST /login` and returns the `Cookie` header that a browser would send from then on. */
export async function logInWithCookies (app: FastifyInstance, username = 'alice'): Promise<{ cookie: string }> {
  const response = await app.inject({ method: 'POST', url: '/login', payload: { username, password: PASSWORD } })
  if (response.statusCode !== 200) {
    throw new Error(
    `Logging in ${username} failed: ${response.statusCode} ${response.body}`
    )
  }
  return { cookie: cookieHeader(response) }
}

/** The `Cookie` header that a browser would send after an answer. */
export function cookieHeader (response: LightMyRequestResponse): string {
  return response.cookies.map(({ name, value }) => `${name}=${value}`).join('; ')
}

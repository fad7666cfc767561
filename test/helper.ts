import { fastify } from 'fastify'
import type { FastifyInstance, FastifyServerOptions, LightMyRequestResponse } from 'fastify'
import type { Test } from 'tap'
import latchkey from '../app.js'
import type { LatchkeyOptions } from '../app.js'

/** The password of every user of the tests. */
export const PASSWORD = 'correct horse battery staple'

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

/** The options that make a test quick and quiet: in memory, cheap hashes, no limit on attempts. */
export const TEST_OPTIONS = {
  database: ':memory:',
  bcryptCost: 4,
  rateLimit: false,
  scopes: { admin: 'Administer everything', 'items:read': 'Read items', 'items:write': 'Change items' }
} as const satisfies LatchkeyOptions

/**
 * A host app with Latchkey in it and two routes of its own, closed when the test ends. `alice` has `admin` and `items:read`,
 * `bob` has `items:read`; they are there unless the host brings its own users.
 */
export async function build (t: Test, options: LatchkeyOptions = {}, server: FastifyServerOptions = {}): Promise<{ app: FastifyInstance, clock: TestClock }> {
  const clock = createTestClock()
  const app = fastify({ logger: false, ...server } as FastifyServerOptions) as FastifyInstance
  t.teardown(() => app.close())
  await app.register(latchkey, { ...TEST_OPTIONS, now: clock, ...options })
  app.get('/protected-route', { onRequest: app.authenticate }, async request => ({ id: request.user.id, scopes: request.user.scopes }))
  app.post('/protected-route', { onRequest: app.authenticate }, async request => ({ id: request.user.id }))
  app.get('/admin/', { preHandler: app.requireScopes('admin') }, async request => ({ id: request.user.id }))
  await app.ready()
  if (options.users === undefined) await addUsers(app)
  return { app, clock }
}

async function addUsers (app: FastifyInstance): Promise<void> {
  const { users } = app.latchkey
  if (await users.findByName('alice') !== null) return
  await users.add({ username: 'alice', password: PASSWORD, scopes: ['admin', 'items:read'] })
  await users.add({ username: 'bob', password: PASSWORD, scopes: ['items:read'] })
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
export async function postForm (app: FastifyInstance, url: string, form: Record<string, string>, headers: Record<string, string> = {}): Promise<LightMyRequestResponse> {
  return await app.inject({ method: 'POST', url, headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers }, payload: new URLSearchParams(form).toString() })
}

/** Logs in at `POST /token` and returns the tokens. */
export async function logIn (app: FastifyInstance, username = 'alice', form: Record<string, string> = {}): Promise<TokenBody> {
  const response = await postForm(app, '/token', { grant_type: 'password', username, password: PASSWORD, ...form })
  if (response.statusCode !== 200) throw new Error(`Logging in ${username} failed: ${response.statusCode} ${response.body}`)
  return response.json()
}

/** The header that carries an access token. */
export function bearer (token: string): { authorization: string } {
  return { authorization: `Bearer ${token}` }
}

/** Logs in at `POST /login` and returns the `Cookie` header that a browser would send from then on. */
export async function logInWithCookies (app: FastifyInstance, username = 'alice'): Promise<{ cookie: string }> {
  const response = await app.inject({ method: 'POST', url: '/login', payload: { username, password: PASSWORD } })
  if (response.statusCode !== 200) throw new Error(`Logging in ${username} failed: ${response.statusCode} ${response.body}`)
  return { cookie: cookieHeader(response) }
}

/** The `Cookie` header that a browser would send after an answer. */
export function cookieHeader (response: LightMyRequestResponse): string {
  return response.cookies.map(({ name, value }) => `${name}=${value}`).join('; ')
}

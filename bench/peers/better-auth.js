// better-auth with its session check, e-mail and password, on SQLite. It has no scopes, hashes with scrypt instead of
// bcrypt, and reads the session from a cookie. Its rate limit and its telemetry are off, because the rate limit would
// stop the login benchmark.
//
// With the argument `cookie-cache`, a signed copy of the session in a second cookie saves the query. According to its
// documentation, a revoked session may then stay active until the copy expires, so this peer announces nothing as
// revoked. The copy lives for 15 minutes instead of the five in the documentation. The load generator does not store
// new copies, so with five minutes it would measure the database again.
//
// Based on https://www.better-auth.com/docs/integrations/fastify,
// https://www.better-auth.com/docs/concepts/session-management and https://www.better-auth.com/docs/concepts/database
// (`getMigrations`).

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { betterAuth } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'
import { fromNodeHeaders } from 'better-auth/node'
import Database from 'better-sqlite3'
import Fastify from 'fastify'
import { announce, makeTemporaryFolder } from './announce.js'
import { ITEM, ITEM_SCHEMA } from './item.js'

const withCache = process.argv[2] === 'cookie-cache'
const ORIGIN = 'http://127.0.0.1'

const database = new Database(join(makeTemporaryFolder(), 'auth.db'))
database.pragma('journal_mode = WAL')

const options = {
  baseURL: ORIGIN,
  secret: randomBytes(32).toString('base64'),
  database,
  emailAndPassword: { enabled: true },
  session: { cookieCache: { enabled: withCache, maxAge: 15 * 60 } },
  rateLimit: { enabled: false },
  telemetry: { enabled: false }
}
const auth = betterAuth(options)
const { runMigrations } = await getMigrations(options)
await runMigrations()

const app = Fastify()

app.route({
  method: ['GET', 'POST'],
  url: '/api/auth/*',
  async handler (request, reply) {
    const response = await auth.handler(new Request(new URL(request.url, `http://${request.headers.host}`), {
      method: request.method,
      headers: fromNodeHeaders(request.headers),
      body: request.body ? JSON.stringify(request.body) : undefined
    }))
    reply.status(response.status)
    response.headers.forEach((value, name) => reply.header(name, value))
    return reply.send(response.body ? await response.text() : null)
  }
})

app.get('/items/1', { schema: { response: { 200: ITEM_SCHEMA } } }, async (request, reply) => {
  const session = await auth.api.getSession({ headers: fromNodeHeaders(request.headers) })
  if (session === null) return reply.code(401).send({ message: 'Unauthorized' })
  return ITEM
})

const credentials = { email: 'johndoe@example.com', password: 'marble otter sings at noon' }
const login = {
  method: 'POST',
  path: '/api/auth/sign-in/email',
  // Browsers send `origin`, and better-auth rejects requests without it.
  headers: { 'content-type': 'application/json', origin: ORIGIN },
  body: JSON.stringify(credentials)
}

/** Signs in, and returns the cookies. */
async function signIn (server) {
  const response = await server.handler(new Request(ORIGIN + login.path, login))
  return { cookie: response.headers.getSetCookie().map(cookie => cookie.split(';', 1)[0]).join('; ') }
}

await auth.api.signUpEmail({ body: { ...credentials, name: 'John Doe' } })
const headers = {
  good: await signIn(auth),
  expired: await signIn(betterAuth({ ...options, session: { ...options.session, expiresIn: 1 } })),
  forged: await signIn(betterAuth({ ...options, secret: randomBytes(32).toString('base64') }))
}
if (!withCache) {
  headers.revoked = await signIn(auth)
  await auth.api.signOut({ headers: new Headers(headers.revoked) })
}
await setTimeout(1_100) // Wait until the session of `expired` is over, which lives for one second.

const url = await app.listen({ host: '127.0.0.1', port: 0 })
announce({ url, headers, login })

// Rules beyond scopes: tenant, owner, time, a recent login, and how to combine them. It listens on port 3000:
//
//   node dist/examples/custom-policy.js

import { randomBytes } from 'node:crypto'
import { fastify } from 'fastify'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import latchkey from 'fastify-latchkey'
import type { Guard, LatchkeyOptions } from 'fastify-latchkey'

// New at each start, because attackers try the passwords that examples publish.
export const PASSWORD = randomBytes(12).toString('base64url')
const MINUTE = 60_000

interface Note { id: string, tenant: string, owner: string, text: string, createdAt: number }

/**
 * Whether to allow a request. A rule reads `request.user`, so `app.authenticate` must have run; `allow` makes sure of
 * it. Only `true` allows: a forgotten promise or any other truthy value does not.
 */
export type Rule = (request: FastifyRequest) => boolean | Promise<boolean>

/**
 * Allows a request if one of the rules does. It combines rules, not guards. A guard throws when it rejects, and code
 * that ignores the error to try something else can easily fail open.
 */
export function either (...rules: Rule[]): Rule {
  return async request => {
    for (const rule of rules) if (await rule(request) === true) return true
    return false
  }
}

/** An error that Fastify turns into a response with this status and these headers. */
function refuse (statusCode: number, message: string, headers: Record<string, string> = {}): Error {
  return Object.assign(new Error(message), { statusCode, headers })
}

/** Creates `allow`, for an app with the guards of Latchkey. */
function createAllow (app: FastifyInstance) {
  /**
   * Returns the hooks of a route: first authentication, then each rule in turn. All rules must allow the request.
   * Fastify runs an array of hooks in order, so no rule runs for an unauthenticated request. A rule that throws rejects
   * the request. Without a rule, or with one that is not a function, the app does not start.
   *
   * Use it as a `preHandler`. The guard still authenticates before the body is read, and the handler follows the rules
   * directly.
   */
  return function allow (...rules: Rule[]): [Guard, (request: FastifyRequest) => Promise<void>] {
    if (rules.length === 0 || rules.some(rule => typeof rule !== 'function')) {
      throw new TypeError('allow() needs at least one rule, and each rule must be a function')
    }
    async function ask (request: FastifyRequest): Promise<void> {
      for (const rule of rules) if (await rule(request) !== true) throw refuse(403, 'You are not allowed to do this.')
    }
    return [app.authenticate, ask]
  }
}

export async function build (options: LatchkeyOptions = {}): Promise<FastifyInstance> {
  const app = fastify()
  const now = options.now ?? Date.now
  const tenants = new Map<string, string>()
  const notes = new Map<string, Note>()
  let count = 0

  await app.register(latchkey, {
    database: ':memory:',
    scopes: { 'notes:write': 'Change notes', moderate: 'Change the notes of others in the tenant' },
    // Added to each access token, so the rule below needs no query. The value is as old as the token. If that is too
    // old for you, look the value up instead.
    claims: user => ({ tenant: tenants.get(user.id) }),
    ...options
  })

  const allow = createAllow(app)
  const noteOf = (request: FastifyRequest): Note | undefined => notes.get((request.params as { id: string }).id)

  // 404 for a missing note and for another tenant's note alike, so that nobody can find out which notes exist.
  const ownTenant: Rule = request => {
    const { tenant } = request.user.claims
    // A machine client and an account without a tenant have none. Check the type, so that undefined never equals
    // undefined.
    if (typeof tenant !== 'string' || noteOf(request)?.tenant !== tenant) throw refuse(404, 'This note does not exist.')
    return true
  }

  const isOwner: Rule = request => noteOf(request)?.owner === request.user.id

  const isFresh: Rule = request => now() - (noteOf(request)?.createdAt ?? 0) < 10 * MINUTE

  const isModerator: Rule = request => request.user.scopes.includes('moderate')

  // Use the start of the session, not the `iat` of the token: each refresh sets a new `iat`, and a thief with a refresh
  // token can refresh too. This costs one query, so use it on the routes that need it. With the challenge of RFC 9470,
  // the client asks for the password and tries again.
  const loggedInLately: Rule = async request => {
    const { id, sessionId } = request.user
    const session = (await app.latchkey.sessions.list(id)).find(session => session.id === sessionId)
    if (session !== undefined && now() - session.createdAt < 5 * MINUTE) return true
    throw refuse(401, 'Log in again for this.', {
      'www-authenticate':
        'Bearer error="insufficient_user_authentication", error_description="Log in again for this.", max_age="300"'
    })
  }

  app.post<{ Body: { text: string } }>('/notes', {
    preHandler: [app.requireScopes('notes:write'), ...allow(request => typeof request.user.claims.tenant === 'string')],
    schema: { body: { type: 'object', required: ['text'], properties: { text: { type: 'string', maxLength: 1_000 } } } }
  }, async ({ user, body }, reply) => {
    const note: Note = {
      id: String(++count),
      tenant: String(user.claims.tenant),
      owner: user.id,
      text: body.text,
      createdAt: now()
    }
    notes.set(note.id, note)
    return reply.code(201).send(note)
  })

  app.get('/notes/:id', { preHandler: allow(ownTenant) }, async request => noteOf(request))

  // The owner may change a note for ten minutes, a moderator of the same tenant at any time.
  const mayChange = either(async request => await isOwner(request) && await isFresh(request), isModerator)
  app.put<{ Params: { id: string }, Body: { text: string } }>('/notes/:id', {
    preHandler: allow(ownTenant, mayChange),
    schema: { body: { type: 'object', required: ['text'], properties: { text: { type: 'string', maxLength: 1_000 } } } }
  }, async request => {
    const note = noteOf(request) as Note // `ownTenant` has checked that it exists.
    note.text = request.body.text
    return note
  })

  app.delete('/notes', { preHandler: allow(isModerator, loggedInLately) }, async ({ user }, reply) => {
    for (const { id, tenant } of notes.values()) if (tenant === user.claims.tenant) notes.delete(id)
    return reply.code(204).send()
  })

  for (const [username, tenant, scopes] of [
    ['ada', 'north', ['notes:write']],
    ['bob', 'north', ['notes:write', 'moderate']],
    ['eve', 'south', ['notes:write', 'moderate']]
  ] as const) {
    const { id } = await app.latchkey.users.add({ username, password: PASSWORD, scopes })
    tenants.set(id, tenant)
  }
  return app
}

if (process.argv[1] === import.meta.filename) {
  const app = await build()
  await app.listen({ port: 3000 })
  console.log(`Log in as ada, as bob (a moderator) or as eve (of another tenant).
Set TOKEN to the access_token of the first response:

  curl -d username=ada -d 'password=${PASSWORD}' http://127.0.0.1:3000/token
  curl -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"text":"hello"}' http://127.0.0.1:3000/notes
  curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:3000/notes/1`)
}

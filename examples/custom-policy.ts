// Rules beyond scopes: the tenant, the owner, the time, how long ago somebody logged in; and how they are put together. On port 3000:
//
//   node dist/examples/custom-policy.js

import { randomBytes } from 'node:crypto'
import { fastify } from 'fastify'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import latchkey from 'fastify-latchkey'
import type { Guard, LatchkeyOptions } from 'fastify-latchkey'

// Random at each start, because attackers try the passwords that examples print.
export const PASSWORD = randomBytes(12).toString('base64url')
const MINUTE = 60_000

interface Note { id: string, tenant: string, owner: string, text: string, createdAt: number }

/**
 * Whether a request may. It goes by `request.user`, so `app.authenticate` must have run: with `allow` it has. Only `true` is a
 * yes: not a promise that nobody awaited, not an object that somebody found.
 */
export type Rule = (request: FastifyRequest) => boolean | Promise<boolean>

/**
 * One of these is enough. Over rules, not over guards: a guard that refuses has set the status and the challenge of the answer
 * already, and to go on after it is how such things come to fail open.
 */
export function either (...rules: Rule[]): Rule {
  return async request => {
    for (const rule of rules) if (await rule(request) === true) return true
    return false
  }
}

/** A refusal: Fastify answers with its status and headers. */
function refuse (statusCode: number, message: string, headers: Record<string, string> = {}): Error {
  return Object.assign(new Error(message), { statusCode, headers })
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
    // Into each access token: the rule below needs no query. It is as old as the token; one that must not be is looked up instead.
    claims: user => ({ tenant: tenants.get(user.id) }),
    ...options
  })

  /**
   * The hooks of a route: who is it, then each rule in turn, and all must agree. An array of hooks is Fastify's own "and", and no
   * rule runs for somebody unknown. A rule that throws refuses. No rule, or one that is no function, does not start.
   * As a `preHandler`: the guard in it still authenticates before the body is read, and nothing comes between the rules and the handler.
   */
  function allow (...rules: Rule[]): [Guard, (request: FastifyRequest) => Promise<void>] {
    if (rules.length === 0 || rules.some(rule => typeof rule !== 'function')) throw new TypeError('allow() needs rules, which are functions')
    async function ask (request: FastifyRequest): Promise<void> {
      for (const rule of rules) if (await rule(request) !== true) throw refuse(403, 'This is not for you.')
    }
    return [app.authenticate, ask]
  }

  const noteOf = (request: FastifyRequest): Note | undefined => notes.get((request.params as { id: string }).id)

  // 404 for what is another tenant's, and for what is not there: which of them it is, is not for others to know.
  const ownTenant: Rule = request => {
    const { tenant } = request.user.claims
    // A machine client, or an account without a tenant: undefined must not equal undefined.
    if (typeof tenant !== 'string' || noteOf(request)?.tenant !== tenant) throw refuse(404, 'There is no such note.')
    return true
  }

  const isOwner: Rule = request => noteOf(request)?.owner === request.user.id

  const isFresh: Rule = request => now() - (noteOf(request)?.createdAt ?? 0) < 10 * MINUTE

  const isModerator: Rule = request => request.user.scopes.includes('moderate')

  // By the session, not by the `iat` of the token: each refresh makes a new one, and whoever stole a refresh token can do that. One
  // query, on the routes that are worth it. The challenge is that of RFC 9470: the client asks for the password, and comes again.
  const loggedInLately: Rule = async request => {
    const { id, sessionId } = request.user
    const session = (await app.latchkey.sessions.list(id)).find(session => session.id === sessionId)
    if (session !== undefined && now() - session.createdAt < 5 * MINUTE) return true
    throw refuse(401, 'Log in again for this.', {
      'www-authenticate': 'Bearer error="insufficient_user_authentication", error_description="Log in again for this.", max_age="300"'
    })
  }

  app.post<{ Body: { text: string } }>('/notes', {
    preHandler: [app.requireScopes('notes:write'), ...allow(request => typeof request.user.claims.tenant === 'string')],
    schema: { body: { type: 'object', required: ['text'], properties: { text: { type: 'string', maxLength: 1_000 } } } }
  }, async ({ user, body }, reply) => {
    const note: Note = { id: String(++count), tenant: String(user.claims.tenant), owner: user.id, text: body.text, createdAt: now() }
    notes.set(note.id, note)
    return reply.code(201).send(note)
  })

  app.get('/notes/:id', { preHandler: allow(ownTenant) }, async request => noteOf(request))

  // Its owner, for ten minutes, or a moderator of the same tenant at any time.
  const mayChange = either(async request => await isOwner(request) && await isFresh(request), isModerator)
  app.put<{ Params: { id: string }, Body: { text: string } }>('/notes/:id', {
    preHandler: allow(ownTenant, mayChange),
    schema: { body: { type: 'object', required: ['text'], properties: { text: { type: 'string', maxLength: 1_000 } } } }
  }, async request => {
    const note = noteOf(request) as Note // `ownTenant` has seen it.
    note.text = request.body.text
    return note
  })

  app.delete('/notes', { preHandler: allow(isModerator, loggedInLately) }, async ({ user }, reply) => {
    for (const { id, tenant } of notes.values()) if (tenant === user.claims.tenant) notes.delete(id)
    return reply.code(204).send()
  })

  for (const [username, tenant, scopes] of [['ada', 'north', ['notes:write']], ['bob', 'north', ['notes:write', 'moderate']], ['eve', 'south', ['notes:write', 'moderate']]] as const) {
    const { id } = await app.latchkey.users.add({ username, password: PASSWORD, scopes })
    tenants.set(id, tenant)
  }
  return app
}

if (process.argv[1] === import.meta.filename) {
  const app = await build()
  await app.listen({ port: 3000 })
  console.log(`Log in as ada, as bob, who moderates, or as eve, who is in another tenant:

  curl -d username=ada -d 'password=${PASSWORD}' http://127.0.0.1:3000/token
  curl -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"text":"hello"}' http://127.0.0.1:3000/notes
  curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:3000/notes/1`)
}

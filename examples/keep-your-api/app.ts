// An app that keeps its API while Latchkey takes over its logins. The API is modelled on RealWorld
// (https://github.com/realworld-apps/realworld): bodies such as { user: { email, password } }, the scheme `Token`,
// integer ids, email addresses, roles, and its own error format. It listens on port 3000:
//
//   node dist/examples/keep-your-api/app.js

import { fastify } from 'fastify'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import latchkey, { authenticate, authenticateOptional, LatchkeyError, requireScopes } from 'fastify-latchkey'
import type { LatchkeyOptions } from 'fastify-latchkey'
import { openAccounts } from './accounts.js'
import type { Account, Accounts } from './accounts.js'

declare module 'fastify' {
  interface FastifyInstance { accounts: Accounts }
}

/** Creates the app. The accounts and the sessions are in one database. */
export async function build (options: Pick<LatchkeyOptions, 'database' | 'now'> = {}): Promise<FastifyInstance> {
  const app = fastify()
  const { database = 'keep-your-api.db' } = options
  const accounts = openAccounts(database)
  app.decorate('accounts', accounts)
  app.addHook('onClose', async () => { accounts.close() })
  app.setErrorHandler(sendOwnError)

  await app.register(latchkey, {
    ...options,
    database,
    prefix: '/auth',
    users: accounts,
    userIds: 'integer',
    scopes: { reader: 'Read and write articles', editor: 'Feature articles on the front page' },
    scheme: 'Token',
    errors: 'app',
    // A client of RealWorld keeps one token and never refreshes it.
    accessTokenTtl: '7d',
    // Otherwise clients could bypass the app's own login at POST /auth/login and POST /auth/token.
    ownRoutes: ['login']
  })

  await app.register(users, { prefix: '/api' })
  await app.register(profiles, { prefix: '/api' })
  return app
}

const credentials = { email: { type: 'string', maxLength: 254 }, password: { type: 'string', maxLength: 1024 } }

/** The schema of a body `{ user: { ... } }`. Without it, a missing member would cause a server error (500). */
const bodyWith = (properties: object) => ({
  body: {
    type: 'object',
    required: ['user'],
    properties: { user: { type: 'object', required: Object.keys(properties), properties } }
  }
})

async function users (app: FastifyInstance): Promise<void> {
  const { accounts } = app

  function respond (account: Account | undefined, token: string, reply: FastifyReply): object {
    if (account === undefined) throw new LatchkeyError('not_found')
    const { email, username, bio } = account
    // The response contains a token, so no cache may store it.
    reply.header('cache-control', 'no-store')
    return { user: { email, username, bio, token } }
  }

  app.post<{ Body: { user: { email: string, username: string, password: string } } }>('/users', {
    schema: bodyWith({ ...credentials, username: { type: 'string', minLength: 1, maxLength: 100 } })
  }, async (request, reply) => {
    const { email, username, password } = request.body.user
    const account = await accounts.add({ email, username, password, role: 'reader' })
    if (account === undefined) {
      return reply.code(422).send({ errors: { body: ['the email address or the username is taken'] } })
    }
    const { accessToken } = await app.latchkey.logInAs(request, account, { method: 'registration' })
    reply.code(201)
    return respond(account, accessToken, reply)
  })

  app.post<{ Body: { user: { email: string, password: string } } }>('/users/login', {
    schema: bodyWith(credentials)
  }, async (request, reply) => {
    const { email, password } = request.body.user
    // Limits guesses, writes the audit trail, and throws errors that `sendOwnError` handles.
    const { user, accessToken } = await app.latchkey.logIn(request, { username: email, password })
    return respond(accounts.get(user.id), accessToken, reply)
  })

  app.get('/user', { onRequest: authenticate }, async (request, reply) => {
    return respond(accounts.get(request.user.id), tokenOf(request), reply)
  })

  app.put<{ Body: { user: { bio: string } } }>('/user', {
    onRequest: authenticate, schema: bodyWith({ bio: { type: 'string', maxLength: 1000 } })
  }, async (request, reply) => {
    accounts.setBio(request.user.id, request.body.user.bio)
    const { accessToken } = await app.latchkey.reissue(request)
    return respond(accounts.get(request.user.id), accessToken, reply)
  })
}

async function profiles (app: FastifyInstance): Promise<void> {
  // A visitor may see a profile, and a user who is logged in learns whether it is theirs.
  app.get<{ Params: { username: string } }>('/profiles/:username', {
    onRequest: authenticateOptional
  }, async (request) => {
    const account = app.accounts.named(request.params.username)
    if (account === undefined) throw new LatchkeyError('not_found')
    const { id, username, bio } = account
    return { profile: { username, bio, isOwn: request.user?.id === id } }
  })

  app.post('/articles/:slug/feature', { preHandler: requireScopes('editor') }, async (_request, reply) => {
    return reply.code(204).send()
  })
}

function tokenOf (request: FastifyRequest): string {
  return request.headers.authorization?.split(' ')[1] ?? ''
}

/** Sends each error in the app's format. Latchkey's errors already have their status and headers. */
function sendOwnError (error: FastifyError | LatchkeyError, request: FastifyRequest, reply: FastifyReply): void {
  const { statusCode = 500, message } = error
  if (statusCode >= 500) request.log.error(error)
  const isInvalid = 'validation' in error && error.validation !== undefined
  const mayShow = statusCode < 500 || error instanceof LatchkeyError
  reply.code(isInvalid ? 422 : statusCode).send({ errors: { body: [mayShow ? message : 'internal error'] } })
}

if (process.argv[1] === import.meta.filename) {
  const app = await build()
  await app.listen({ port: 3000 })
  console.log(`Register, then log in, then set TOKEN to the token of the response:

  curl -H 'content-type: application/json' http://127.0.0.1:3000/api/users \\
    -d '{"user": {"email": "ada@example.com", "username": "ada", "password": "difference engines hum"}}'
  curl -H 'content-type: application/json' http://127.0.0.1:3000/api/users/login \\
    -d '{"user": {"email": "ada@example.com", "password": "difference engines hum"}}'
  curl -H "Authorization: Token $TOKEN" http://127.0.0.1:3000/api/user`)
}

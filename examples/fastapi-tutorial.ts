// The FastAPI tutorial on OAuth2 with JWT, chapter by chapter, on Fastify. It listens on port 3000:
//
//   node dist/examples/fastapi-tutorial.js

import { randomBytes } from 'node:crypto'
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import latchkey from 'fastify-latchkey'
import type { LatchkeyOptions } from 'fastify-latchkey'

// A client written for FastAPI works unchanged. It posts the form of `OAuth2PasswordRequestForm` to /token and sends
// `Authorization: Bearer <access_token>`.

// New at each start, because attackers try the passwords that examples publish.
export const PASSWORD = randomBytes(12).toString('base64url')

export async function build (options: LatchkeyOptions = {}): Promise<FastifyInstance> {
  const app = fastify()

  // FastAPI: SECRET_KEY, ALGORITHM, ACCESS_TOKEN_EXPIRE_MINUTES, OAuth2PasswordBearer(tokenUrl="token", scopes={...}),
  // the password context, authenticate_user(), create_access_token() and get_current_user(). Latchkey creates the
  // secret and the signing key at the first start, beside the database and in it.
  await app.register(latchkey, {
    database: './fastapi-tutorial.db',
    accessTokenTtl: '30m',
    scopes: { me: 'Read information about the current user', items: 'Read items', admin: 'Administer everything' },
    ...options
  })

  // FastAPI: fake_users_db. Here it is a table that survives a restart. Latchkey hashes the passwords with bcrypt on
  // other threads.
  const { users } = app.latchkey
  if (await users.findByName('johndoe') === null) {
    await users.add({ username: 'johndoe', password: PASSWORD, scopes: ['me', 'items'] })
    await users.add({ username: 'alice', password: PASSWORD, scopes: ['me', 'items', 'admin'] })
  }

  // Generate a token: POST /token with the form fields `username`, `password` and `scope`.
  //   -> { access_token, token_type: "bearer", expires_in, refresh_token, scope }
  //
  // GET /users/me returns the user of a token.

  // Verify.  FastAPI: current_user: Annotated[User, Depends(get_current_user)]
  // A missing, foreign or altered token is 401 with a `WWW-Authenticate` header, and the handler never runs.
  app.get('/protected-route', { onRequest: app.authenticate }, async ({ user }) => {
    return { message: 'You have a valid token', user_id: user.id }
  })

  // Expiry: after `accessTokenTtl` the same request is 401, and the message says that the token expired.
  //
  // Refresh: POST /refresh with { refresh_token }, or POST /token with grant_type=refresh_token. Each refresh token
  // works for one refresh. A client may send it twice within ten seconds (two tabs, a lost response). Sending an
  // older one ends the session.
  //
  // Cookies: POST /login with { username, password } as JSON sets HttpOnly, Secure cookies. The routes here accept them
  // without further code: `authenticate` reads the header, or else the cookie, and rejects requests from other sites.
  //
  // Revoke: POST /revoke with the form field `token`. The next request with that token is 401 in every process, also
  // after a restart. POST /logout does the same for cookies.

  // Scopes.  FastAPI: Security(get_current_user, scopes=["admin"])
  // 401 without a token, 403 if the token lacks the scope. The app does not start with a scope that is not listed
  // above.
  app.get('/admin/', { preHandler: app.requireScopes('admin') }, async ({ user }) => {
    return { message: 'Welcome, administrator', scopes: user.scopes }
  })

  app.get('/users/me/items', { preHandler: app.requireScopes('me', 'items') }, async ({ user }) => {
    return [{ item_id: 'Foo', owner: user.id }]
  })

  return app
}

if (process.argv[1] === import.meta.filename) {
  const app = await build()
  await app.listen({ port: 3000 })
  console.log(`Log in as johndoe, or as alice, who has the scope admin.
Set TOKEN to the access_token of the response:

  curl -d username=johndoe -d 'password=${PASSWORD}' http://127.0.0.1:3000/token
  curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:3000/protected-route`)
}

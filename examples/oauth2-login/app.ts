// Users log in with an external provider through @fastify/oauth2, and receive a session of Latchkey. One route requires
// a recent login. The provider reports when and how users authenticated. It listens on port 3000:
//
//   npm run foreign && node dist/examples/oauth2-login/app.js

import { randomUUID } from 'node:crypto'
import fastifyOauth2 from '@fastify/oauth2'
import type { OAuth2Namespace } from '@fastify/oauth2'
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import latchkey, { requireRecentLogin } from 'fastify-latchkey'
import type { LatchkeyOptions, User } from 'fastify-latchkey'

declare module 'fastify' {
  interface FastifyInstance {
    provider: OAuth2Namespace
  }
}

/** An OpenID Connect provider, and the credentials of this app there. */
export interface Provider {
  issuer: string
  clientId: string
  clientSecret: string
}

/** The claims of an ID token (OpenID Connect Core section 2). */
interface IdToken {
  sub: string
  auth_time?: number
  amr?: string[]
}

/** @param url - the public URL of this app. Register the callback, `/sign-in/callback`, with the provider. */
export async function build (
  { issuer, clientId, clientSecret }: Provider, url: string, options: LatchkeyOptions = {}
): Promise<FastifyInstance> {
  const app = fastify()
  const accounts = new Map<string, User>()

  await app.register(latchkey, {
    database: ':memory:',
    prefix: '/auth',
    // The accounts of this app have no passwords.
    users: {
      authenticate: async () => null,
      find: async id => [...accounts.values()].find(account => account.id === id) ?? null
    },
    ...options
  })
  await app.register(fastifyOauth2, {
    name: 'provider',
    discovery: { issuer },
    credentials: { client: { id: clientId, secret: clientSecret } },
    scope: ['openid'],
    callbackUri: `${url}/sign-in/callback`,
    pkce: 'S256',
    hostPrefixedCookies: true
  })
  const readIdToken = await createIdTokenReader(issuer, clientId)

  /** Looks for the provider's id of the user, because an email address can change, or pass to another person. */
  function findAccount (sub: string): User {
    const account = accounts.get(sub) ?? { id: randomUUID(), username: sub, scopes: [] }
    accounts.set(sub, account)
    return account
  }

  // RFC 9470 section 4: the page passes on the `max_age` of a challenge. The provider then asks for the password again
  // if its own login is older.
  app.get<{ Querystring: { max_age?: number } }>('/sign-in', {
    schema: { querystring: { type: 'object', properties: { max_age: { type: 'integer', minimum: 0 } } } }
  }, async (request, reply) => {
    const uri = new URL(await app.provider.generateAuthorizationUri(request, reply))
    const { max_age: maxAge } = request.query
    if (maxAge !== undefined) uri.searchParams.set('max_age', String(maxAge))
    return reply.redirect(uri.href)
  })

  app.get('/sign-in/callback', async (request, reply) => {
    let claims: IdToken
    try {
      // This checks `state`, so that no other site can log a visitor in, and uses PKCE, so that a stolen code is
      // useless.
      const { token } = await app.provider.getAccessTokenFromAuthorizationCodeFlow(request, reply)
      claims = await readIdToken(token.id_token ?? '')
    } catch (cause) {
      request.log.warn({ err: cause }, 'a login with the provider failed')
      throw Object.assign(new Error('The login failed: try again.', { cause }), { statusCode: 400 })
    }
    const login = await app.latchkey.logInAs(request, findAccount(claims.sub), {
      method: 'provider',
      amr: claims.amr,
      // If the provider does not report the time, the login does not count as recent.
      authTime: new Date((claims.auth_time ?? 0) * 1_000)
    })
    app.latchkey.setCookies(reply, login)
    return reply.redirect('/me')
  })

  app.get('/me', { onRequest: app.authenticate }, async ({ user: { id, claims } }) => ({ id, amr: claims.amr }))

  app.delete('/account', { preHandler: requireRecentLogin('5m') }, async (request, reply) => {
    const { id } = request.user
    for (const [sub, account] of accounts) if (account.id === id) accounts.delete(sub)
    await app.latchkey.sessions.endAll(id)
    app.latchkey.clearCookies(reply)
    return reply.code(204).send()
  })

  return app
}

/** Creates a function that verifies an ID token: OpenID Connect Core section 3.1.3.7. */
async function createIdTokenReader (issuer: string, clientId: string): Promise<(token: string) => Promise<IdToken>> {
  const response = await fetch(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)
  const { jwks_uri: jwksUri } = await response.json() as { jwks_uri: string }
  const keys = createRemoteJWKSet(new URL(jwksUri))
  return async token => {
    const options = { issuer, audience: clientId, requiredClaims: ['sub', 'exp', 'iat'] }
    return (await jwtVerify<IdToken>(token, keys, options)).payload
  }
}

if (process.argv[1] === import.meta.filename) {
  const { ISSUER: issuer, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret } = process.env
  if (issuer === undefined || clientId === undefined || clientSecret === undefined) {
    throw new Error('Set ISSUER, CLIENT_ID and CLIENT_SECRET to the values of your OpenID Connect provider')
  }
  const app = await build({ issuer, clientId, clientSecret }, 'http://localhost:3000')
  await app.listen({ port: 3000 })
  console.log('Open http://localhost:3000/sign-in')
}

import { OAuth2Client } from '@badgateway/oauth2-client'
import * as oauth from 'oauth4webapi'
import { InMemoryWebStorage, UserManager, WebStorageStateStore } from 'oidc-client-ts'
import * as openid from 'openid-client'
import t from 'tap'
import { PASSWORD } from '../helper.js'
import { addClient } from '../routes/support.js'
import { serve } from './support.js'

// Clients that others wrote, each over a listening server. Their deprecated symbols are how they speak plain http.

const LOGIN = { username: 'alice', password: PASSWORD }
const INSECURE = { [oauth.allowInsecureRequests]: true }

/** RFC 8414: what oauth4webapi finds out by itself. */
async function discover (issuer: string): Promise<oauth.AuthorizationServer> {
  const response = await oauth.discoveryRequest(new URL(issuer), { algorithm: 'oauth2', ...INSECURE })
  return await oauth.processDiscoveryResponse(new URL(issuer), response)
}

/** oauth4webapi's own check of an access token, with our keys, as a resource server does it. */
async function validate (as: oauth.AuthorizationServer, token: string): Promise<oauth.JWTAccessTokenClaims> {
  const request = new Request('http://127.0.0.1/resource', { headers: { authorization: `Bearer ${token}` } })
  return await oauth.validateJwtAccessToken(as, request, as.issuer, INSECURE)
}

for (const [how, createAuthentication] of [
  ['client_secret_basic', oauth.ClientSecretBasic], ['client_secret_post', oauth.ClientSecretPost]
] as const) {
  t.test(`oauth4webapi with ${how}: discovery, own token, login, refresh, introspection, revocation`, async t => {
    const { app, issuer } = await serve(t)
    const registered = await addClient(app, { grants: ['client_credentials', 'password'] })
    const [client, authentication, as] = [
      { client_id: registered.id }, createAuthentication(registered.secret), await discover(issuer)
    ]

    const own = await oauth.processClientCredentialsResponse(
      as, client,
      await oauth.clientCredentialsGrantRequest(as, client, authentication, { scope: 'items:read' }, INSECURE)
    )
    t.match(own, { token_type: 'bearer', expires_in: 900, scope: 'items:read', refresh_token: undefined })
    t.match(await validate(as, own.access_token), { sub: registered.id, client_id: registered.id, scope: 'items:read' })

    const login = await oauth.processGenericTokenEndpointResponse(
      as, client, await oauth.genericTokenEndpointRequest(as, client, authentication, 'password', LOGIN, INSECURE)
    )
    const refreshed = await oauth.processRefreshTokenResponse(
      as, client, await oauth.refreshTokenGrantRequest(as, client, authentication, login.refresh_token ?? '', INSECURE)
    )
    t.not(refreshed.refresh_token, login.refresh_token)
    t.match(await validate(as, refreshed.access_token), { client_id: registered.id, scope: 'items:read' })

    const introspect = async (token: string): Promise<oauth.IntrospectionResponse> =>
      await oauth.processIntrospectionResponse(
        as, client, await oauth.introspectionRequest(as, client, authentication, token, INSECURE)
      )
    t.match(
      await introspect(own.access_token),
      { active: true, sub: registered.id, client_id: registered.id, iss: issuer, token_type: 'bearer' }
    )
    t.match(await introspect(refreshed.refresh_token ?? ''), { active: true, client_id: registered.id })
    for (const token of [own.access_token, refreshed.refresh_token ?? '']) {
      await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, authentication, token, INSECURE))
      t.strictSame(await introspect(token), { active: false })
    }
    t.strictSame(await introspect(refreshed.access_token), { active: false }, 'RFC 7009 2.1: with its refresh token')
  })
}

t.test('oauth4webapi takes our refusals as what they are', async t => {
  const { app, issuer } = await serve(t)
  const registered = await addClient(app)
  const [client, as] = [{ client_id: registered.id }, await discover(issuer)]
  const refusal = async (authentication: oauth.ClientAuth, scope?: string): Promise<unknown> => {
    const parameters = new URLSearchParams(scope === undefined ? {} : { scope })
    return await oauth.processClientCredentialsResponse(
      as, client, await oauth.clientCredentialsGrantRequest(as, client, authentication, parameters, INSECURE)
    )
  }
  await t.rejects(refusal(oauth.ClientSecretPost('wrong')), { cause: [{ scheme: 'basic' }] }, 'a challenge')
  const error: unknown = await refusal(
    oauth.ClientSecretBasic(registered.secret), 'admin'
  ).catch((reason: unknown) => reason)
  t.match(error, { error: 'invalid_scope', status: 400 })
  await t.rejects(validate(as, 'a.b.c'))
})

for (const [how, createAuthentication] of [
  ['client_secret_basic', openid.ClientSecretBasic], ['client_secret_post', openid.ClientSecretPost]
] as const) {
  t.test(`openid-client with ${how}: discovery, own token, login, refresh, introspection, revocation`, async t => {
    const { app, issuer } = await serve(t)
    const registered = await addClient(app, { grants: ['client_credentials', 'password'] })
    const config = await openid.discovery(
      new URL(issuer), registered.id, undefined, createAuthentication(registered.secret),
      { algorithm: 'oauth2', execute: [openid.allowInsecureRequests] }
    )
    t.match(
      config.serverMetadata(),
      {
        issuer,
        introspection_endpoint: `${issuer}/introspect`,
        grant_types_supported: ['client_credentials', 'refresh_token']
      }
    )

    const own = await openid.clientCredentialsGrant(config, { scope: 'items:read' })
    t.match(own, { token_type: 'bearer', scope: 'items:read' })
    const login = await openid.genericGrantRequest(config, 'password', LOGIN)
    const refreshed = await openid.refreshTokenGrant(config, login.refresh_token ?? '')
    t.match(await openid.tokenIntrospection(config, refreshed.access_token), { active: true, client_id: registered.id })
    const response = await openid.fetchProtectedResource(
      config, own.access_token, new URL(`${issuer}/protected-route`), 'GET'
    )
    t.strictSame(await response.json(), { id: registered.id })
    for (const token of [own.access_token, refreshed.refresh_token ?? '']) {
      await openid.tokenRevocation(config, token)
      t.strictSame(await openid.tokenIntrospection(config, token), { active: false })
    }
  })
}

/** Returns the error that a promise rejects with. */
async function reason (promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(() => undefined, (error: unknown) => error)
}

t.test('without a secret: oauth4webapi and openid-client with None(), and what they make of a refusal', async t => {
  const { app, issuer } = await serve(t)
  const spa = await app.latchkey.clients.addPublic({ name: 'spa', scopes: ['items:read'] })
  const as = await discover(issuer)
  for (const id of ['latchkey', spa.id]) {
    const client = { client_id: id }
    const login = await oauth.processGenericTokenEndpointResponse(
      as, client, await oauth.genericTokenEndpointRequest(as, client, oauth.None(), 'password', LOGIN, INSECURE)
    )
    t.match(await validate(as, login.access_token), { client_id: id })
    const refreshed = await oauth.processRefreshTokenResponse(
      as, client, await oauth.refreshTokenGrantRequest(as, client, oauth.None(), login.refresh_token ?? '', INSECURE)
    )
    await oauth.processRevocationResponse(
      await oauth.revocationRequest(as, client, oauth.None(), refreshed.refresh_token ?? '', INSECURE)
    )
    const dead = await oauth.refreshTokenGrantRequest(
      as, client, oauth.None(), refreshed.refresh_token ?? '', INSECURE
    )
    t.match(await reason(oauth.processRefreshTokenResponse(as, client, dead)), { error: 'invalid_grant', status: 400 })

    const config = await openid.discovery(new URL(issuer), id, undefined, openid.None(), {
      algorithm: 'oauth2', execute: [openid.allowInsecureRequests]
    })
    const tokens = await openid.genericGrantRequest(config, 'password', { ...LOGIN, scope: 'openid offline_access' })
    t.match(tokens, { scope: /items:read/, refresh_token: /^lkr_/ })
    await openid.tokenRevocation(config, tokens.refresh_token ?? '')
    t.match(await reason(openid.refreshTokenGrant(config, tokens.refresh_token ?? '')), { error: 'invalid_grant' }, id)
    const wrong = openid.genericGrantRequest(config, 'password', { ...LOGIN, password: 'wrong' })
    t.match(await reason(wrong), { error: 'invalid_grant' }, id)
  }
})

t.test('@badgateway/oauth2-client and oidc-client-ts, which name themselves and have no secret', async t => {
  const { issuer } = await serve(t)
  const badgateway = new OAuth2Client({
    server: issuer, clientId: 'latchkey', discoveryEndpoint: '/.well-known/oauth-authorization-server'
  })
  const token = await badgateway.password(LOGIN)
  t.match(await badgateway.refreshToken(token), { accessToken: /^eyJ/, refreshToken: /^lkr_/ })
  const wrong = badgateway.password({ ...LOGIN, password: 'wrong' })
  t.match(await reason(wrong), { oauth2Code: 'invalid_grant' })

  const manager = new UserManager({
    authority: issuer,
    client_id: 'latchkey',
    redirect_uri: `${issuer}/callback`,
    metadata: { issuer, token_endpoint: `${issuer}/token`, revocation_endpoint: `${issuer}/revoke` },
    stateStore: new WebStorageStateStore({ store: new InMemoryWebStorage() }),
    userStore: new WebStorageStateStore({ store: new InMemoryWebStorage() })
  })
  const user = await manager.signinResourceOwnerCredentials({ ...LOGIN, skipUserInfo: true })
  t.match(user, { token_type: 'bearer', refresh_token: /^lkr_/ })
  t.match(await manager.signinSilent(), { access_token: /^eyJ/ })
  await manager.revokeTokens()
  // Stops its timers.
  await manager.removeUser()
})

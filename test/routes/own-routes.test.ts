import t from 'tap'
import { bearer, build, logIn, logInWithCookies, PASSWORD, postForm } from '../helper.js'
import { addClient, assertOAuthError, assertProblem } from './support.js'

// The option `ownRoutes` leaves out what an app does itself, with each way around it.

const ALICE = { username: 'alice', password: PASSWORD }

t.test('login: no route takes a password for tokens, not even from a registered client', async t => {
  const { app } = await build(t, { ownRoutes: ['login'], registration: true })
  t.equal((await app.inject({ method: 'POST', url: '/login', payload: ALICE })).statusCode, 404)
  const client = await addClient(app, { grants: ['password', 'client_credentials'] })
  for (const form of [ALICE, { grant_type: 'password', ...ALICE }, { grant_type: 'password', ...ALICE, ...client.form }]) {
    assertOAuthError(t, await postForm(app, '/token', form), 400, 'unsupported_grant_type')
    const json = await app.inject({ method: 'POST', url: '/token', payload: form })
    assertOAuthError(t, json, 400, 'unsupported_grant_type')
  }
  const account = await app.inject({
    method: 'POST', url: '/register', payload: { username: 'carol', password: 'walrus hums beneath the pier' }
  })
  t.equal(account.statusCode, 201)
  t.notOk(account.headers['set-cookie'])
  const own = await postForm(app, '/token', { grant_type: 'client_credentials', ...client.form })
  t.equal(own.statusCode, 200, 'machine clients go on')

  const user = await app.latchkey.users.findByName('alice')
  const { refreshToken, ...grant } = await app.latchkey.sessions.start(user ?? { id: '', username: '', scopes: [] })
  const headers = bearer(await app.latchkey.tokens.sign({ ...grant }))
  t.equal((await app.inject({ url: '/users/me', headers })).statusCode, 200)
  const password = await app.inject({
    method: 'PUT', url: '/users/me/password', headers, payload: { current_password: PASSWORD, new_password: 'x' }
  })
  assertProblem(t, password, 400, 'password_rejected', 'the own password can still be changed')
  t.equal((await app.inject({ method: 'POST', url: '/refresh', payload: { refresh_token: refreshToken } })).statusCode, 200)
})

t.test('refresh and logout: neither route nor grant', async t => {
  const { app } = await build(t, { ownRoutes: ['refresh', 'logout'] })
  const { refresh_token: token } = await logIn(app)
  const cookies = await logInWithCookies(app)
  t.equal((await app.inject({ method: 'POST', url: '/refresh', headers: cookies })).statusCode, 404)
  t.equal((await app.inject({ method: 'POST', url: '/logout', headers: cookies })).statusCode, 404)
  const grant = await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: token })
  assertOAuthError(t, grant, 400, 'unsupported_grant_type')
  t.equal((await postForm(app, '/revoke', { token })).statusCode, 200)
})

t.test('the document, the button of the page and the metadata offer what is there', async t => {
  const { app } = await build(t, { docs: true, ownRoutes: ['login', 'refresh', 'logout'] })
  const document = (await app.inject('/openapi.json')).json()
  for (const path of ['/login', '/refresh', '/logout']) t.notOk(path in document.paths, path)
  t.ok('/token' in document.paths)
  t.strictSame(Object.keys(document.components.securitySchemes.oauth2.flows), ['clientCredentials'])
  const { properties } = document.components.schemas.TokenRequest
  t.strictSame(Object.keys(properties).sort(), ['client_id', 'client_secret', 'grant_type', 'scope'])
  t.equal(properties.grant_type.description, 'client_credentials.')
  t.notMatch(JSON.stringify(document), /POST \/(login|refresh|logout)\b|grant_type=(password|refresh_token)/)
  const metadata = (await app.inject('/.well-known/oauth-authorization-server')).json()
  t.strictSame(metadata.grant_types_supported, ['client_credentials'])
  t.strictSame(
    metadata.token_endpoint_auth_methods_supported, ['client_secret_basic', 'client_secret_post'],
    'nobody gets a token without a client'
  )

  const half = await build(t, { docs: true, ownRoutes: ['refresh'] })
  const { flows } = (await half.app.inject('/openapi.json')).json().components.securitySchemes.oauth2
  t.strictSame(Object.keys(flows.password).sort(), ['scopes', 'tokenUrl'], 'no URL to refresh at')
  const { grant_types_supported: grants } = (await half.app.inject('/.well-known/oauth-authorization-server')).json()
  t.strictSame(grants, ['client_credentials'])
})

t.test('a name that does not exist stops the boot and lists those that do', async t => {
  await t.rejects(
    build(t, { ownRoutes: ['/login'] as never }),
    /^Latchkey: the option ownRoutes is .*\/login.*: it must be a list of login, refresh or logout$/
  )
})

import type { InjectOptions } from 'fastify'
import t from 'tap'
import type { LatchkeyOptions } from '../../app.js'
import { bearer, build, logIn, logInWithCookies } from '../helper.js'

t.test('without the option the path belongs to the app', async t => {
  const { app } = await build(t)
  const { access_token: token } = await logIn(app)
  t.equal((await app.inject({ url: '/verify', headers: bearer(token) })).statusCode, 404)
})

t.test('a valid token gets 204 and the headers that name its holder', async t => {
  const { app } = await build(t, { forwardAuth: true })
  const { access_token: token } = await logIn(app)
  const { id } = await app.latchkey.tokens.verify(token)
  const response = await app.inject({ url: '/verify?scope=items:read+admin', headers: bearer(token) })
  t.equal(response.statusCode, 204)
  t.equal(response.body, '')
  t.match(response.headers, {
    'x-latchkey-user': id,
    'x-latchkey-client': 'latchkey',
    'x-latchkey-scopes': 'admin items:read',
    'cache-control': 'no-store'
  })
  const { cookie } = await logInWithCookies(app)
  t.equal((await app.inject({ url: '/verify', headers: { cookie } })).headers['x-latchkey-user'], id)

  const { client } = await app.latchkey.clients.add({ name: 'billing', scopes: [] })
  const own = await app.latchkey.tokens.sign(await app.latchkey.clients.issue(client))
  const { headers, statusCode } = await app.inject({ url: '/verify', headers: bearer(own) })
  t.equal(statusCode, 204)
  t.match(headers, { 'x-latchkey-user': client.id, 'x-latchkey-client': client.id, 'x-latchkey-scopes': '' })
})

t.test('everything else gets the answers of the guards, or 400 for a mistake of the proxy', async t => {
  const { app, clock } = await build(t, { forwardAuth: true })
  const { access_token: token } = await logIn(app, 'bob')
  const { cookie } = await logInWithCookies(app, 'bob')
  const mine = bearer(token)
  type Row = [query: string, headers: Record<string, string>, status: number, code: string, challenge?: RegExp]
  const table: Row[] = [
    ['', {}, 401, 'unauthenticated', /^Bearer$/],
    ['', bearer('x'), 401, 'invalid_token', /^Bearer error="invalid_token"/],
    ['', { cookie: '__Host-access_token=x' }, 401, 'invalid_token', /^Bearer error="invalid_token"/],
    ['?scope=admin', mine, 403, 'insufficient_scope', /scope="admin"/],
    ['?scope=admin+items:read', { cookie, 'x-forwarded-method': 'GET' }, 403, 'insufficient_scope', /scope="admin items/],
    ['?scope=itmes:read', mine, 400, 'invalid_scope'],
    ['?scope=items:read+toString', mine, 400, 'invalid_scope'],
    ['?scope=', mine, 400, 'invalid_request'],
    ['?scope=+', mine, 400, 'invalid_request'],
    ['?scope=a"b', mine, 400, 'invalid_request'],
    ['?scope=items:read&scope=admin', mine, 400, 'invalid_request'],
    ['?scopes=admin', mine, 400, 'invalid_request']
  ]
  for (const [query, headers, status, code, challenge] of table) {
    const response = await app.inject({ url: `/verify${query}`, headers })
    t.equal(response.statusCode, status, query)
    t.equal(response.json().code, code, query)
    t.equal(response.headers['x-latchkey-user'], undefined, query)
    t.match(response.headers, { 'cache-control': 'no-store' })
    if (challenge === undefined) t.equal(response.headers['www-authenticate'], undefined)
    else t.match(response.headers['www-authenticate'], challenge)
  }
  await app.inject({ method: 'POST', url: '/revoke', payload: { token } })
  t.equal((await app.inject({ url: '/verify', headers: mine })).json().code, 'token_revoked')
  clock.move(901_000)
  t.equal((await app.inject({ url: '/verify', headers: { cookie } })).json().code, 'token_expired')
})

t.test('cookies: the rule against requests from other sites applies to the method that the proxy names', async t => {
  const { app } = await build(t, { forwardAuth: true, trustedOrigins: ['https://app.example.com'] })
  const { cookie } = await logInWithCookies(app)
  const { access_token: token } = await logIn(app)
  const cross = { 'sec-fetch-site': 'cross-site' }
  const socket = { 'sec-websocket-key': 'x', 'x-forwarded-method': 'GET' }
  const table: Array<[headers: NonNullable<InjectOptions['headers']>, status: number]> = [
    [{ 'x-forwarded-method': 'GET', ...cross }, 204],
    [{ 'x-original-method': 'HEAD', ...cross }, 204],
    [{ 'x-forwarded-method': 'POST', ...cross }, 403],
    [{ 'x-original-method': 'DELETE', ...cross }, 403],
    [cross, 403],
    [{ 'sec-fetch-site': 'same-site' }, 403],
    [{ 'x-forwarded-method': '', ...cross }, 403],
    [{ 'x-forwarded-method': 'get', ...cross }, 403],
    [{ 'x-forwarded-method': 'GET, POST', ...cross }, 403],
    [{ 'x-forwarded-method': 'GET', 'x-original-method': 'POST', ...cross }, 403],
    [{ 'x-forwarded-method': 'POST', 'x-original-method': 'GET', ...cross }, 403],
    [{ 'x-forwarded-method': 'POST', 'sec-fetch-site': 'same-origin' }, 204],
    [{ 'x-forwarded-method': 'POST' }, 204],
    [{}, 204],
    [{ 'x-forwarded-method': 'POST', origin: 'https://evil.example' }, 403],
    [{ 'x-forwarded-method': 'POST', host: 'app.test', origin: 'https://app.test' }, 204],
    [{ 'x-forwarded-method': 'POST', origin: 'https://app.example.com', ...cross }, 204],
    [{ ...socket, ...cross }, 403],
    [{ ...socket, origin: 'https://evil.example' }, 403],
    [{ 'sec-websocket-version': '13', 'x-forwarded-method': 'GET', ...cross }, 403],
    [{ 'sec-fetch-mode': 'websocket', 'x-forwarded-method': 'GET', ...cross }, 403],
    [{ upgrade: 'websocket', 'x-forwarded-method': 'GET', ...cross }, 403],
    [{ ...socket, 'sec-fetch-site': 'same-origin' }, 204]
  ]
  for (const [headers, status] of table) {
    const response = await app.inject({ url: '/verify', headers: { cookie, ...headers } })
    t.equal(response.statusCode, status, JSON.stringify(headers))
    if (status === 403) t.equal(response.json().code, 'cross_site_request')
  }
  const response = await app.inject({ url: '/verify', headers: { ...bearer(token), ...cross, 'x-forwarded-method': 'POST' } })
  t.equal(response.statusCode, 204, 'a page of another site cannot send the header')
})

t.test('ids that no header can carry are percent-encoded', async t => {
  const ids = ['auth0|5f7c', 'a b', '100%', 'Zoë\r\nx-latchkey-scopes: admin', 'a,b', '7', '\u{1F511}\u{1F511}']
  const users: LatchkeyOptions['users'] = {
    authenticate: async username => ({ id: ids[Number(username)] ?? '', username, scopes: [] }),
    find: async id => ({ id, username: id, scopes: [] })
  }
  const { app } = await build(t, { forwardAuth: true, users })
  for (const [index, id] of ids.entries()) {
    const { access_token: token } = await logIn(app, String(index))
    const { headers } = await app.inject({ url: '/verify', headers: bearer(token) })
    const value = String(headers['x-latchkey-user'])
    t.match(value, /^[\x21-\x7E]+$/)
    t.equal(decodeURIComponent(value), id)
    t.equal(headers['x-latchkey-scopes'], '')
  }
})

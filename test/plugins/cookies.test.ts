import t from 'tap'
import type { FastifyInstance, InjectOptions } from 'fastify'
import fastifyCookie from '@fastify/cookie'
import { bearer, build, cookieHeader, logIn, logInWithCookies, PASSWORD } from '../helper.js'
import { assertProblem, buildHost, listen } from '../routes/support.js'

async function logInRaw (app: FastifyInstance): Promise<string[]> {
  const response = await app.inject({
    method: 'POST', url: '/login', payload: { username: 'alice', password: PASSWORD }
  })
  return [response.headers['set-cookie'] ?? []].flat()
}

t.test('RFC 6265bis 4.1.3.2, ASVS 3.3.1, ASVS 3.3.2, ASVS 3.3.3, ASVS 3.3.4, NIST 5.1.1: the cookies are __Host-, HttpOnly, Secure, SameSite=Lax, Path=/, and nothing else', async t => {
  const { app } = await build(t)
  const cookies = await logInRaw(app)
  t.equal(cookies.length, 2)
  t.match(cookies[0], /^__Host-access_token=[\w.-]+; Max-Age=900; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
  t.match(cookies[1], /^__Host-refresh_token=lkr_[\w-]+; Max-Age=2592000; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
  for (const cookie of cookies) t.ok(cookie.length < 4096, 'browsers drop longer ones')
})

t.test('where the deployment cannot do Secure the names lose the prefix, which browsers would refuse', async t => {
  const { app } = await build(t, { cookies: { secure: false } })
  const cookies = await logInRaw(app)
  t.match(cookies[0], /^access_token=[\w.-]+; Max-Age=900; Path=\/; HttpOnly; SameSite=Lax$/)
  t.match(cookies[1], /^refresh_token=lkr_[\w-]+; Max-Age=2592000; Path=\/; HttpOnly; SameSite=Lax$/)
  const { cookie } = await logInWithCookies(app)
  t.equal((await app.inject({ url: '/protected-route', headers: { cookie } })).statusCode, 200)
  t.equal((await app.inject({ method: 'POST', url: '/refresh', headers: { cookie } })).statusCode, 200)
  t.equal(
    (await app.inject({
      url: '/protected-route', headers: { cookie: cookie.replaceAll(/(access|refresh)_token/g, '__Host-$1_token') }
    })).statusCode,
    401
  )
})

t.test('a prefix of the routes does not change the path: the cookies are for the whole host', async t => {
  const { app } = await build(t, { prefix: '/auth' })
  const response = await app.inject({
    method: 'POST', url: '/auth/login', payload: { username: 'alice', password: PASSWORD }
  })
  for (const cookie of response.cookies) t.equal(cookie.path, '/')
  t.equal((await app.inject({ url: '/protected-route', headers: { cookie: cookieHeader(response) } })).statusCode, 200)
})

t.test('a cookie without the prefix is not read: a neighbouring subdomain can set that one', async t => {
  const { app } = await build(t)
  const { access_token: token } = await logIn(app)
  for (const name of [
    'access_token', '__Secure-access_token', '__host-access_token', 'Host-access_token', '__Host-access_token ',
    '"__Host-access_token"'
  ]) {
    const response = await app.inject({ url: '/protected-route', headers: { cookie: `${name}=${token}` } })
    if (name.trim() !== '__Host-access_token') t.equal(response.statusCode, 401, name)
  }
})

t.test('RFC 6750 2: a token in the header wins over the cookie, also if it is invalid', async t => {
  const { app } = await build(t)
  const [one, two] = [await logIn(app), await logIn(app, 'bob')]
  const call = (header: string, cookie: string) => app.inject({
    url: '/users/me', headers: { ...bearer(header), cookie: `__Host-access_token=${cookie}` }
  })
  t.equal((await call(one.access_token, one.access_token)).json().username, 'alice')
  for (const cookie of [two.access_token, 'garbage', `${one.access_token}=`]) {
    t.equal((await call(one.access_token, cookie)).json().username, 'alice', cookie.slice(-8))
  }
  for (const header of ['garbage', '']) {
    assertProblem(t, await call(header, one.access_token), 401, 'invalid_token', header)
  }
  t.equal((await call(one.access_token, '')).statusCode, 200, 'an empty cookie is none')
  t.equal((await call('garbage', '')).statusCode, 401)
})

t.test('a header with a foreign scheme does not count beside the cookie, and does not exempt it from the rule', async t => {
  const { app } = await build(t)
  const { cookie } = await logInWithCookies(app)
  for (const authorization of ['Basic c3RhZ2luZzpwYXNz', 'Digest username="a"', 'Token x', 'Bearerx y', ' Bearer x']) {
    const headers = { cookie, authorization }
    const call = async (from: Record<string, string>): Promise<number> =>
      (await app.inject({ method: 'POST', url: '/protected-route', headers: { ...headers, ...from } })).statusCode
    t.equal(await call({}), 200, authorization)
    t.equal(await call({ 'sec-fetch-site': 'same-origin' }), 200)
    t.equal(await call({ 'sec-fetch-site': 'cross-site' }), 403)
    t.equal(await call({ origin: 'https://evil.example' }), 403)
    const response = await app.inject({ url: '/users/me', headers })
    t.match(response.headers, { vary: /Cookie/i }, 'it is a response to the cookie')
    t.equal((await app.inject({ url: '/users/me', headers: { authorization } })).statusCode, 401)
    for (const url of ['/refresh', '/logout', '/login']) {
      const payload = url === '/login' ? { username: 'alice', password: PASSWORD } : {}
      const refused = await app.inject({
        method: 'POST', url, headers: { ...headers, 'sec-fetch-site': 'cross-site' }, payload
      })
      assertProblem(t, refused, 403, 'cross_site_request', `${url} ${authorization}`)
    }
  }
  const headers = { cookie, authorization: 'Basic c3RhZ2luZzpwYXNz' }
  const refreshed = await app.inject({ method: 'POST', url: '/refresh', headers })
  t.equal(refreshed.statusCode, 200)
  const ended = { ...headers, cookie: cookieHeader(refreshed) }
  t.equal((await app.inject({ method: 'POST', url: '/logout', headers: ended })).statusCode, 204)
  t.equal((await app.inject({ url: '/users/me', headers: ended })).statusCode, 401)
})

t.test('odd Cookie headers are 401 at most, and never 500', async t => {
  const { app } = await build(t)
  const { access_token: token } = await logIn(app)
  const table = [
    '', ';', '=', '==;;==', '%', '__Host-access_token', '__Host-access_token=', '__Host-access_token=%',
    '__Host-access_token=%ff%fe', '__proto__=x; constructor=y', `x${'='.repeat(10_000)}`, 'a=b; '.repeat(5_000),
    `__Host-access_token=${'x'.repeat(1024 * 1024)}`, '\u00e4=\u00f6', '__Host-access_token="'
  ]
  for (const cookie of table) {
    t.equal(
      (await app.inject({ url: '/protected-route', headers: { cookie } })).statusCode, 401,
      JSON.stringify(cookie.slice(0, 30))
    )
  }
  for (const cookie of [
    `a=b; __Host-access_token=${token}; c=d`, `;;__Host-access_token=${token};;`,
    `${'a=b; '.repeat(500)}__Host-access_token=${token}`
  ]) t.equal((await app.inject({ url: '/protected-route', headers: { cookie } })).statusCode, 200, cookie.slice(0, 30))
  const twice = await app.inject({
    url: '/protected-route', headers: { cookie: `__Host-access_token=garbage; __Host-access_token=${token}` }
  })
  t.ok([200, 400, 401].includes(twice.statusCode), 'twice')
})

t.test('ASVS 3.5.1, NIST 5.1: a state-changing request on cookies is refused from another site', async t => {
  const { app } = await build(t, { trustedOrigins: ['https://app.example.com'] })
  const { cookie } = await logInWithCookies(app)
  const own = { host: 'auth.example.com' }
  const table: Array<[headers: Record<string, string>, allowed: boolean]> = [
    [{}, true],
    [{ 'sec-fetch-site': 'same-origin' }, true],
    [{ 'sec-fetch-site': 'none' }, true],
    [{ 'sec-fetch-site': 'cross-site' }, false],
    [{ 'sec-fetch-site': 'same-site' }, false],
    [{ 'sec-fetch-site': 'Same-Origin' }, false],
    [{ 'sec-fetch-site': 'same-origin, cross-site' }, false],
    [{ 'sec-fetch-site': 'nonsense' }, false],
    [{ origin: 'https://auth.example.com' }, true],
    [{ origin: 'https://evil.example' }, false],
    [{ origin: 'https://auth.example.com.evil.example' }, false],
    [{ origin: 'https://evil.auth.example.com' }, false],
    [{ origin: 'https://auth.example.com:8443' }, false],
    [{ origin: 'https://auth.example.com@evil.example' }, false],
    [{ origin: 'null' }, false],
    [{ origin: 'nonsense' }, false],
    [{ origin: 'file://' }, false],
    [{ origin: 'https://app.example.com' }, true],
    [{ origin: 'https://app.example.com', 'sec-fetch-site': 'same-site' }, true],
    [{ origin: 'https://app.example.com', 'sec-fetch-site': 'cross-site' }, true],
    [{ origin: 'http://app.example.com', 'sec-fetch-site': 'same-site' }, false],
    [{ origin: 'https://app.example.com.evil.example', 'sec-fetch-site': 'cross-site' }, false],
    [{ origin: 'https://auth.example.com', 'sec-fetch-site': 'cross-site' }, false],
    [{ origin: 'https://evil.example', 'sec-fetch-site': 'same-origin' }, true],
    [{ 'x-forwarded-host': 'evil.example', origin: 'https://evil.example' }, false]
  ]
  for (const [headers, allowed] of table) {
    const response = await app.inject({
      method: 'POST', url: '/protected-route', headers: { ...own, cookie, ...headers }
    })
    t.equal(response.statusCode, allowed ? 200 : 403, JSON.stringify(headers))
    for (const method of ['GET', 'HEAD'] as const) {
      t.equal(
        (await app.inject({
          method, url: '/protected-route', headers: { ...own, cookie, ...headers }
        })).statusCode, 200,
      `${method} changes nothing: ${JSON.stringify(headers)}`
      )
    }
  }
})

t.test('the page of an app with a scheme of its own logs in and uses the cookies, if its origin is listed', async t => {
  const origins = ['chrome-extension://abcdefghijklmnopabcdefghijklmnop', 'capacitor://localhost']
  const { app } = await build(t, { corsOrigins: origins, trustedOrigins: origins })
  const { cookie } = await logInWithCookies(app)
  const send = async (method: 'OPTIONS' | 'POST', url: string, headers: Record<string, string>) => await app.inject({
    method,
    url,
    headers: { host: 'localhost', ...headers },
    ...(url === '/login' && method === 'POST' && { payload: { username: 'alice', password: PASSWORD } })
  })
  for (const origin of origins) {
    const preflight = await send('OPTIONS', '/login', { origin, 'access-control-request-method': 'POST' })
    t.equal(preflight.headers['access-control-allow-origin'], origin)
    t.equal(preflight.headers['access-control-allow-credentials'], 'true')
    for (const site of ['none', 'cross-site']) {
      const headers = { origin, 'sec-fetch-site': site }
      t.equal((await send('POST', '/login', headers)).headers['access-control-allow-origin'], origin, `${origin} ${site}`)
      t.equal((await send('POST', '/protected-route', { ...headers, cookie })).statusCode, 200, `${origin} ${site}`)
    }
  }
  for (const origin of [
    'chrome-extension://ponmlkjihgfedcbaponmlkjihgfedcba', 'capacitor://localhost:80', 'ionic://localhost', 'null'
  ]) {
    const preflight = await send('OPTIONS', '/login', { origin, 'access-control-request-method': 'POST' })
    t.equal(preflight.headers['access-control-allow-origin'], undefined, origin)
    for (const headers of [{ origin }, { origin, 'sec-fetch-site': 'cross-site' }] as Array<Record<string, string>>) {
      t.equal((await send('POST', '/login', headers)).statusCode, 403, origin)
      t.equal((await send('POST', '/protected-route', { ...headers, cookie })).statusCode, 403, origin)
    }
  }
})

t.test('a token in the header is not the business of the cookie rule', async t => {
  const { app } = await build(t)
  const { access_token: token } = await logIn(app)
  const foreign = { 'sec-fetch-site': 'cross-site', origin: 'https://spa.example' }
  t.equal(
    (await app.inject({
      method: 'POST', url: '/protected-route', headers: { ...bearer(token), ...foreign }
    })).statusCode,
    200
  )
  t.equal(
    (await app.inject({
      method: 'POST', url: '/token', headers: foreign, payload: { username: 'alice', password: PASSWORD }
    })).statusCode,
    200
  )
  t.equal((await app.inject({ method: 'POST', url: '/revoke', headers: foreign, payload: { token } })).statusCode, 200)
})

t.test('a request from another site is refused whether its cookie is good or not: the answer tells nothing', async t => {
  const { app } = await build(t)
  const { cookie } = await logInWithCookies(app)
  const answers = []
  for (const value of [cookie, '__Host-access_token=garbage']) {
    const response = await app.inject({
      method: 'POST', url: '/protected-route', headers: { cookie: value, 'sec-fetch-site': 'cross-site' }
    })
    answers.push([response.statusCode, response.body, response.headers['www-authenticate']])
  }
  t.strictSame(answers[0], answers[1])
})

t.test('over real sockets, with the port in the Host header', async t => {
  const { app } = await build(t)
  const origin = await listen(app)
  const { cookie } = await logInWithCookies(app)
  const post = async (headers: Record<string, string>): Promise<number> => (await fetch(
    `${origin}/protected-route`, { method: 'POST', headers: { cookie, ...headers } }
  )).status
  t.equal(await post({ origin }), 200)
  t.equal(await post({ origin: 'http://127.0.0.1' }), 403, 'another port is another origin')
  t.equal(await post({ origin: origin.replace('127.0.0.1', 'localhost') }), 403)
})

t.test("the host's own @fastify/cookie is its own, and without one we give it no request.cookies", async t => {
  for (const registers of [true, false]) {
    const { app } = await buildHost(t, {}, async app => {
      if (registers) {
        await app.register(
          fastifyCookie, { secret: 'x'.repeat(32), parseOptions: { decode: () => 'mine' } } as object
        )
      }
      app.get('/mine', { onRequest: app.authenticate }, async (request, reply) => {
        reply.header('set-cookie', 'mine=1')
        return { cookies: (request as { cookies?: unknown }).cookies ?? null }
      })
    })
    const response = await app.inject({ url: '/mine', headers: await logInWithCookies(app) })
    t.equal(response.statusCode, 200, 'its decoder is not ours')
    t.equal(response.headers['set-cookie'], 'mine=1')
    t.equal(response.json().cookies === null, !registers)
  }
})

t.test('cookies that the host set on the same answer survive', async t => {
  const { app } = await buildHost(t, {}, app => {
    app.addHook('onRequest', async (_request, reply) => { reply.header('set-cookie', 'tracking=1; Path=/') })
  })
  const response = await app.inject({
    method: 'POST', url: '/login', payload: { username: 'alice', password: PASSWORD }
  })
  t.equal(response.statusCode, 200)
  t.strictSame(
    response.cookies.map(({ name }) => name).sort(), ['__Host-access_token', '__Host-refresh_token', 'tracking']
  )
})

/** Sends requests with the cookies of one browser, which keeps them by host name alone, whatever the port. */
function createBrowser (): (app: FastifyInstance, request: InjectOptions) => Promise<number> {
  const jar = new Map<string, string>()
  return async (app, request) => {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const { cookies, statusCode } = await app.inject({ ...request, headers: { cookie } })
    for (const { name, value, maxAge } of cookies) {
      if (maxAge === 0) jar.delete(name)
      else jar.set(name, value)
    }
    return statusCode
  }
}

const LOGIN = { method: 'POST', url: '/login', payload: { username: 'alice', password: PASSWORD } } as const

for (const secure of [true, false]) {
  t.test(`two apps on one host name, with ${secure ? 'Secure' : 'plain'} cookies of different names, keep both users logged in`, async t => {
    const { app: one } = await build(t, { cookies: { secure } })
    const { app: two } = await build(t, { cookies: { secure, accessName: 'two_access', refreshName: 'two_refresh' } })
    const send = createBrowser()
    for (const app of [one, two]) t.equal(await send(app, LOGIN), 200)
    for (const app of [one, two, one]) {
      t.equal(await send(app, { url: '/protected-route' }), 200)
      t.equal(await send(app, { method: 'POST', url: '/refresh' }), 200)
      t.equal(await send(app, { method: 'POST', url: '/protected-route' }), 200)
    }
    t.equal(await send(one, { method: 'POST', url: '/logout' }), 204)
    t.equal(await send(one, { url: '/protected-route' }), 401)
    t.equal(await send(two, { url: '/protected-route' }), 200)
    t.equal(await send(two, { method: 'POST', url: '/refresh' }), 200)
  })
}

t.test('with the same names the second login replaces the first: why there is an option', async t => {
  const { app: one } = await build(t)
  const { app: two } = await build(t)
  const send = createBrowser()
  for (const app of [one, two]) t.equal(await send(app, LOGIN), 200)
  t.equal(await send(one, { url: '/protected-route' }), 401)
})

t.test('every character that a name may have works; the document follows the names', async t => {
  const name = "!#$%&'*+.^_`|~0-9A-Za-z-"
  const { app } = await build(t, { docs: true, cookies: { accessName: name, refreshName: 'shop_refresh' } })
  const cookies = await logInRaw(app)
  t.ok(cookies[0]?.startsWith(`__Host-${name}=`))
  t.match(cookies[1], /^__Host-shop_refresh=lkr_[\w-]+; Max-Age=2592000; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
  const { cookie } = await logInWithCookies(app)
  t.equal((await app.inject({ url: '/protected-route', headers: { cookie } })).statusCode, 200)
  t.equal((await app.inject({ method: 'POST', url: '/refresh', headers: { cookie } })).statusCode, 200)
  const document = (await app.inject('/openapi.json')).json()
  t.equal(document.components.securitySchemes.cookie.name, `__Host-${name}`)
  t.ok(document.paths['/login'].post.description.startsWith(`Sets the cookies \`${name}\` and \`shop_refresh\`.`))
})

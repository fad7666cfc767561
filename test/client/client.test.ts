import type { AddressInfo } from 'node:net'
import { mock } from 'node:test'
import { gzipSync } from 'node:zlib'
import { build as bundle } from 'esbuild'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { Test } from 'tap'
import { requireRecentLogin } from '../../app.js'
import { createClient, readStepUp } from '../../client/index.js'
import type { ClientOptions, ResponseError, Tokens, TokenStore } from '../../client/index.js'
import { build, PASSWORD } from '../helper.js'
import type { TestClock } from '../helper.js'

const MINUTE = 60_000
const BUDGET = 6 * 1024

interface World {
  app: FastifyInstance
  clock: TestClock
  url: string
  /** What came to the service since the last look, such as `POST /refresh 200`. */
  seen (): string[]
  connect (options?: Partial<ClientOptions>): ReturnType<typeof createClient>
}

/** A listening service, and clients that share its clock. */
async function listen (t: Test, addRoutes: (app: FastifyInstance) => void = () => {}): Promise<World> {
  const { app, clock } = await build(t, {}, {}, addRoutes)
  let requests: string[] = []
  app.server.on('request', (request, response) => {
    response.on('finish', () => requests.push(`${request.method} ${request.url} ${response.statusCode}`))
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  return {
    app,
    clock,
    url,
    seen () {
      const seen = requests.sort()
      requests = []
      return seen
    },
    connect: options => createClient({ url, now: clock, ...options })
  }
}

const CREDENTIALS = { username: 'alice', password: PASSWORD }

/** A `fetch` with the cookies of a browser. */
function createJar (): (request: Request) => Promise<Response> {
  const jar = new Map<string, string>()
  return async request => {
    if (request.credentials === 'include' && jar.size > 0) {
      request.headers.set(
        'cookie', [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
      )
    }
    const response = await fetch(request)
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
      if (value === '') jar.delete(name)
      else jar.set(name, value)
    }
    return response
  }
}

/** Tokens that several clients share, as the tabs of a browser do. */
function createSharedStore (): TokenStore & { tokens: Tokens | undefined } {
  return {
    tokens: undefined,
    async read () { return this.tokens },
    async write (tokens) { this.tokens = tokens }
  }
}

for (const transport of ['bearer', 'cookie'] as const) {
  const options = (): Partial<ClientOptions> => transport === 'bearer' ? {} : { transport, fetch: createJar() }

  t.test(`${transport}: log in, call the service and an API of one's own, log out`, async t => {
    const { app, seen, connect, url } = await listen(t)
    const client = connect(options())
    t.equal((await client.api.GET('/users/me')).response.status, 401, 'nobody yet')
    t.strictSame(await client.logIn({ ...CREDENTIALS, scopes: ['items:read'] }), { scopes: ['items:read'] })
    const { data } = await client.api.GET('/users/me')
    t.equal(data?.username, 'alice')
    t.equal((await client.fetch(`${url}/protected-route`)).status, 200)
    t.equal((await client.fetch(`${url}/admin/`)).status, 403)
    const posted = await client.fetch(
      `${url}/protected-route`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' }
    )
    t.equal(posted.status, 200)
    await client.logOut()
    const alice = await app.latchkey.users.findByName('alice')
    t.strictSame(await app.latchkey.sessions.list(alice?.id ?? ''), [], 'the session has ended at the service')
    t.equal((await client.api.GET('/users/me')).response.status, 401)
    t.notOk(seen().includes('POST /refresh 200'))
  })

  t.test(`${transport}: 20 calls at the moment of expiry make one refresh, and all succeed`, async t => {
    const { clock, seen, connect } = await listen(t)
    const client = connect(options())
    await client.logIn(CREDENTIALS)
    for (const moment of ['before it is known', 'at expiry']) {
      clock.move(15 * MINUTE)
      seen()
      const answers = await Promise.all(Array.from({ length: 20 }, () => client.api.GET('/users/me')))
      t.ok(answers.every(({ data }) => data?.username === 'alice'), moment)
      t.equal(seen().filter(line => line.startsWith('POST /refresh')).length, 1, moment)
    }
  })

  t.test(`${transport}: 20 calls that are all answered with 401 make one refresh, and their bodies are sent again`, async t => {
    const { app, clock, seen, connect, url } = await listen(t)
    // This clock stands still: the client learns of the expiry by the answers.
    const client = connect({ ...options(), now: () => 0 })
    await client.logIn(CREDENTIALS)
    clock.move(15 * MINUTE)
    seen()
    const request = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"a":1}' }
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.fetch(`${url}/protected-route`, request)))
    t.ok(answers.every(({ status }) => status === 200))
    const lines = seen()
    t.equal(lines.filter(line => line.startsWith('POST /refresh')).length, 1)
    t.equal(lines.filter(line => line === 'POST /protected-route 401').length, 20)
    t.equal(lines.filter(line => line === 'POST /protected-route 200').length, 20, 'each was sent once more')

    const alice = await app.latchkey.users.findByName('alice')
    t.equal((await app.latchkey.sessions.list(alice?.id ?? '')).length, 1)
  })

  t.test(`${transport}: a session that was ended elsewhere is said to be over, and the answer is the 401`, async t => {
    const { app, connect, seen } = await listen(t)
    let ended = 0
    const client = connect({ ...options(), onSessionEnd () { ended += 1 } })
    await client.logIn(CREDENTIALS)
    const alice = await app.latchkey.users.findByName('alice')
    await app.latchkey.sessions.endAll(alice?.id ?? '')
    seen()
    const { error, response } = await client.api.GET('/users/me')
    t.equal(response.status, 401)
    t.equal(error?.code, 'token_revoked')
    t.equal(ended, 1)
    t.ok(seen().includes('POST /refresh 401'))
    await client.logOut()
    await t.rejects(
      client.logOut('all'), { name: 'ResponseError', status: 401 }, 'it cannot end others, and does not say that it did'
    )
    await client.logIn(CREDENTIALS)
    t.equal((await client.api.GET('/users/me')).response.status, 200, 'and the next one begins as the first')
  })

  t.test(`${transport}: log out everywhere, and all others`, async t => {
    const { clock, connect } = await listen(t)
    const [phone, laptop, tablet] = [connect(options()), connect(options()), connect(options())]
    for (const client of [phone, laptop, tablet]) await client.logIn(CREDENTIALS)
    await phone.logOut('others')
    t.equal((await phone.api.GET('/users/me')).response.status, 200)
    t.equal((await laptop.api.GET('/users/me')).response.status, 401)
    await laptop.logIn(CREDENTIALS)
    clock.move(16 * MINUTE)
    await laptop.logOut('all')
    for (const client of [phone, laptop, tablet]) t.equal((await client.api.GET('/users/me')).response.status, 401)
  })

  t.test(`${transport}: a wrong password is an error with the code of the service`, async t => {
    const { connect } = await listen(t)
    const client = connect(options())
    const code = transport === 'bearer' ? 'invalid_grant' : 'invalid_credentials'
    await t.rejects(
      client.logIn({ ...CREDENTIALS, password: 'wrong' }),
      {
        name: 'ResponseError',
        status: transport === 'bearer' ? 400 : 401,
        code,
        message: 'The username or password is incorrect.'
      }
    )
  })
}

t.test('a token is refreshed before it expires, at a moment left to chance', async t => {
  const { clock, seen, connect } = await listen(t)
  const moments = new Set<number>()
  for (let round = 0; round < 8; round += 1) {
    const store = createSharedStore()
    const client = connect({ store })
    await client.logIn(CREDENTIALS)
    const left = 15 * MINUTE - ((store.tokens?.refreshAt ?? 0) - clock())
    moments.add(left)
    t.ok(left >= MINUTE && left <= 2 * MINUTE, `${left} ms before it expires`)
    if (round > 0) continue
    clock.move(15 * MINUTE - left - 1)
    seen()
    await client.api.GET('/users/me')
    t.strictSame(seen(), ['GET /users/me 200'])
    clock.move(1)
    await client.api.GET('/users/me')
    t.strictSame(seen(), ['GET /users/me 200', 'POST /refresh 200'])
  }
  t.ok(moments.size > 1)
})

t.test('clients of one store, as tabs are, take what another has refreshed', async t => {
  const { clock, seen, connect } = await listen(t)
  const store = createSharedStore()
  const [first, second] = [connect({ store }), connect({ store })]
  await first.logIn(CREDENTIALS)
  clock.move(15 * MINUTE)
  await first.api.GET('/users/me')
  seen()
  t.equal((await second.api.GET('/users/me')).data?.username, 'alice')
  t.strictSame(seen(), ['GET /users/me 200'])
  await second.logOut()
  t.equal((await first.api.GET('/users/me')).response.status, 401)
})

t.test('a refresh whose answer was lost is sent again for as long as the service gives the same successor', async t => {
  const { app, clock, connect } = await listen(t)
  // Nobody knows whether it arrived: a connection that breaks before and after, an answer that breaks off, a page of
  // some gateway.
  const losses = [
    async (request: Request) => { await fetch(request); throw new TypeError('fetch failed') },
    async () => { throw new TypeError('fetch failed') },
    async (request: Request) => new Response(
      (await fetch(request)).body?.pipeThrough(new TransformStream({
        transform (_chunk, controller) { controller.error(new TypeError('terminated')) }
      })) ?? null
    ),
    async () => new Response('<h1>Welcome to the hotel</h1>')
  ]
  const tries: string[] = []
  const client = connect({
    async fetch (request) {
      if (!request.url.endsWith('/refresh')) return await fetch(request)
      tries.push(await request.clone().text())
      return await (losses.shift() ?? fetch)(request)
    }
  })
  await client.logIn(CREDENTIALS)
  clock.move(15 * MINUTE)
  t.equal((await client.api.GET('/users/me')).data?.username, 'alice')
  t.equal(tries.length, 5)
  t.equal(new Set(tries).size, 1, 'with the same token')
  const alice = await app.latchkey.users.findByName('alice')
  t.equal((await app.latchkey.sessions.list(alice?.id ?? '')).length, 1, 'nobody was taken for a thief')
})

t.test('what another process has put into the store meanwhile is neither overwritten nor wiped', async t => {
  for (const answer of [401, 503]) {
    const { clock, connect } = await listen(t)
    const shared = createSharedStore()
    const other = connect({ store: shared })
    await other.logIn(CREDENTIALS)
    let ended = 0
    // A store object of its own, as in another process: no lock in common.
    const client = connect({
      store: { read: () => shared.read(), write: tokens => shared.write(tokens) },
      onSessionEnd () { ended += 1 },
      async fetch (request) {
        if (!request.url.endsWith('/refresh')) return await fetch(request)
        await other.api.GET('/users/me')
        return Response.json({ code: 'x' }, { status: answer })
      }
    })
    clock.move(15 * MINUTE)
    t.equal((await client.api.GET('/users/me')).response.status, 200)
    t.equal(ended, 0)
    t.equal((await other.api.GET('/users/me')).response.status, 200)
  }
})

t.test('the owner of a stolen session learns why it has ended', async t => {
  const { app, connect } = await listen(t)
  const store = createSharedStore()
  const reasons: string[] = []
  const client = connect({ store, onSessionEnd ({ code }) { reasons.push(code) } })
  await client.logIn(CREDENTIALS)
  const { refreshToken } = await store.read() as Tokens
  const thief = await app.latchkey.sessions.refresh(refreshToken)
  await app.latchkey.sessions.refresh(thief.refreshToken)
  t.equal((await client.api.GET('/users/me')).response.status, 200, 'the access token still works')
  await t.rejects(app.latchkey.sessions.refresh(refreshToken), { code: 'session_stolen' })
  t.equal((await client.api.GET('/users/me')).error?.code, 'session_stolen')
  t.strictSame(reasons, ['session_stolen'])
})

for (const [transport, options] of [
  ['bearer', (): Partial<ClientOptions> => ({})],
  ['cookie', (): Partial<ClientOptions> => ({ transport: 'cookie', fetch: createJar() })]
] as const) {
  t.test(`${transport}: a route that requires a recent login gets one, and the request is sent once more`, async t => {
    const { app, clock, url, connect, seen } = await listen(t, app => {
      app.post('/pay', { preHandler: requireRecentLogin('5m') }, async request => request.body)
    })
    const asked: unknown[] = []
    let mayLogIn = false
    const client: ReturnType<typeof createClient> = connect({
      ...options(),
      async onStepUp (stepUp) {
        asked.push(stepUp)
        if (mayLogIn) await client.logIn(CREDENTIALS)
        return mayLogIn
      }
    })
    await client.logIn(CREDENTIALS)
    clock.move(6 * MINUTE)
    const pay = async (): Promise<Response> => await client.fetch(`${url}/pay`, {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"amount":1}'
    })
    seen()
    t.equal((await pay()).status, 401, 'the user did not log in again')
    t.strictSame(seen().filter(line => line.startsWith('POST /refresh')), [], 'a refresh would not help')
    mayLogIn = true
    const paid = await pay()
    t.strictSame([paid.status, await paid.json()], [200, { amount: 1 }])
    t.strictSame(asked, [{ maxAge: 300 }, { maxAge: 300 }])
    t.equal((await pay()).status, 200)
    t.equal(asked.length, 2)
    const alice = await app.latchkey.users.findByName('alice')
    t.equal((await app.latchkey.sessions.list(alice?.id ?? '')).length, 1, 'the previous session has ended')

    clock.move(6 * MINUTE)
    const answers = await Promise.all(Array.from({ length: 10 }, pay))
    t.ok(answers.every(({ status }) => status === 200))
    t.equal(asked.length, 3, 'concurrent requests share one login')

    clock.move(30 * MINUTE)
    t.equal((await pay()).status, 200, 'the access token has expired too')
    t.equal(asked.length, 4)
  })

  t.test(`${transport}: a request is never sent again for another user`, async t => {
    const payers: unknown[] = []
    const { app, clock, url, connect } = await listen(t, app => {
      app.post('/pay', { preHandler: requireRecentLogin('5m') }, async ({ user }) => { payers.push(user.id) })
    })
    await app.latchkey.users.add({ username: 'mallory', password: PASSWORD })
    let act = async (): Promise<unknown> => true
    const client = connect({ ...options(), onStepUp: async () => await act() as boolean })
    await client.logIn(CREDENTIALS)
    clock.move(6 * MINUTE)
    for (const [what, action] of Object.entries<() => Promise<unknown>>({
      'it did not return true': async () => { await client.logIn(CREDENTIALS) },
      'a logout instead of a login': async () => { await client.logOut(); return true },
      'another user logged in': async () => { await client.logIn({ ...CREDENTIALS, username: 'mallory' }); return true }
    })) {
      await client.logIn(CREDENTIALS)
      clock.move(6 * MINUTE)
      act = action
      const refused = await client.fetch(`${url}/pay`, { method: 'POST' })
      t.equal(refused.status, 401, what)
      t.strictSame(readStepUp(refused), { maxAge: 300 }, what)
    }
    t.strictSame(payers, [])
    act = async () => { throw new Error('the window was closed') }
    await client.logIn(CREDENTIALS)
    clock.move(6 * MINUTE)
    await t.rejects(client.fetch(`${url}/pay`, { method: 'POST' }), /the window was closed/)
  })

  t.test(`${transport}: without onStepUp the caller gets the 401, and can read what it asks for`, async t => {
    const { clock, url, connect, seen } = await listen(t, app => {
      app.get('/old', { preHandler: requireRecentLogin('5m') }, async () => 'old')
    })
    const client = connect(options())
    await client.logIn(CREDENTIALS)
    clock.move(6 * MINUTE)
    seen()
    const response = await client.fetch(`${url}/old`)
    t.strictSame(readStepUp(response), { maxAge: 300 })
    t.match(await response.json(), { code: 'insufficient_user_authentication' })
    t.strictSame(seen(), ['GET /old 401'])
    t.equal(readStepUp(new Response(null, { status: 401, headers: { 'www-authenticate': 'Bearer' } })), undefined)
  })
}

t.test('a client with a key sends it with each request, and has no login', async t => {
  const { app, url, connect, seen } = await listen(t)
  const alice = await app.latchkey.users.findByName('alice')
  const { value } = await app.latchkey.personalAccessTokens.create(alice?.id ?? '', { name: 'x', scopes: [] })
  const client = connect({ key: value })
  t.equal((await client.api.GET('/users/me')).data?.username, 'alice')
  t.equal(await client.accessToken(), value)
  t.equal((await client.fetch(`${url}/keys`)).status, 401, 'a route that accepts no keys')
  t.strictSame(seen(), ['GET /keys 401', 'GET /users/me 200'])
  await t.rejects(client.logIn(CREDENTIALS), TypeError)
  await t.rejects(client.logOut(), TypeError)
  await t.rejects(client.fetch('https://other.example.com/'), TypeError, 'the key goes to no other origin')
  for (const key of ['', 'lkr_x', 'eyJ']) t.throws(() => connect({ key }), TypeError)
})

t.test('a wrong password given to the route itself is one attempt', async t => {
  const { seen, connect } = await listen(t)
  for (const options of [{}, { transport: 'cookie', fetch: createJar() }] as const) {
    const client = connect(options)
    await client.logIn(CREDENTIALS)
    seen()
    const { error } = await client.api.POST('/login', { body: { ...CREDENTIALS, password: 'wrong' } })
    t.equal(error?.code, 'invalid_credentials')
    t.strictSame(seen(), ['POST /login 401'])
  }
})

t.test('accessToken: a token that lasts, refreshed once for all callers, and none without a login', async t => {
  const { app, clock, seen, connect } = await listen(t)
  const store = createSharedStore()
  let ended = 0
  const [first, second] = [connect({ store, onSessionEnd () { ended += 1 } }), connect({ store })]
  t.equal(await first.accessToken(), undefined, 'nobody yet')
  await first.logIn(CREDENTIALS)
  const before = await first.accessToken()
  t.equal(await second.accessToken(), before, 'it is kept while it lasts')
  clock.move(14.5 * MINUTE)
  seen()
  const tokens = await Promise.all([first, second, first, second].map(client => client.accessToken()))
  t.strictSame(seen(), ['POST /refresh 200'])
  t.equal(new Set(tokens).size, 1)
  t.not(tokens[0], before)
  clock.move(MINUTE)
  const { statusCode } = await app.inject({
    url: '/protected-route', headers: { authorization: `Bearer ${tokens[0]}` }
  })
  t.equal(statusCode, 200, 'the first one has expired, this one has not')

  const alice = await app.latchkey.users.findByName('alice')
  await app.latchkey.sessions.endAll(alice?.id ?? '')
  clock.move(15 * MINUTE)
  t.equal(await first.accessToken(), undefined, 'the session has ended elsewhere')
  t.equal(ended, 1)
  await first.logIn(CREDENTIALS)
  await first.logOut()
  t.equal(await first.accessToken(), undefined, 'after logOut')
})

t.test('accessToken: while the service cannot be reached, the token at hand', async t => {
  const { clock, connect } = await listen(t)
  const client = connect({
    fetch: async request => request.url.endsWith('/refresh')
      ? Response.json({ code: 'store_unavailable' }, { status: 503 })
      : await fetch(request)
  })
  await client.logIn(CREDENTIALS)
  const token = await client.accessToken()
  t.match(token, /^ey/)
  clock.move(14.5 * MINUTE)
  t.equal(await client.accessToken(), token)
})

t.test('accessToken: no script can read a cookie, and the error says what to do', async t => {
  const { connect, seen } = await listen(t)
  const client = connect({ transport: 'cookie', fetch: createJar() })
  await client.logIn(CREDENTIALS)
  seen()
  await t.rejects(client.accessToken(), { name: 'TypeError', message: /transport cookie: use client\.fetch/ })
  t.strictSame(seen(), [], 'and asks for nothing')
})

t.test('a login that never gets an answer ends with an error', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  let reached = (): void => {}
  const sent = new Promise<void>(resolve => { reached = resolve })
  const client = createClient({
    url: 'https://auth.example.com',
    async fetch ({ signal }) {
      reached()
      return await new Promise((_resolve, reject) => { signal.onabort = () => reject(signal.reason) })
    }
  })
  const attempt = t.rejects(client.logIn(CREDENTIALS), { message: 'The service did not respond within 30 seconds' })
  await sent
  mock.timers.tick(30_000)
  await attempt
})

t.test('introspection is authenticated as all other routes are, and refreshed for', async t => {
  const { app, clock, connect } = await listen(t)
  await app.latchkey.users.add({ username: 'inspector', password: PASSWORD, scopes: ['tokens:introspect'] })
  const client = connect({ now: () => 0 })
  await client.logIn({ ...CREDENTIALS, username: 'inspector' })
  const bob = await app.latchkey.users.findByName('bob')
  const inspect = async (): Promise<boolean | undefined> => {
    const token = await app.latchkey.tokens.sign(
      await app.latchkey.sessions.start(bob ?? { id: 'bob', username: 'bob', scopes: [] })
    )
    return (await client.api.POST('/introspect', { body: { token } })).data?.active
  }
  t.equal(await inspect(), true)
  clock.move(15 * MINUTE)
  t.equal(await inspect(), true)
})

t.test('cookie: who is not logged in hears of it once, and not after logging out', async t => {
  const { connect } = await listen(t)
  let ended = 0
  const client = connect({ transport: 'cookie', fetch: createJar(), onSessionEnd () { ended += 1 } })
  await client.api.GET('/users/me')
  await client.api.GET('/users/me')
  t.equal(ended, 1)
  await client.logIn(CREDENTIALS)
  await client.logOut()
  await client.api.GET('/users/me')
  t.equal(ended, 1)
})

t.test('a refresh token does not follow a redirect', async t => {
  const { connect, clock } = await listen(t)
  const policies: string[] = []
  const client = connect({
    async fetch (request) {
      if (request.method === 'POST') policies.push(request.redirect)
      return await fetch(request)
    }
  })
  await client.logIn(CREDENTIALS)
  clock.move(15 * MINUTE)
  await client.api.GET('/users/me')
  await client.logOut()
  t.strictSame(policies, ['error', 'error', 'error'])
})

t.test('while no refresh succeeds the token is used for as long as it lives, and nobody is logged out', async t => {
  const { clock, seen, connect } = await listen(t)
  let isDown = false
  let ended = 0
  const client = connect({
    fetch: async request => isDown && request.url.endsWith('/refresh')
      ? Response.json(
        { code: 'store_unavailable' }, { status: 503 }
      )
      : await fetch(request),
    onSessionEnd () { ended += 1 }
  })
  await client.logIn(CREDENTIALS)
  isDown = true
  clock.move(14.5 * MINUTE)
  t.equal((await client.api.GET('/users/me')).response.status, 200)
  seen()
  t.equal((await client.api.GET('/users/me')).response.status, 200)
  t.strictSame(seen(), ['GET /users/me 200'], 'the service is left alone for a while')
  isDown = false
  clock.move(MINUTE)
  t.equal((await client.api.GET('/users/me')).response.status, 200)
  t.equal(ended, 0)
})

t.test('a call of one user is not sent again as the next, who logged in while it was on its way', async t => {
  const { connect, url, seen } = await listen(t)
  let arrive = (): void => {}
  let goOn = (): void => {}
  const arrived = new Promise<void>(resolve => { arrive = resolve })
  const gate = new Promise<void>(resolve => { goOn = resolve })
  const client = connect({
    async fetch (request) {
      if (!request.url.endsWith('/protected-route')) return await fetch(request)
      arrive()
      await gate
      return await fetch(request)
    }
  })
  await client.logIn(CREDENTIALS)
  const call = client.fetch(
    `${url}/protected-route`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' }
  )
  await arrived
  await client.logOut()
  await client.logIn({ ...CREDENTIALS, username: 'bob' })
  goOn()
  t.equal((await call).status, 401)
  t.notOk(seen().includes('POST /protected-route 200'))
})

t.test('a token goes to the origins of the client only, and not over one that the request has', async t => {
  const { connect, url } = await listen(t)
  const sent: Array<[string, string | null]> = []
  const record = async (request: Request): Promise<Response> => {
    sent.push([request.url, request.headers.get('authorization')])
    return request.url.startsWith(url) ? await fetch(request) : new Response('{}')
  }
  const client = connect({ fetch: record, origins: ['https://api.example.com'] })
  await client.logIn(CREDENTIALS)
  for (const elsewhere of [
    'https://evil.example', 'http://api.example.com/', 'https://api.example.com.evil.example',
    'https://api.example.com:8443/', `${url}@evil.example/`
  ]) {
    await t.rejects(
      client.fetch(elsewhere), { name: 'TypeError', message: /must not receive the token|includes credentials/ },
      elsewhere
    )
  }
  t.equal(sent.length, 1)
  await client.fetch('https://api.example.com/items')
  t.match(sent.at(-1), ['https://api.example.com/items', /^Bearer ey/])
  await client.fetch('https://api.example.com/items', { headers: { authorization: 'Basic abc' } })
  t.strictSame(sent.at(-1), ['https://api.example.com/items', 'Basic abc'])
})

t.test('what a proxy in between says is an error too', async t => {
  const client = createClient({
    url: 'https://auth.example.com', fetch: async () => new Response('<h1>Bad gateway</h1>', { status: 502 })
  })
  await t.rejects(
    client.logIn(CREDENTIALS),
    {
      name: 'ResponseError', status: 502, code: 'unknown', message: 'The service answered 502.'
    } satisfies Partial<ResponseError>
  )
})

t.test(`it takes at most ${BUDGET} bytes of a page, gzipped, with all that it imports`, async t => {
  const { outputFiles: [file] } = await bundle({
    entryPoints: [new URL('../../client/index.js', import.meta.url).pathname],
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    write: false
  })
  const size = gzipSync(file?.contents ?? '').length
  t.ok(size > 1000 && size <= BUDGET, `${size} bytes`)
})

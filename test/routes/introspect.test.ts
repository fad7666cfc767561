import t from 'tap'
import { bearer, build, logIn, PASSWORD, postForm } from '../helper.js'
import type { TokenBody } from '../helper.js'
import { addClient, assertOAuthError, buildHost, claimsOf, databaseFile, query, SECRET } from './support.js'

const LOGIN = { grant_type: 'password', username: 'alice', password: PASSWORD }
const INACTIVE = { active: false }

t.test('RFC 7662 2.2: what a live access token and a live refresh token say', async t => {
  const { app, clock } = await build(t)
  const client = await addClient(app, { grants: ['password', 'client_credentials'] })
  const session: TokenBody = (await postForm(app, '/token', LOGIN, client.basic)).json()
  const own: TokenBody = (await postForm(app, '/token', { grant_type: 'client_credentials' }, client.basic)).json()
  const claims = claimsOf(session.access_token)
  const response = await postForm(app, '/introspect', { token: session.access_token }, client.basic)
  t.equal(response.statusCode, 200)
  t.equal(response.headers['cache-control'], 'no-store')
  t.strictSame(response.json(), { active: true, token_type: 'bearer', username: 'alice', ...claims })
  t.strictSame(
    (await postForm(app, '/introspect', { token: own.access_token, ...client.form })).json(),
    { active: true, token_type: 'bearer', ...claimsOf(own.access_token) }
  )
  const iat = Math.floor(clock() / 1000)
  t.strictSame((await app.inject({
    method: 'POST', url: '/introspect', payload: { token: session.refresh_token, ...client.form }
  })).json(), {
    active: true,
    scope: 'items:read',
    client_id:
      client.id,
    username: 'alice',
    sub: claims.sub,
    iss: claims.iss,
    sid: claims.sid,
    iat,
    exp: Math.floor(
      (clock() + 30 * 86_400_000) / 1000
    )
  })
  for (const hint of ['access_token', 'refresh_token', 'nonsense']) {
    for (const token of [session.access_token, session.refresh_token]) {
      t.match(
        (await postForm(app, '/introspect', { token, token_type_hint: hint }, client.basic)).json(), { active: true },
        hint
      )
    }
  }
})

t.test('RFC 7662 2.2: what is not live is active: false and nothing else', async t => {
  const { app, clock } = await build(t)
  const client = await addClient(
    app, { scopes: ['items:read', 'tokens:introspect'], grants: ['password', 'client_credentials'] }
  )
  const ask = async (token: string): Promise<object> => {
    const response = await postForm(app, '/introspect', { token }, client.basic)
    t.equal(response.statusCode, 200)
    return response.json()
  }
  const { users, sessions } = app.latchkey
  const ends: Array<[name: string, end: (tokens: TokenBody, sub: string) => Promise<unknown>]> = [
    ['revoked', tokens => postForm(app, '/revoke', { token: tokens.refresh_token })],
    ['session ended', (_tokens, sub) => sessions.endAll(sub)],
    ['user disabled', (_tokens, sub) => users.disable(sub)],
    ['user removed', (_tokens, sub) => users.remove(sub)]
  ]
  for (const [name, end] of ends) {
    const { id } = await users.add({ username: name, password: PASSWORD, scopes: ['items:read'] })
    const tokens = await logIn(app, name)
    for (const token of [tokens.access_token, tokens.refresh_token]) t.match(await ask(token), { active: true }, name)
    await end(tokens, id)
    for (const token of [tokens.access_token, tokens.refresh_token]) t.strictSame(await ask(token), INACTIVE, name)
  }
  const { app: foreign } = await build(t)
  const stranger = await logIn(foreign)
  const live = await logIn(app)
  const [header, payload] = live.access_token.split('.')
  for (const token of [
    'x', '.', '..', 'null', '{}', '\u0000', 'lkr_', 'lkr_' + 'A'.repeat(72), 'a'.repeat(8_192), `${header}.${payload}.`,
    ` ${live.access_token}`, `${live.refresh_token}A`, stranger.access_token, stranger.refresh_token, client.secret,
    client.id
  ]) {
    t.strictSame(await ask(token), INACTIVE, JSON.stringify(token.slice(0, 20)))
  }
  clock.move(15 * 60_000)
  t.strictSame(await ask(live.access_token), INACTIVE, 'expired, at the very moment')
  t.match(await ask(live.refresh_token), { active: true })
  clock.move(30 * 86_400_000)
  t.strictSame(await ask(live.refresh_token), INACTIVE, 'expired')
  for (const form of [{}, { token: '' }]) {
    assertOAuthError(
      t, await postForm(app, '/introspect', form as Record<string, string>, client.basic), 400, 'invalid_request'
    )
  }
})

t.test('a refresh token is live as long as a refresh would take it, and asking changes nothing', async t => {
  const file = databaseFile(t)
  const { app, clock } = await build(t, { database: file, secret: SECRET })
  const client = await addClient(app, { grants: ['password'] })
  const refresh = async (token: string): Promise<TokenBody> => (await postForm(
    app, '/token', { grant_type: 'refresh_token', refresh_token: token }, client.basic
  )).json()
  const ask = async (token: string): Promise<{ active: boolean, exp?: number }> => (await postForm(
    app, '/introspect', { token }, client.basic
  )).json()
  const first: TokenBody = (await postForm(app, '/token', LOGIN, client.basic)).json()
  const second = await refresh(first.refresh_token)
  const row = query(file, 'select * from latchkey_sessions')
  t.match(
    await ask(first.refresh_token), { active: true, exp: Math.floor((clock() + 30 * 86_400_000) / 1000) },
    'the predecessor gets its successor as long as that was not used: it is live'
  )
  t.equal((await app.inject({ url: '/users/me', headers: bearer(second.access_token) })).statusCode, 200)
  t.match(
    await ask(first.refresh_token), { active: true, exp: Math.floor((clock() + 10_000) / 1000) },
    'after a use, within its grace'
  )
  clock.move(10_000)
  t.strictSame(await ask(first.refresh_token), INACTIVE, 'the grace is over')
  t.match(await ask(second.refresh_token), { active: true })
  t.strictSame(query(file, 'select * from latchkey_sessions'), row, 'no rotation, no reuse')
  const third = await refresh(second.refresh_token)
  t.strictSame(await ask(first.refresh_token), INACTIVE, 'older than the predecessor')
  await app.latchkey.users.setScopes(String(claimsOf(third.access_token).sub), ['admin'])
  t.match(await ask(third.refresh_token), { active: true, scope: '' }, 'its scope is what a refresh would give')
})

t.test('RFC 7662 4: a client knows of its own tokens only, unless its scope lets it know of all', async t => {
  const { app } = await build(t)
  const [client, other, reader] = [
    await addClient(app, { grants: ['password'] }), await addClient(app, { grants: ['password'] }),
    await addClient(app, { scopes: ['tokens:introspect'] })
  ]
  const session: TokenBody = (await postForm(app, '/token', LOGIN, client.basic)).json()
  const mine = await logIn(app)
  await app.latchkey.users.add({ username: 'auditor', password: PASSWORD, scopes: ['tokens:introspect'] })
  const auditor = bearer((await logIn(app, 'auditor')).access_token)
  const own = bearer(
    (await postForm(app, '/token', { grant_type: 'client_credentials' }, reader.basic)).json().access_token
  )
  for (const token of [session.access_token, session.refresh_token]) {
    t.match((await postForm(app, '/introspect', { token }, client.basic)).json(), { active: true })
    t.strictSame((await postForm(app, '/introspect', { token }, other.basic)).json(), INACTIVE)
  }
  for (const token of [mine.access_token, mine.refresh_token]) {
    t.strictSame((await postForm(app, '/introspect', { token }, client.basic)).json(), INACTIVE)
    for (const headers of [reader.basic, auditor, own]) {
      t.match(
        (await postForm(app, '/introspect', { token }, headers)).json(), { active: true }
      )
    }
  }
})

t.test('RFC 7662 2.1, ASVS 10.4.10: whoever asks must be somebody who may', async t => {
  const { app } = await build(t)
  const client = await addClient(app)
  const { access_token: token } = await logIn(app)
  assertOAuthError(t, await postForm(app, '/introspect', { token }), 401, 'invalid_client', 'nobody')
  assertOAuthError(
    t, await postForm(app, '/introspect', { token, client_id: client.id, client_secret: 'x' }), 401, 'invalid_client'
  )
  assertOAuthError(
    t, await postForm(app, '/introspect', { token, ...client.form }, bearer(token)), 400, 'invalid_request', 'two ways'
  )
  const lacking = await postForm(app, '/introspect', { token }, bearer(token))
  assertOAuthError(t, lacking, 403, 'insufficient_scope')
  t.match(lacking.headers['www-authenticate'], /^Bearer error="insufficient_scope".*scope="tokens:introspect"$/)
  for (const authorization of ['Bearer x', 'bearer', 'Bearer ']) {
    const invalid = await postForm(app, '/introspect', { token }, { authorization })
    assertOAuthError(t, invalid, 401, 'invalid_token', authorization)
    t.match(invalid.headers['www-authenticate'], /^Bearer error="invalid_token"/)
  }
  const cookie = await postForm(app, '/introspect', { token }, { cookie: `__Host-access_token=${token}` })
  assertOAuthError(t, cookie, 401, 'invalid_client', 'a cookie is no way to ask')
})

t.test('where revocation cannot be told the answer is 503, and never a yes', async t => {
  const { app, store } = await buildHost(t, {})
  const client = await addClient(app, { grants: ['password'] })
  const session: TokenBody = (await postForm(app, '/token', LOGIN, client.basic)).json()
  const healthy = store.changed
  store.changed = () => { throw new Error('gone') }
  const response = await postForm(app, '/introspect', { token: session.access_token }, client.basic)
  assertOAuthError(t, response, 503, 'temporarily_unavailable')
  t.ok(response.headers['retry-after'])
  store.changed = healthy
  t.match((await postForm(app, '/introspect', { token: session.access_token }, client.basic)).json(), { active: true })
})

t.test('RFC 7662 2.2: the username is the current one, of the directory of the host too, and a client has none', async t => {
  const { app } = await build(t)
  const client = await addClient(app, { scopes: ['tokens:introspect'], grants: ['client_credentials'] })
  const ask = async (token: string): Promise<{ active: boolean, username?: string }> =>
    (await postForm(app, '/introspect', { token }, client.basic)).json()
  const login: TokenBody = (await postForm(app, '/token', LOGIN)).json()
  const user = await app.latchkey.users.findByName('alice')
  await app.latchkey.users.update(user?.id ?? '', { username: 'alicia' })
  for (const token of [login.access_token, login.refresh_token]) t.equal((await ask(token)).username, 'alicia')
  const own: TokenBody = (await postForm(app, '/token', { grant_type: 'client_credentials' }, client.basic)).json()
  t.strictSame(Object.keys(await ask(own.access_token)).includes('username'), false)

  const found = { id: '7', username: 'hosted', scopes: [] }
  let current: typeof found | null = found
  const hosted = (await build(t, {
    users: { authenticate: async () => found, find: async () => current }
  })).app
  const machine = await addClient(hosted, { scopes: ['tokens:introspect'], grants: ['client_credentials'] })
  const { access_token: token }: TokenBody = (await postForm(hosted, '/token', LOGIN)).json()
  const look = async () => (await postForm(hosted, '/introspect', { token }, machine.basic)).json()
  t.match(await look(), { active: true, username: 'hosted' })
  current = null
  t.match(await look(), { active: true, username: undefined }, 'the guards accept it until it is revoked')
})

import t from 'tap'
import { bearer, build, logIn, PASSWORD, postForm, TEST_OPTIONS } from '../helper.js'
import {
  assertDiscreet, assertOAuthError, claimsOf, databaseFile, headerOf, query, SECRET, visible
} from './support.js'

const FORM = { 'content-type': 'application/x-www-form-urlencoded' }
const MEMBERS = ['access_token', 'expires_in', 'refresh_token', 'scope', 'token_type']

t.test('RFC 6749 5.1, RFC 9068 2.2, RFC 9068 2.2.3: a form with a username and a password gets a token answer, whose access token has every claim and its scope', async t => {
  const { app } = await build(t)
  const response = await postForm(app, '/token', { grant_type: 'password', username: 'alice', password: PASSWORD })
  t.equal(response.statusCode, 200)
  t.match(response.headers['content-type'], /^application\/json\b/)
  t.equal(response.headers['cache-control'], 'no-store')
  t.equal(response.headers.pragma, 'no-cache')
  t.notOk(response.headers['set-cookie'], 'a client that asks for tokens gets no cookies')
  const body = response.json()
  t.strictSame(Object.keys(body).sort(), MEMBERS)
  t.equal(body.token_type, 'bearer')
  t.equal(body.expires_in, 900)
  t.equal(body.scope, 'admin items:read')
  t.match(body.refresh_token, /^lkr_[A-Za-z0-9_-]{96}$/)

  t.strictSame(Object.keys(headerOf(body.access_token)).sort(), ['alg', 'kid', 'typ'])
  t.match(headerOf(body.access_token), { alg: 'ES256', typ: 'at+jwt' })
  const claims = claimsOf(body.access_token)
  t.strictSame(Object.keys(claims).sort(), [
    'amr', 'aud', 'auth_time', 'client_id', 'exp', 'gen', 'iat', 'iss', 'jti', 'scope', 'sid', 'sub'
  ])
  t.equal(Number(claims.exp) - Number(claims.iat), 900)
  t.match(claims.jti, /^[0-9a-f]{8}-[0-9a-f]{4}-7/)
  t.notMatch(JSON.stringify(claims), /alice/, 'no personal data in a token')
})

t.test('the same fields as JSON get the same answer', async t => {
  const { app } = await build(t)
  const response = await app.inject({
    method: 'POST', url: '/token', payload: { grant_type: 'password', username: 'alice', password: PASSWORD }
  })
  t.equal(response.statusCode, 200)
  t.strictSame(Object.keys(response.json()).sort(), MEMBERS)
})

t.test('clients of FastAPI work unchanged', async t => {
  const { app } = await build(t)
  const credentials = { username: 'alice', password: PASSWORD }
  await t.test('a form without grant_type', async t => {
    t.equal((await postForm(app, '/token', credentials)).statusCode, 200)
  })
  await t.test('empty client_id and client_secret', async t => {
    t.equal(
      (await postForm(
        app, '/token', { grant_type: 'password', ...credentials, scope: '', client_id: '', client_secret: '' }
      )).statusCode,
      200
    )
  })
  await t.test("Swagger UI's Basic header with nothing but a colon", async t => {
    const payload = new URLSearchParams({ grant_type: 'password', ...credentials }).toString()
    const response = await app.inject({
      method: 'POST', url: '/token', headers: { ...FORM, authorization: 'Basic Og==' }, payload
    })
    t.equal(response.statusCode, 200)
  })
  await t.test('a form with its charset said', async t => {
    const payload = new URLSearchParams(credentials).toString()
    const response = await app.inject({
      method: 'POST',
      url: '/token',
      headers: { 'content-type': 'application/x-www-form-urlencoded; charset=UTF-8' },
      payload
    })
    t.equal(response.statusCode, 200)
  })
  await t.test('a stale token in the header does not hinder the next login', async t => {
    const payload = new URLSearchParams(credentials).toString()
    const response = await app.inject({
      method: 'POST', url: '/token', headers: { ...FORM, ...bearer('stale') }, payload
    })
    t.equal(response.statusCode, 200)
  })
})

t.test('RFC 6749 3.2: parameters sent without a value count as omitted', async t => {
  const { app } = await build(t)
  const full = { grant_type: 'password', username: 'alice', password: PASSWORD }
  for (const empty of ['grant_type', 'scope', 'refresh_token', 'client_id', 'client_secret', 'resource']) {
    const response = await postForm(app, '/token', { ...full, [empty]: '' })
    t.equal(response.statusCode, 200, `${empty}= as if it were not there: ${response.body.slice(0, 100)}`)
  }
  for (const empty of ['username', 'password']) {
    assertOAuthError(t, await postForm(app, '/token', { ...full, [empty]: '' }), 400, 'invalid_request', `${empty}=`)
  }
})

t.test('RFC 6749 3.2: unknown parameters are ignored', async t => {
  const { app } = await build(t)
  const response = await postForm(
    app, '/token', { username: 'alice', password: PASSWORD, audience: 'x', __proto__: 'x', constructor: 'y' }
  )
  t.equal(response.statusCode, 200)
})

t.test('what a request lacks is said with invalid_request', async t => {
  const { app } = await build(t)
  const table: Array<Record<string, string>> = [
    {},
    { password: PASSWORD },
    { grant_type: 'password' },
    { grant_type: 'password', username: 'alice' },
    { grant_type: 'password', password: PASSWORD },
    { grant_type: 'refresh_token' },
    { grant_type: 'refresh_token', username: 'alice', password: PASSWORD },
    { refresh_token: 'lkr_x' }
  ]
  for (const form of table) {
    assertOAuthError(
      t, await postForm(app, '/token', form), 400, 'invalid_request', JSON.stringify(form)
    )
  }
})

t.test('a grant type that is not there is unsupported_grant_type', async t => {
  const { app } = await build(t)
  for (const grantType of [
    'authorization_code', 'PASSWORD', 'password ', 'implicit', 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    '__proto__'
  ]) {
    const response = await postForm(app, '/token', { grant_type: grantType, username: 'alice', password: PASSWORD })
    assertOAuthError(t, response, 400, 'unsupported_grant_type', grantType)
  }
})

t.test('a client that nobody has registered is invalid_client, with a challenge', async t => {
  const { app } = await build(t)
  const form = { grant_type: 'password', username: 'alice', password: PASSWORD }
  const answers = [
    await postForm(app, '/token', { ...form, client_id: 'somebody' }),
    await postForm(app, '/token', { ...form, client_id: 'somebody', client_secret: 'secret' })
  ]
  for (const authorization of [
    'Basic c29tZWJvZHk6c2VjcmV0', 'basic c29tZWJvZHk6c2VjcmV0', 'Basic', 'Basic ', 'Basic !!!', 'Basic c29tZWJvZHk=',
    'Basic JWZmOng='
  ]) {
    answers.push(
      await app.inject({
        method: 'POST',
        url: '/token',
        headers: { ...FORM, authorization },
        payload: new URLSearchParams(form).toString()
      })
    )
  }
  for (const response of answers) {
    assertOAuthError(t, response, 401, 'invalid_client')
    t.match(response.headers['www-authenticate'], /^Basic /, 'RFC 6749 section 5.2')
  }
})

t.test('RFC 6749 3.3: a login asks for fewer scopes than granted, is told what it got, and never gets more', async t => {
  const { app } = await build(t)
  const table: Array<[scope: string, granted: string]> = [
    ['items:read', 'items:read'],
    ['items:read items:read', 'items:read'],
    ['  items:read   admin ', 'admin items:read'],
    ['', 'admin items:read'],
    [' ', 'admin items:read']
  ]
  for (const [scope, granted] of table) {
    const tokens = await logIn(app, 'alice', { scope })
    t.equal(tokens.scope, granted, `'${scope}'`)
    t.equal(claimsOf(tokens.access_token).scope, granted)
  }
  const refusals = []
  for (const scope of [
    'items:write', 'users:write', 'nonsense', 'items:read nonsense', 'ADMIN', 'admin,items:read', '__proto__'
  ]) {
    const response = await postForm(app, '/token', { username: 'alice', password: PASSWORD, scope })
    assertOAuthError(t, response, 400, 'invalid_scope', scope)
    refusals.push(response.body)
  }
  t.equal(new Set(refusals).size, 1, 'the answer does not tell an unknown scope from a withheld one')
  for (const scope of ['a"b', 'a\\b', 'ä', 'a\tb', 'a\u0000b']) {
    assertOAuthError(
      t, await postForm(app, '/token', { username: 'alice', password: PASSWORD, scope }), 400, undefined,
      JSON.stringify(scope)
    )
  }
})

t.test('whoever asks for a scope without the right password learns nothing about scopes', async t => {
  const { app } = await build(t)
  assertOAuthError(
    t, await postForm(app, '/token', { username: 'alice', password: 'wrong', scope: 'items:write' }), 400,
    'invalid_grant'
  )
})

t.test('unknown user, wrong password and disabled user get the same answer', async t => {
  const { app } = await build(t)
  const { users } = app.latchkey
  const carol = await users.add({ username: 'carol', password: PASSWORD })
  await users.disable(carol.id)
  const dave = await users.add({ username: 'dave', password: PASSWORD })
  await users.remove(dave.id)
  const attempts = [
    ['nobody', PASSWORD], ['alice', 'wrong'], ['carol', PASSWORD], ['carol', 'wrong'], ['dave', PASSWORD],
    ['alice', `${PASSWORD}\u0000`], ['alice', `${PASSWORD} `], [
      'alice', PASSWORD.toUpperCase()
    ], ["' or 1=1 --", PASSWORD], ['%', PASSWORD], ['__proto__', PASSWORD]
  ]
  const answers = []
  for (const [username = '', password = ''] of attempts) {
    const response = await postForm(app, '/token', { grant_type: 'password', username, password })
    assertOAuthError(t, response, 400, 'invalid_grant', JSON.stringify(username))
    answers.push(visible(response))
  }
  for (const answer of answers) t.strictSame(answer, answers[0])
})

t.test('a username is the same in any letter case and width', async t => {
  const { app } = await build(t)
  const { access_token: token } = await logIn(app, 'alice')
  for (const username of ['ALICE', 'Alice', 'ａｌｉｃｅ']) {
    t.equal(claimsOf((await logIn(app, username)).access_token).sub, claimsOf(token).sub, username)
  }
})

t.test('half a surrogate pair in a long password is not the replacement character (both are U+FFFD once they are UTF-8)', async t => {
  const { app } = await build(t)
  for (const [username, length] of [['short', 20], ['long', 80]] as const) {
    await app.latchkey.users.add({ username, password: `${PASSWORD}${'abcdefghij'.repeat(length / 10)}\ufffdklmno` })
    const response = await app.inject({
      method: 'POST',
      url: '/token',
      headers: { 'content-type': 'application/json' },
      payload: `{"username":"${username}","password":"${PASSWORD}${'abcdefghij'.repeat(length / 10)}\\ud800klmno"}`
    })
    assertOAuthError(t, response, 400, undefined, `${username} password`)
  }
})

t.test('every login is a session of its own, also fifty at once', async t => {
  const file = databaseFile(t)
  const { app } = await build(t, { database: file, secret: SECRET })
  const all = await Promise.all(Array.from({ length: 50 }, () => logIn(app)))
  for (const member of ['access_token', 'refresh_token'] as const) {
    t.equal(
      new Set(all.map(tokens => tokens[member])).size, 50
    )
  }
  for (const claim of ['sid', 'jti']) t.equal(new Set(all.map(tokens => claimsOf(tokens.access_token)[claim])).size, 50)
  t.equal(query(file, 'select id from latchkey_sessions').length, 50)
  for (const row of query<Record<string, unknown>>(file, 'select * from latchkey_sessions limit 3')) {
    for (const { refresh_token: token } of all) {
      t.notOk(
        Object.values(row).includes(token), 'no refresh token in the store'
      )
    }
  }
})

t.test('the refresh grant gives the successor, a second time within the grace the same one', async t => {
  const { app, clock } = await build(t)
  const first = await logIn(app)
  clock.move(1_000)
  const response = await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: first.refresh_token })
  t.equal(response.statusCode, 200)
  t.equal(response.headers['cache-control'], 'no-store')
  t.equal(response.headers.pragma, 'no-cache')
  const second = response.json()
  t.strictSame(Object.keys(second).sort(), MEMBERS)
  t.not(second.refresh_token, first.refresh_token)
  t.equal(claimsOf(second.access_token).sid, claimsOf(first.access_token).sid)
  t.not(claimsOf(second.access_token).jti, claimsOf(first.access_token).jti)
  const again = await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: first.refresh_token })
  t.equal(again.json().refresh_token, second.refresh_token)
  t.equal((await app.inject({ url: '/users/me', headers: bearer(second.access_token) })).statusCode, 200)
})

t.test('what is no refresh token of ours is invalid_grant, in one and the same answer', async t => {
  const { app } = await build(t)
  const tokens = await logIn(app)
  const answers = []
  for (const token of [
    'x', 'lkr_', tokens.access_token.slice(0, 512), `${tokens.refresh_token}x`, ` ${tokens.refresh_token}`,
    tokens.refresh_token.slice(0, -1), 'lkr_' + 'A'.repeat(72), 'null', '\u0000'
  ]) {
    const response = await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: token })
    assertOAuthError(t, response, 400, 'invalid_grant', JSON.stringify(token.slice(0, 20)))
    answers.push(visible(response))
  }
  for (const answer of answers) t.strictSame(answer, answers[0])
  t.equal(
    (await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token })).statusCode,
    200, 'no attempt has ended the session'
  )
})

t.test('a login that was under way while the password was changed gets no session (it was checked against the old one)', async t => {
  const file = databaseFile(t)
  const { app } = await build(t, { database: file, secret: SECRET, bcryptCost: 4 })
  const alice = await app.latchkey.users.findByName('alice')
  // The thread that checks new passwords takes a moment to start, and is not to lose the race for that.
  const bob = await app.latchkey.users.findByName('bob')
  await app.latchkey.users.setPassword(bob?.id ?? '', 'another walrus cobalt lantern')
  // An expensive hash is still being verified when the cheap new one is already stored.
  const { hashPassword } = await import('../../lib/passwords/hashing.js')
  query(file, 'update latchkey_users set password_hash = ? where id = ?', hashPassword(PASSWORD, 13), alice?.id)

  const underWay = postForm(app, '/token', { username: 'alice', password: PASSWORD })
  await new Promise(resolve => setImmediate(resolve))
  await app.latchkey.users.setPassword(alice?.id ?? '', 'another walrus cobalt lantern')
  const changed = performance.now()
  const response = await underWay
  t.ok(performance.now() > changed, 'the login came in last')
  t.not(response.statusCode, 200, 'a stolen password that was just changed opens nothing')
  const left = await app.latchkey.sessions.list(alice?.id ?? '')
  t.strictSame(left, [], 'and no session is left of it')
})

t.test('a login that was under way while the user was disabled gets no session', async t => {
  const file = databaseFile(t)
  const { app } = await build(t, { database: file, secret: SECRET })
  const alice = await app.latchkey.users.findByName('alice')
  const underWay = Array.from({ length: 8 }, () => postForm(app, '/token', { username: 'alice', password: PASSWORD }))
  await new Promise(resolve => setImmediate(resolve))
  await app.latchkey.users.disable(alice?.id ?? '')
  for (const response of await Promise.all(underWay)) {
    if (response.statusCode === 200) {
      t.equal(
        (await app.inject({ url: '/users/me', headers: bearer(response.json().access_token) })).statusCode, 401
      )
    } else assertOAuthError(t, response, 400, 'invalid_grant')
  }
  t.strictSame(await app.latchkey.sessions.list(alice?.id ?? ''), [])
})

t.test("the host's claims are in the token, never over the reserved ones", async t => {
  const reserved = {
    iss: 'x',
    sub: 'x',
    aud: 'x',
    client_id: 'x',
    exp: 1,
    iat: 1,
    nbf: 9e9,
    jti: 'x',
    sid: 'x',
    scope: 'admin users:write',
    status: 'x'
  }
  const { app } = await build(
    t, { claims: (user, scopes) => ({ ...reserved, tenant: { id: 7 }, who: user.username, count: scopes.length }) }
  )
  const tokens = await logIn(app, 'bob')
  const claims = claimsOf(tokens.access_token)
  t.match(claims, { tenant: { id: 7 }, who: 'bob', count: 1, scope: 'items:read' })
  for (const [name, value] of Object.entries(reserved)) t.not(claims[name], value, `${name} is ours`)
  t.equal((await app.inject({ url: '/protected-route', headers: bearer(tokens.access_token) })).statusCode, 200)
})

t.test("a failure in the host's claims is a 500 that tells nothing", async t => {
  const { app } = await build(t, { claims: () => { throw new Error('select secret from tenants') } })
  const response = await postForm(app, '/token', { username: 'alice', password: PASSWORD })
  assertOAuthError(t, response, 500, 'server_error')
})

t.test('the endpoint is there under a prefix, and not without it', async t => {
  const { app } = await build(t, { ...TEST_OPTIONS, prefix: '/auth' })
  t.equal((await postForm(app, '/auth/token', { username: 'alice', password: PASSWORD })).statusCode, 200)
  const response = await postForm(app, '/token', { username: 'alice', password: PASSWORD })
  t.ok(response.statusCode === 404 || response.statusCode === 415)
  assertDiscreet(t, response)
})

const LOGIN = { grant_type: 'password', username: 'alice', password: PASSWORD }

t.test('RFC 6749 3.3: scopes of OpenID Connect that libraries send are ignored, unless the app has them', async t => {
  const { app } = await build(t)
  const granted = (await postForm(app, '/token', LOGIN)).json<{ scope: string }>().scope
  for (const scope of ['openid', 'openid offline_access', 'openid profile email offline_access']) {
    const response = await postForm(app, '/token', { ...LOGIN, scope })
    t.match([response.statusCode, response.json()], [200, { scope: granted }], scope)
  }
  t.match((await postForm(app, '/token', { ...LOGIN, scope: 'openid items:read' })).json(), { scope: 'items:read' })
  for (const scope of ['OpenID', 'openid nothing', 'address', '__proto__']) {
    t.match((await postForm(app, '/token', { ...LOGIN, scope })).json(), { error: 'invalid_scope' }, scope)
  }
  const own = (await build(t, { scopes: { admin: 'All', 'items:read': 'Read', email: 'Read the address' } })).app
  t.match((await postForm(own, '/token', { ...LOGIN, scope: 'email' })).json(), { error: 'invalid_scope' })
})

import t from 'tap'
import { build, logIn, logInWithCookies, PASSWORD, postForm } from '../helper.js'
import { assertOAuthError, buildHost } from '../routes/support.js'

// RFC 6749, 6750, 7009, 7662, 8414: what no other test proves. See the table in docs/standards.md.

const FORM = { 'content-type': 'application/x-www-form-urlencoded' }
const CREDENTIALS = { grant_type: 'password', username: 'alice', password: PASSWORD }

t.test('RFC 6749 3.2: the token endpoint takes POST only, and no parameter twice', async t => {
  const { app } = await build(t, { prefix: '/auth' })
  for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE'] as const) {
    const response = await app.inject({ method, url: `/auth/token?${new URLSearchParams(CREDENTIALS).toString()}` })
    t.equal(response.statusCode, 405, method)
    t.equal(response.headers.allow, 'POST')
  }
  const form = new URLSearchParams(CREDENTIALS).toString()
  for (const twice of [
    'grant_type=password', 'username=alice', 'password=x', 'scope=admin&scope=admin', 'scope=&scope=',
    'client_id=&client_id=', 'refresh_token=a&refresh_token=b'
  ]) {
    assertOAuthError(
      t, await app.inject({ method: 'POST', url: '/auth/token', headers: FORM, payload: `${form}&${twice}` }), 400,
      'invalid_request', twice
    )
  }
})

t.test('RFC 6749 2.3.1: credentials in the URI are none', async t => {
  const { app } = await build(t)
  const response = await app.inject({
    method: 'POST',
    url: `/token?${new URLSearchParams(CREDENTIALS).toString()}`,
    headers: FORM,
    payload: 'grant_type=password'
  })
  assertOAuthError(t, response, 400, 'invalid_request')
})

t.test('RFC 6749 5.1: every answer that carries a token has Cache-Control: no-store and Pragma: no-cache', async t => {
  const { app } = await build(t)
  const { refresh_token: token } = await logIn(app)
  const { refresh_token: other } = await logIn(app)
  const answers = {
    'POST /token with a password': await postForm(app, '/token', CREDENTIALS),
    'POST /token with a refresh token': await postForm(
      app, '/token', { grant_type: 'refresh_token', refresh_token: token }
    ),
    'POST /refresh with a body': await app.inject({
      method: 'POST', url: '/refresh', payload: { refresh_token: other }
    }),
    'POST /refresh with a cookie': await app.inject({
      method: 'POST', url: '/refresh', headers: await logInWithCookies(app)
    }),
    'POST /login': await app.inject({
      method: 'POST', url: '/login', payload: { username: 'alice', password: PASSWORD }
    })
  }
  for (const [name, { statusCode, headers }] of Object.entries(answers)) {
    t.equal(statusCode, 200, name)
    t.equal(headers['cache-control'], 'no-store', name)
    t.equal(headers.pragma, 'no-cache', name)
  }
})

t.test('RFC 6749 5.2: errors are 400 with the code of the standard; a client that fails is 401, with the challenge of the scheme that it used', async t => {
  const { app } = await build(t)
  const table: Array<[form: Record<string, string>, error: string]> = [
    [{ ...CREDENTIALS, password: '' }, 'invalid_request'],
    [{ ...CREDENTIALS, password: 'wrong' }, 'invalid_grant'],
    [{ grant_type: 'refresh_token', refresh_token: 'lkr_x' }, 'invalid_grant'],
    [{ ...CREDENTIALS, scope: 'items:write' }, 'invalid_scope'],
    [{ ...CREDENTIALS, grant_type: 'authorization_code' }, 'unsupported_grant_type']
  ]
  for (const [form, error] of table) {
    assertOAuthError(
      t, await postForm(app, '/token', form), 400, error, JSON.stringify(form)
    )
  }
  const payload = new URLSearchParams(CREDENTIALS).toString()
  const response = await app.inject({
    method: 'POST',
    url: '/token',
    headers: { ...FORM, authorization: `Basic ${Buffer.from('somebody:secret').toString('base64')}` },
    payload
  })
  assertOAuthError(t, response, 401, 'invalid_client')
  t.match(response.headers['www-authenticate'], /^Basic realm="/)
})

t.test('RFC 6749 10.10, RFC 9700 4.14.2, ASVS 7.2.3, NIST 5.1: a refresh token of a known session has 256 bits left to guess, and one wrong bit is no token', async t => {
  const { app } = await build(t)
  const { refresh_token: token } = await logIn(app)
  const bytes = Buffer.from(token.slice('lkr_'.length), 'base64url')
  // Session id, generation and nonce. The MAC comes after them.
  const known = 16 + 6 + 18
  t.equal((bytes.length - known) * 8, 256)
  for (let bit = known * 8; bit < bytes.length * 8; bit++) {
    const guess = Buffer.from(bytes)
    guess[bit >> 3] = (guess[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    const response = await app.inject({
      method: 'POST', url: '/refresh', payload: { refresh_token: `lkr_${guess.toString('base64url')}` }
    })
    if (response.statusCode !== 401) t.fail(`bit ${bit} the other way is ${response.statusCode}`)
  }
  t.equal(
    (await app.inject({ method: 'POST', url: '/refresh', payload: { refresh_token: token } })).statusCode, 200,
    'and the guesses have ended nothing'
  )
})

t.test('RFC 7009 2.2.1: where it cannot be revoked the answer is 503 with Retry-After, never 200', async t => {
  const { app, store } = await buildHost(t, {})
  const { access_token: token, refresh_token: refreshToken } = await logIn(app)
  await store.close()
  for (const held of [token, refreshToken]) {
    const response = await postForm(app, '/revoke', { token: held })
    assertOAuthError(t, response, 503, 'temporarily_unavailable')
    t.match(response.headers['retry-after'], /^[1-9]\d*$/)
  }
})

t.test('RFC 8414 2, RFC 8414 3, RFC 8414 3.2, RFC 8414 3.3, RFC 9700 2.4, RFC 9700 2.6: the metadata are JSON at the well-known path before that of the issuer, with the issuer to the letter, and never list the password grant', async t => {
  for (const [issuer, path] of [
    ['https://auth.example.com', ''], ['https://example.com/tenant', '/tenant'], ['https://example.com/auth/', '/auth']
  ] as const) {
    const { app } = await build(t, { issuer, prefix: '/auth' })
    const response = await app.inject(`/.well-known/oauth-authorization-server${path}`)
    t.equal(response.statusCode, 200, issuer)
    t.match(response.headers['content-type'], /^application\/json\b/)
    const metadata = response.json()
    t.equal(metadata.issuer, issuer)
    t.strictSame(metadata.response_types_supported, [], 'required, and there is no authorization endpoint')
    t.notOk(metadata.grant_types_supported.includes('password'))
    for (const name of [
      'token_endpoint', 'jwks_uri', 'revocation_endpoint', 'introspection_endpoint'
    ]) t.equal(new URL(metadata[name]).origin, new URL(issuer).origin, name)
    for (const value of Object.values(metadata)) t.ok(value !== null && value !== '', 'nothing without a value')
    t.equal((await app.inject(new URL(metadata.jwks_uri).pathname.replace('/tenant', ''))).statusCode, 200)
  }
  for (const issuer of [
    'https://auth.example.com?x', 'https://auth.example.com#x', 'auth.example.com'
  ]) await t.rejects(build(t, { issuer }), /issuer/, issuer)
})

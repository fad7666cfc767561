import t from 'tap'
import type { Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { bearer, build, createTestClock, logIn, postForm } from '../helper.js'
import type { TokenBody } from '../helper.js'
import { assertOAuthError, databaseFile, query, readSessions, SECRET } from './support.js'

async function statusOf (app: FastifyInstance, token: string): Promise<number> {
  return (await app.inject({ url: '/protected-route', headers: bearer(token) })).statusCode
}

async function refresh (app: FastifyInstance, token: string): Promise<number> {
  return (await app.inject({ method: 'POST', url: '/refresh', payload: { refresh_token: token } })).statusCode
}

async function revoke (
  t: Test, app: FastifyInstance, form: Record<string, string>, name = 'the answer'
): Promise<void> {
  const response = await postForm(app, '/revoke', form)
  t.equal(response.statusCode, 200, `${name} is 200`)
  t.strictSame(response.json(), {}, `${name} says nothing`)
  t.equal(response.headers['cache-control'], 'no-store')
}

t.test('RFC 7009 2.1: an access token dies by itself: the session goes on, and so do its other access tokens', async t => {
  const { app } = await build(t)
  const tokens = await logIn(app)
  const sibling: TokenBody = (await postForm(
    app, '/token', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token }
  )).json()
  t.equal(await statusOf(app, tokens.access_token), 200)
  await revoke(t, app, { token: tokens.access_token })
  const response = await app.inject({ url: '/users/me', headers: bearer(tokens.access_token) })
  t.equal(response.statusCode, 401, 'at once, also where it was cached as verified')
  t.match(response.headers['www-authenticate'], /^Bearer error="invalid_token", error_description="[^"]*revoked/)
  t.equal(await statusOf(app, sibling.access_token), 200)
  t.equal(await refresh(app, sibling.refresh_token), 200)
})

t.test('RFC 7009 2.1: a refresh token dies with its session and every access token of it', async t => {
  const { app } = await build(t)
  const [tokens, other, his] = [await logIn(app), await logIn(app), await logIn(app, 'bob')]
  const second: TokenBody = (await postForm(
    app, '/token', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token }
  )).json()
  await revoke(t, app, { token: second.refresh_token, token_type_hint: 'refresh_token' })
  for (const token of [tokens.access_token, second.access_token]) t.equal(await statusOf(app, token), 401)
  for (const token of [tokens.refresh_token, second.refresh_token]) t.equal(await refresh(app, token), 401)
  for (const alive of [other, his]) {
    t.equal(await statusOf(app, alive.access_token), 200)
    t.equal(await refresh(app, alive.refresh_token), 200)
  }
})

t.test('a refresh token that was rotated away ends its session too, however old', async t => {
  const { app, clock } = await build(t)
  const first = await logIn(app)
  let last = first
  for (let rotation = 0; rotation < 3; rotation++) {
    last = (await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: last.refresh_token })).json()
    clock.move(60_000)
  }
  await revoke(t, app, { token: first.refresh_token })
  t.equal(await statusOf(app, last.access_token), 401)
  t.equal(await refresh(app, last.refresh_token), 401)
})

t.test('RFC 7009 2.1: a wrong or unknown hint changes nothing', async t => {
  const { app } = await build(t)
  for (const hint of ['refresh_token', 'access_token', 'id_token', 'nonsense', '']) {
    const tokens = await logIn(app)
    await revoke(t, app, { token: tokens.access_token, token_type_hint: hint }, hint)
    t.equal(await statusOf(app, tokens.access_token), 401)
    t.equal(await refresh(app, tokens.refresh_token), 200)
    await revoke(t, app, { token: tokens.refresh_token, token_type_hint: hint }, hint)
    t.equal(await refresh(app, tokens.refresh_token), 401)
  }
})

t.test('RFC 7009 2.2: unknown, expired, dead and malformed tokens get the same 200, and nothing dies of them', async t => {
  const file = databaseFile(t)
  const { app, clock } = await build(t, { database: file, secret: SECRET })
  const { app: foreign } = await build(t)
  const [old, stranger] = [await logIn(app), await logIn(foreign)]
  clock.move(31 * 24 * 60 * 60 * 1_000)
  const live = await logIn(app)
  const [header, payload, signature] = live.access_token.split('.')
  const tokens = [
    old.access_token, old.refresh_token, stranger.access_token, stranger.refresh_token,
    'x', '.', '..', '...', 'null', '{}', '\u0000', 'lkr_', 'lkr_' + 'A'.repeat(72), 'a'.repeat(
      8_192
    ), '.'.repeat(8_192),
    `${header}.${payload}.`, `${header}.${payload}`, `${header}.${payload}.AAAA`, `${signature}.${payload}.${header}`, ` ${live.access_token}`, `${live.refresh_token}A`
  ]
  for (const token of tokens) await revoke(t, app, { token }, JSON.stringify(token.slice(0, 20)))
  t.equal(await statusOf(app, live.access_token), 200)
  t.equal(await refresh(app, live.refresh_token), 200)
  t.same(
    query(file, 'select kind from latchkey_rules order by seq'), [{ kind: 'token' }, { kind: 'session' }],
    'rules are written for the expired ones only, because the clock may be wrong'
  )
})

t.test('RFC 7009 2.1: a refresh token that has expired still ends the access tokens of its session that have not', async t => {
  const { app, clock } = await build(t, { accessTokenTtl: '3d', refreshIdleTtl: '1h' })
  const tokens = await logIn(app)
  clock.move(60 * 60 * 1_000)
  t.equal(await statusOf(app, tokens.access_token), 200)
  await revoke(t, app, { token: tokens.refresh_token })
  t.equal(await statusOf(app, tokens.access_token), 401)
})

t.test('RFC 7009 2.2: a second time is the same 200, and does not write a second rule (else a holder fills the disk)', async t => {
  const file = databaseFile(t)
  const { app } = await build(t, { database: file, secret: SECRET })
  const tokens = await logIn(app)
  for (const token of [tokens.access_token, tokens.refresh_token]) {
    for (let time = 0; time < 5; time++) await revoke(t, app, { token })
  }
  t.equal(query(file, 'select * from latchkey_rules').length, 2)
})

t.test('fifty revocations of one token at once are 200 each', async t => {
  const { app } = await build(t)
  const tokens = await logIn(app)
  for (const token of [tokens.access_token, tokens.refresh_token]) {
    const answers = await Promise.all(Array.from({ length: 50 }, () => postForm(app, '/revoke', { token })))
    t.strictSame([...new Set(answers.map(({ statusCode }) => statusCode))], [200])
  }
  t.equal(await statusOf(app, tokens.access_token), 401)
})

t.test('JSON works as well as a form', async t => {
  const { app } = await build(t)
  const tokens = await logIn(app)
  const response = await app.inject({
    method: 'POST', url: '/revoke', payload: { token: tokens.access_token, unknown: true }
  })
  t.equal(response.statusCode, 200)
  t.equal(await statusOf(app, tokens.access_token), 401)
})

t.test('a request without a token is invalid_request, and one of an unknown client invalid_client', async t => {
  const { app } = await build(t)
  const { access_token: token } = await logIn(app)
  for (const form of [{}, { token: '' }, { token_type_hint: 'access_token' }]) {
    assertOAuthError(
      t, await postForm(app, '/revoke', form as Record<string, string>), 400, 'invalid_request', JSON.stringify(form)
    )
  }
  const response = await postForm(app, '/revoke', { token, client_id: 'somebody' })
  assertOAuthError(t, response, 401, 'invalid_client')
  t.match(response.headers['www-authenticate'], /^Basic /)
  t.equal(await statusOf(app, token), 200, 'and the token lives')
  t.equal((await postForm(app, '/revoke', { token, client_id: '', client_secret: '' })).statusCode, 200)
})

t.test('the other spelling of an ES256 signature (r, n - s) does not survive the revocation of the first', async t => {
  const { app } = await build(t)
  const { access_token: token } = await logIn(app)
  const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
  const [header, payload, signature = ''] = token.split('.')
  const bytes = Buffer.from(signature, 'base64url')
  const s = BigInt(`0x${bytes.subarray(32).toString('hex')}`)
  bytes.set(Buffer.from((n - s).toString(16).padStart(64, '0'), 'hex'), 32)
  const twin = `${header}.${payload}.${bytes.toString('base64url')}`
  await statusOf(app, twin)
  await revoke(t, app, { token })
  t.equal(await statusOf(app, twin), 401)
  const { access_token: next } = await logIn(app)
  t.equal(await statusOf(app, next), 200)
})

t.test('what is revoked stays revoked after a restart, and what is not goes on', async t => {
  const file = databaseFile(t)
  const clock = createTestClock()
  const options = { database: file, secret: SECRET, now: clock }
  const { app: before } = await build(t, options)
  const [token, session, alive] = [await logIn(before), await logIn(before), await logIn(before)]
  await revoke(t, before, { token: token.access_token })
  await revoke(t, before, { token: session.refresh_token })
  await before.close()

  const { app: after } = await build(t, options)
  t.equal(await statusOf(after, token.access_token), 401)
  t.equal(await statusOf(after, session.access_token), 401)
  t.equal(await refresh(after, session.refresh_token), 401)
  t.equal(await statusOf(after, alive.access_token), 200)
  t.equal(await refresh(after, alive.refresh_token), 200)
  t.equal(await refresh(after, token.refresh_token), 200, 'the session of the revoked access token too')
  t.equal(readSessions(file).filter(row => row.ended_at !== null).length, 1)
})

t.test('a session whose tokens are revoked by the thousand is ended instead: one user must not fill the store', async t => {
  const { app } = await build(t)
  const tokens = await logIn(app)
  const { sid, jti, ...claims } = app.latchkey.tokens.decode(tokens.access_token) ?? t.bailout('no claims') as never
  for (let i = 0; i < 1_000; i++) await app.latchkey.sessions.endToken({ ...claims, sid, jti: `${jti}-${i}` })
  t.equal(app.latchkey.revocations.size, 1_000)
  t.equal((await app.inject({ url: '/protected-route', headers: bearer(tokens.access_token) })).statusCode, 200)
  await postForm(app, '/revoke', { token: tokens.access_token })
  t.equal((await app.inject({ url: '/protected-route', headers: bearer(tokens.access_token) })).statusCode, 401)
  t.equal(app.latchkey.revocations.size, 1_001, 'one more, for the session')
  t.equal(
    (await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token })).statusCode,
    400
  )
})

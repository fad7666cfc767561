import t from 'tap'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { bearer, build, cookieHeader, logIn, logInWithCookies, postForm } from '../helper.js'
import type { TokenBody } from '../helper.js'
import { assertProblem, claimsOf, databaseFile, listen, query, readSessions, SECRET, visible } from './support.js'

const SECOND = 1_000
const DAY = 24 * 60 * 60 * SECOND
const GRACE = 10 * SECOND

async function refresh (app: FastifyInstance, token: string, members: object = {}): Promise<LightMyRequestResponse> {
  return await app.inject({ method: 'POST', url: '/refresh', payload: { refresh_token: token, ...members } })
}

async function statusOf (app: FastifyInstance, { access_token: token }: { access_token: string }): Promise<number> {
  return (await app.inject({ url: '/protected-route', headers: bearer(token) })).statusCode
}

async function rotate (app: FastifyInstance, token: string): Promise<TokenBody> {
  const response = await refresh(app, token)
  if (response.statusCode !== 200) throw new Error(`${response.statusCode} ${response.body}`)
  return response.json()
}

t.test('a refresh token in the body gets a token answer that may not be cached', async t => {
  const { app } = await build(t)
  const first = await logIn(app)
  const response = await refresh(app, first.refresh_token)
  t.equal(response.statusCode, 200)
  t.equal(response.headers['cache-control'], 'no-store')
  t.equal(response.headers.pragma, 'no-cache')
  t.notOk(response.headers['set-cookie'])
  t.strictSame(
    Object.keys(response.json()).sort(), ['access_token', 'expires_in', 'refresh_token', 'scope', 'token_type']
  )
  t.equal(await statusOf(app, response.json()), 200)
  t.equal(await statusOf(app, first), 200, 'a refresh does not kill the access token before it')
})

t.test('the refresh cookie gets new cookies and the body of a login', async t => {
  const { app } = await build(t)
  const cookies = await logInWithCookies(app)
  for (const request of [
    {}, { payload: {} }, { payload: 'null', headers: { 'content-type': 'application/json' } },
    { payload: '', headers: { 'content-type': 'application/json' } }
  ]) {
    const response = await app.inject({
      method: 'POST', url: '/refresh', ...request, headers: { ...cookies, ...(request as { headers?: object }).headers }
    })
    t.equal(response.statusCode, 200, response.body)
    t.equal(response.headers['cache-control'], 'no-store')
    t.strictSame(Object.keys(response.json()).sort(), ['expires_in', 'scope', 'user'])
    t.equal(response.cookies.length, 2)
    t.equal((await app.inject({ url: '/users/me', headers: { cookie: cookieHeader(response) } })).statusCode, 200)
  }
})

t.test('without a refresh token there is nothing to refresh', async t => {
  const { app } = await build(t)
  const tokens = await logIn(app)
  for (const headers of [
    {}, bearer(tokens.access_token), { cookie: '__Host-refresh_token=' },
    { cookie: `__Host-access_token=${tokens.access_token}` }, { cookie: `refresh_token=${tokens.refresh_token}` }
  ]) {
    const response = await app.inject({ method: 'POST', url: '/refresh', headers })
    assertProblem(t, response, 401, 'unauthenticated', JSON.stringify(headers).slice(0, 40))
    t.equal(response.headers['www-authenticate'], 'Bearer')
  }
})

t.test('fifty refreshes of one token at once, over real sockets, move one generation and all get the same successor', async t => {
  const file = databaseFile(t)
  const { app, clock } = await build(t, { database: file, secret: SECRET })
  const origin = await listen(app)
  const other = await logIn(app)
  clock.move(1)
  const first = await logIn(app)
  const post = async (): Promise<{ status: number, body: TokenBody }> => {
    const response = await fetch(
      `${origin}/refresh`,
      {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ refresh_token: first.refresh_token })
      }
    )
    return { status: response.status, body: await response.json() as TokenBody }
  }
  const answers = await Promise.all(Array.from({ length: 50 }, post))
  t.strictSame([...new Set(answers.map(({ status }) => status))], [200], 'none is logged out')
  t.equal(new Set(answers.map(({ body }) => body.refresh_token)).size, 1, 'all carry the same successor')
  t.equal(readSessions(file)[1]?.generation, 2, 'one generation moved')
  for (const { body } of answers) t.equal(await statusOf(app, body), 200)

  clock.move(GRACE)
  assertProblem(t, await refresh(app, first.refresh_token), 401, 'session_stolen')
  t.type(readSessions(file)[1]?.ended_at, 'number', 'past the grace the old token ends its session')
  for (const { body } of answers.slice(0, 3)) t.equal(await statusOf(app, body), 401, 'with every access token of it')
  assertProblem(
    t, await refresh(app, answers[0]?.body.refresh_token ?? ''), 401, 'session_stolen',
    'the newest refresh token'
  )
  t.equal(await statusOf(app, other), 200, "the user's other session lives")
  t.equal((await refresh(app, other.refresh_token)).statusCode, 200)
})

t.test('fifty refreshes by cookie at once log nobody out, and none clears the cookies', async t => {
  const { app } = await build(t)
  const cookies = await logInWithCookies(app)
  const answers = await Promise.all(Array.from(
    { length: 50 }, () => app.inject({ method: 'POST', url: '/refresh', headers: cookies })
  ))
  t.strictSame([...new Set(answers.map(({ statusCode }) => statusCode))], [200])
  const successors = answers.map(({ cookies }) => cookies.find(({ name }) => name === '__Host-refresh_token')?.value)
  t.equal(new Set(successors).size, 1)
  t.ok(successors[0])
})

t.test('the grace ends on the millisecond', async t => {
  const { app, clock } = await build(t)
  const early = await logIn(app)
  const late = await logIn(app)
  const next = await rotate(app, early.refresh_token)
  for (const successor of [next, await rotate(app, late.refresh_token)]) t.equal(await statusOf(app, successor), 200)
  clock.move(GRACE - 1)
  t.equal(
    (await rotate(app, early.refresh_token)).refresh_token, next.refresh_token,
    'one millisecond before: the same successor'
  )
  clock.move(1)
  assertProblem(t, await refresh(app, late.refresh_token), 401, 'session_stolen', 'at the end')
  t.equal(await statusOf(app, late), 401)
  t.equal(await statusOf(app, early), 200)
})

t.test('a retry within the grace does not begin a new grace', async t => {
  const { app, clock } = await build(t)
  const first = await logIn(app)
  t.equal(await statusOf(app, await rotate(app, first.refresh_token)), 200)
  clock.move(GRACE - 1)
  await rotate(app, first.refresh_token)
  clock.move(1)
  assertProblem(t, await refresh(app, first.refresh_token), 401, 'session_stolen')
})

t.test('a lost response: the predecessor works until its successor was seen in use, no matter how late', async t => {
  const { app, clock } = await build(t)
  const first = await logIn(app)
  const lost = await rotate(app, first.refresh_token)
  for (const wait of [11_000, 3_600_000, 7 * 86_400_000]) {
    clock.move(wait)
    t.equal((await rotate(app, first.refresh_token)).refresh_token, lost.refresh_token, `after ${wait} ms`)
  }
  const retried = await rotate(app, first.refresh_token)
  t.equal(await statusOf(app, first), 401, 'its old access token expired, and proves nothing')
  clock.move(GRACE)
  t.equal((await rotate(app, first.refresh_token)).refresh_token, lost.refresh_token)
  t.equal(await statusOf(app, retried), 200, 'an access token of the successor is used')
  t.equal((await rotate(app, first.refresh_token)).refresh_token, lost.refresh_token, 'a parallel tab, in a new grace')
  clock.move(GRACE)
  assertProblem(t, await refresh(app, first.refresh_token), 401, 'session_stolen', 'now it is reuse')
})

t.test('an access token of the old generation is no use of the successor', async t => {
  const { app, clock } = await build(t)
  const first = await logIn(app)
  const lost = await rotate(app, first.refresh_token)
  t.equal(await statusOf(app, first), 200, 'the client still has it')
  clock.move(GRACE)
  t.equal((await rotate(app, first.refresh_token)).refresh_token, lost.refresh_token)
})

t.test('a server that checks the new token itself has not shown that the client received it', async t => {
  const { app, clock } = await build(t)
  const first = await logIn(app)
  const lost = await rotate(app, first.refresh_token)
  await app.latchkey.tokens.verify(lost.access_token)
  clock.move(GRACE)
  t.equal((await rotate(app, first.refresh_token)).refresh_token, lost.refresh_token)
})

t.test('a use is known to another process after a second, and after a restart', async t => {
  const file = databaseFile(t)
  const options = { database: file, secret: SECRET }
  const { app, clock } = await build(t, options)
  const first = await logIn(app)
  t.equal(await statusOf(app, await rotate(app, first.refresh_token)), 200)
  await app.close()
  const { app: next } = await build(t, { ...options, now: clock })
  clock.move(GRACE)
  assertProblem(t, await refresh(next, first.refresh_token), 401, 'session_stolen')
})

t.test('both parties of a stolen session learn of it: by each token, at each route', async t => {
  const { app } = await build(t)
  const first = await logIn(app)
  const second = await rotate(app, first.refresh_token)
  await rotate(app, second.refresh_token)
  assertProblem(t, await refresh(app, first.refresh_token), 401, 'session_stolen')
  const call = await app.inject({ url: '/users/me', headers: bearer(second.access_token) })
  assertProblem(t, call, 401, 'session_stolen')
  t.match(call.headers['www-authenticate'], /^Bearer error="invalid_token", error_description="/)
  const grant = await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: second.refresh_token })
  t.match(grant.json(), { error: 'invalid_grant', error_description: /\(session_stolen\)\.$/ })
  t.equal(grant.statusCode, 400)
})

t.test('the predecessor of a token that was used is reuse, also within the grace', async t => {
  const { app } = await build(t)
  const first = await logIn(app)
  const other = await logIn(app)
  const second = await rotate(app, first.refresh_token)
  const third = await rotate(app, second.refresh_token)
  assertProblem(t, await refresh(app, first.refresh_token), 401, 'session_stolen')
  for (const tokens of [first, second, third]) {
    t.equal(await statusOf(app, tokens), 401)
    assertProblem(t, await refresh(app, tokens.refresh_token), 401, 'session_stolen')
  }
  t.equal(await statusOf(app, other), 200)
})

t.test('every refusal of a refresh token is the same answer, except after a theft', async t => {
  const { app, clock } = await build(t)
  const revoked = await logIn(app)
  await postForm(app, '/revoke', { token: revoked.refresh_token })
  const live = await logIn(app)
  const answers = []
  for (const token of [
    revoked.refresh_token, revoked.refresh_token, 'garbage', live.access_token.slice(0, 500)
  ]) answers.push(visible(await refresh(app, token)))
  clock.move(31 * DAY)
  answers.push(visible(await refresh(app, live.refresh_token)))
  for (const answer of answers) t.strictSame(answer, answers[0])
  t.equal(answers[0]?.status, 401)
})

t.test('RFC 9700 4.14.2, ASVS 7.3.1, ASVS 7.3.2, ASVS 10.4.8, NIST 5.2: a refresh token lives 30 days unused, and its session 90 however often it is used', async t => {
  const { app, clock } = await build(t)
  const idle = await logIn(app)
  const lucky = await logIn(app)
  clock.move(30 * DAY - 1)
  const used = await rotate(app, lucky.refresh_token)
  clock.move(1)
  assertProblem(t, await refresh(app, idle.refresh_token), 401, 'invalid_refresh_token', 'idle')
  let token = used.refresh_token
  for (const days of [29, 29]) {
    clock.move(days * DAY)
    token = (await rotate(app, token)).refresh_token
  }
  clock.move(2 * DAY - 1)
  const last = await rotate(app, token)
  clock.move(1)
  assertProblem(t, await refresh(app, last.refresh_token), 401, 'invalid_refresh_token', 'absolute')
})

t.test('the lifetime of the refresh cookie is what is left of the session', async t => {
  const { app, clock } = await build(t, { sessionTtl: '40d' })
  const maxAge = (response: LightMyRequestResponse): number | undefined => response.cookies.find((
    { name }
  ) => name === '__Host-refresh_token')?.maxAge
  let headers = await logInWithCookies(app)
  clock.move(25 * DAY)
  const response = await app.inject({ method: 'POST', url: '/refresh', headers })
  t.equal(maxAge(response), 15 * DAY / SECOND)
  headers = { cookie: cookieHeader(response) }
  clock.move(15 * DAY - 1)
  t.equal(maxAge(await app.inject({ method: 'POST', url: '/refresh', headers })), 0)
})

t.test('RFC 6749 6, RFC 9700 4.14.2: a refresh may narrow the scope and never widen it; a refusal does not rotate', async t => {
  const file = databaseFile(t)
  const { app } = await build(t, { database: file, secret: SECRET })
  const first = await logIn(app, 'alice', { scope: 'items:read' })
  for (const scope of ['admin', 'items:read admin', 'items:write', 'nonsense']) {
    assertProblem(t, await refresh(app, first.refresh_token, { scope }), 400, 'invalid_scope', scope)
  }
  t.equal(readSessions(file)[0]?.generation, 1, 'nothing moved')
  const narrow = (await refresh(app, first.refresh_token, { scope: 'items:read' })).json()
  t.equal(narrow.scope, 'items:read')
  t.equal((await app.inject({ url: '/admin/', headers: bearer(narrow.access_token) })).statusCode, 403)
  const all = await rotate(app, (await logIn(app)).refresh_token)
  t.equal(all.scope, 'admin items:read', 'no scope means all of the session')
  assertProblem(t, await refresh(app, narrow.refresh_token, { scope: 'a"b' }), 400, 'invalid_request')
})

t.test('scopes follow the user: less at once, more only after a new login', async t => {
  const { app } = await build(t)
  const { users } = app.latchkey
  const alice = await users.findByName('alice')
  const tokens = await logIn(app)
  await users.setScopes(alice?.id ?? '', ['items:read'])
  t.equal(await statusOf(app, tokens), 401, 'what carries the lost scope is dead')
  const less = await rotate(app, tokens.refresh_token)
  t.equal(less.scope, 'items:read')
  t.equal(await statusOf(app, less), 200, 'the session goes on, also within the same millisecond')
  assertProblem(t, await refresh(app, less.refresh_token, { scope: 'admin' }), 400, 'invalid_scope')
  await users.setScopes(alice?.id ?? '', ['admin', 'items:read', 'items:write'])
  t.equal(await statusOf(app, less), 200, 'a gain kills nothing')
  t.notOk((await rotate(app, less.refresh_token)).scope.includes('items:write'), 'never more than the login gave')
  await users.setScopes(alice?.id ?? '', [])
  const none = await rotate(app, (await logIn(app)).refresh_token)
  t.equal(none.scope, '')
  t.equal(await statusOf(app, none), 200)
})

t.test('ASVS 7.4.2: a disabled user and a removed one refresh nothing, and enabling brings nothing back', async t => {
  const { app } = await build(t)
  const { users } = app.latchkey
  const [alice, bob] = [await users.findByName('alice'), await users.findByName('bob')]
  const [hers, his] = [await logIn(app, 'alice'), await logIn(app, 'bob')]
  await users.disable(alice?.id ?? '')
  await users.remove(bob?.id ?? '')
  for (const tokens of [hers, his]) {
    assertProblem(t, await refresh(app, tokens.refresh_token), 401, 'invalid_refresh_token')
    t.equal(await statusOf(app, tokens), 401)
  }
  await users.enable(alice?.id ?? '')
  assertProblem(t, await refresh(app, hers.refresh_token), 401, 'invalid_refresh_token')
  t.equal(await statusOf(app, hers), 401)
  t.equal(await statusOf(app, await logIn(app, 'alice')), 200, 'a new login is alive, in the same millisecond')
})

t.test('a tampered refresh token is nothing, and ends nothing', async t => {
  const { app } = await build(t)
  const { refresh_token: token } = await logIn(app)
  const other = await logIn(app, 'bob')
  const bytes = Buffer.from(token.slice(4), 'base64url')
  const tamper = (change: (copy: Buffer) => void): string => {
    const copy = Buffer.from(bytes)
    change(copy)
    return `lkr_${copy.toString('base64url')}`
  }
  const variants: Record<string, string> = {
    'another session': tamper(
      copy => { copy.set(Buffer.from(other.refresh_token.slice(4), 'base64url').subarray(0, 16)) }
    ),
    'a session that is none': tamper(copy => { copy[15] = (copy[15] ?? 0) ^ 1 }),
    'the next generation': tamper(copy => { copy[21] = (copy[21] ?? 0) + 1 }),
    'generation 0': tamper(copy => { copy[21] = 0 }),
    'the last generation': tamper(copy => { copy.fill(0xff, 16, 22) }),
    'no MAC': tamper(copy => { copy.fill(0, 22) }),
    'a bytes too many': `lkr_${Buffer.concat([bytes, Buffer.from([0])]).toString('base64url')}`,
    'a byte too few': `lkr_${bytes.subarray(0, -1).toString('base64url')}`,
    'another prefix': `lkx_${token.slice(4)}`,
    'the prefix in capitals': `LKR_${token.slice(4)}`,
    'no prefix': token.slice(4),
    padded: `${token}==`,
    'a space behind': `${token} `,
    'a NUL behind': `${token}\u0000`,
    'all ones': `lkr_${Buffer.alloc(54, 0xff).toString('base64url')}`,
    'base64 instead of base64url': `lkr_${bytes.map(() => 0xfb).toString()}`
  }
  for (let bit = 0; bit < 256; bit += 37) {
    variants[`bit ${bit} of the MAC`] = tamper(
      copy => { copy[22 + (bit >> 3)] = (copy[22 + (bit >> 3)] ?? 0) ^ (1 << (bit & 7)) }
    )
  }
  for (const [name, variant] of Object.entries(variants)) {
    const response = await refresh(app, variant)
    assertProblem(t, response, 401, 'invalid_refresh_token', name)
    const cookie = await app.inject({
      method: 'POST', url: '/refresh', headers: { cookie: `__Host-refresh_token=${encodeURIComponent(variant)}` }
    })
    assertProblem(t, cookie, 401, 'invalid_refresh_token', `${name}, in the cookie`)
    t.notOk(cookie.headers['set-cookie'], 'and the cookies stay')
  }
  t.equal((await refresh(app, token)).statusCode, 200)
  t.equal((await refresh(app, other.refresh_token)).statusCode, 200)
})

t.test('a failed refresh by cookie never clears the cookies: another tab may have better ones', async t => {
  const { app, clock } = await build(t)
  const headers = await logInWithCookies(app)
  const winner = await app.inject({ method: 'POST', url: '/refresh', headers })
  t.equal(winner.statusCode, 200)
  const cookie = `__Host-access_token=${winner.cookies.find(({ name }) => name === '__Host-access_token')?.value}`
  t.equal((await app.inject({ url: '/users/me', headers: { cookie } })).statusCode, 200)
  clock.move(GRACE)
  for (let attempt = 0; attempt < 2; attempt++) {
    const response = await app.inject({ method: 'POST', url: '/refresh', headers })
    assertProblem(t, response, 401, 'session_stolen')
    t.notOk(response.headers['set-cookie'])
  }
  const again = await logInWithCookies(app)
  const refused = await app.inject({ method: 'POST', url: '/refresh', headers: again, payload: { scope: 'nonsense' } })
  assertProblem(t, refused, 400, 'invalid_scope')
  t.notOk(refused.headers['set-cookie'])
  const crossSite = await app.inject({
    method: 'POST', url: '/refresh', headers: { ...again, 'sec-fetch-site': 'cross-site' }
  })
  assertProblem(t, crossSite, 403, 'cross_site_request')
  t.notOk(crossSite.headers['set-cookie'])
  t.equal(
    (await app.inject({ method: 'POST', url: '/refresh', headers: again })).statusCode, 200, 'and nothing rotated'
  )
})

t.test('a token in the body needs no cookie rule: no browser sends it by itself', async t => {
  const { app } = await build(t)
  const { refresh_token: token } = await logIn(app)
  const response = await app.inject({
    method: 'POST',
    url: '/refresh',
    headers: { 'sec-fetch-site': 'cross-site', origin: 'https://spa.example' },
    payload: { refresh_token: token }
  })
  t.equal(response.statusCode, 200)
})

t.test('logging out everywhere beside a storm of refreshes leaves no token alive', async t => {
  const { app } = await build(t)
  const tokens = await Promise.all(Array.from({ length: 10 }, () => logIn(app)))
  const me = tokens[0] as TokenBody
  const storm = tokens.flatMap(({ refresh_token: token }) => [refresh(app, token), refresh(app, token)])
  const logout = app.inject({
    method: 'POST', url: '/logout', headers: bearer(me.access_token), payload: { target: 'all' }
  })
  const more = tokens.map(({ refresh_token: token }) => refresh(app, token))
  t.equal((await logout).statusCode, 204)
  for (const response of await Promise.all([...storm, ...more])) {
    if (response.statusCode === 401) continue
    t.equal(response.statusCode, 200)
    t.equal(await statusOf(app, response.json()), 401)
    t.equal((await refresh(app, response.json().refresh_token)).statusCode, 401)
  }
})

t.test('reuse is logged without the token', async t => {
  const lines: string[] = []
  const { app } = await build(
    t, {}, { logger: { level: 'trace', stream: { write: (line: string) => { lines.push(line) } } } }
  )
  const first = await logIn(app)
  await rotate(app, (await rotate(app, first.refresh_token)).refresh_token)
  await refresh(app, first.refresh_token)
  const log = lines.join('')
  t.match(log, /refresh_token_reuse/)
  t.match(log, String(claimsOf(first.access_token).sid))
  t.notOk(log.includes(first.refresh_token))
  t.notOk(log.includes(first.access_token))
})

t.test('a new secret in front of the old one: sessions go on, and their next tokens are of the new one', async t => {
  const file = databaseFile(t)
  const { app: before } = await build(t, { database: file, secret: SECRET })
  const old = await logIn(before)
  await before.close()
  const fresh = 'another secret of the tests, also long enough'
  const { app: between } = await build(t, { database: file, secret: [fresh, SECRET] })
  t.equal(await statusOf(between, old), 200)
  const next = await rotate(between, old.refresh_token)
  t.equal((await rotate(between, old.refresh_token)).refresh_token, next.refresh_token, 'the retry too')
  t.equal(query(file, 'select * from latchkey_keys').length, 1, 'the same signing key')
})

import t from 'tap'
import type { FastifyInstance } from 'fastify'
import { bearer, build, createTestClock, logIn, logInWithCookies, PASSWORD, postForm } from '../helper.js'
import type { TestClock, TokenBody } from '../helper.js'
import { claimsOf, databaseFile, query, SECRET } from '../routes/support.js'
import type { LatchkeyOptions } from '../../app.js'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

async function statusOf (app: FastifyInstance, { access_token: token }: { access_token: string }): Promise<number> {
  return (await app.inject({ url: '/protected-route', headers: bearer(token) })).statusCode
}

async function refresh (app: FastifyInstance, { refresh_token: token }: { refresh_token: string }): Promise<number> {
  return (await app.inject({ method: 'POST', url: '/refresh', payload: { refresh_token: token } })).statusCode
}

/** Two apps on one file: to SQLite they are two connections, as two processes would be. */
async function buildTwo (t: Parameters<typeof build>[0], clock: TestClock = createTestClock()): Promise<{
  one: FastifyInstance, two: FastifyInstance, clock: TestClock, file: string
}> {
  const file = databaseFile(t)
  const options: LatchkeyOptions = { database: file, secret: SECRET, now: clock }
  const { app: one } = await build(t, options)
  const { app: two } = await build(t, options)
  return { one, two, clock, file }
}

const ENDINGS: Record<string, (app: FastifyInstance, tokens: TokenBody) => Promise<unknown>> = {
  'a revoked access token': (app, tokens) => postForm(app, '/revoke', { token: tokens.access_token }),
  'a revoked refresh token': (app, tokens) => postForm(app, '/revoke', { token: tokens.refresh_token }),
  'a logout': async (app, tokens) => await app.inject({
    method: 'POST', url: '/logout', headers: bearer(tokens.access_token)
  }),
  'a logout of all': async (app, tokens) => await app.inject({
    method: 'POST', url: '/logout', headers: bearer(tokens.access_token), payload: { target: 'all' }
  }),
  'an ended session': async (app, tokens) => await app.inject({
    method: 'DELETE', url: `/sessions/${claimsOf(tokens.access_token).sid}`, headers: bearer(tokens.access_token)
  }),
  'a disabled user': (app, tokens) => app.latchkey.users.disable(String(claimsOf(tokens.access_token).sub)),
  'a removed user': (app, tokens) => app.latchkey.users.remove(String(claimsOf(tokens.access_token).sub)),
  'scopes taken away': (app, tokens) => app.latchkey.users.setScopes(String(claimsOf(tokens.access_token).sub), []),
  'a password set by somebody else': (app, tokens) => app.latchkey.users.setPassword(
    String(claimsOf(tokens.access_token).sub), 'another walrus cobalt lantern'
  ),
  'a user whose tokens are revoked': (app, tokens) => app.latchkey.revocations.revokeUser(String(
    claimsOf(tokens.access_token).sub
  )),
  'reuse of a refresh token': async (app, tokens) => {
    const second = (await postForm(
      app, '/token', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token }
    )).json()
    await refresh(app, second)
    await refresh(app, tokens)
  }
}

t.test('what ends at one process is 401 on the very next request at the other', async t => {
  const { one, two } = await buildTwo(t)
  for (const [name, end] of Object.entries(ENDINGS)) {
    const username = name.replaceAll(' ', '-')
    await one.latchkey.users.add({ username, password: PASSWORD, scopes: ['items:read'] })
    const tokens = await logIn(one, username)
    const bob = await logIn(two, 'bob')
    t.equal(await statusOf(two, tokens), 200, `${name}: alive before, and cached`)
    await end(one, tokens)
    t.equal(await statusOf(two, tokens), 401, `${name}: dead at the other`)
    t.equal(await statusOf(one, tokens), 401, `${name}: dead here`)
    t.equal(await statusOf(two, bob), 200, `${name}: nobody else's`)
  }
})

t.test('many requests at once right after it are all refused: none overtakes the reading of the rule', async t => {
  const { one, two } = await buildTwo(t)
  for (let round = 0; round < 5; round++) {
    const [dead, alive] = [await logIn(one), await logIn(one)]
    for (const tokens of [dead, alive]) await statusOf(two, tokens)
    await postForm(one, '/revoke', { token: dead.access_token })
    const statuses = await Promise.all(Array.from(
      { length: 40 }, (_, index) => statusOf(two, index % 2 === 0 ? dead : alive)
    ))
    t.strictSame([...new Set(statuses.filter((_, index) => index % 2 === 0))], [401])
    t.strictSame([...new Set(statuses.filter((_, index) => index % 2 === 1))], [200])
  }
})

t.test('two revocations, the second while the first is being read, are both in force', async t => {
  const { one, two } = await buildTwo(t)
  const all = await Promise.all(Array.from({ length: 20 }, () => logIn(one)))
  for (const tokens of all) await statusOf(two, tokens)
  for (const tokens of all) {
    const reading = statusOf(two, tokens)
    await postForm(one, '/revoke', { token: tokens.access_token })
    t.equal(await statusOf(two, tokens), 401)
    await reading
  }
})

t.test('a login at one process, right after the user was logged out everywhere at the other, is alive (it was born in the same millisecond)', async t => {
  const { one, two } = await buildTwo(t)
  const { access_token: token } = await logIn(one)
  await one.inject({ method: 'POST', url: '/logout', headers: bearer(token), payload: { target: 'all' } })
  const fresh = await logIn(two)
  t.equal(await statusOf(two, fresh), 200)
  t.equal(await statusOf(one, fresh), 200)
  t.equal(await refresh(one, fresh), 200)
})

t.test('the same with scopes: a refresh at the other process gives a token that lives', async t => {
  const { one, two } = await buildTwo(t)
  const tokens = await logIn(one)
  await one.latchkey.users.setScopes(String(claimsOf(tokens.access_token).sub), ['items:read'])
  const next = (await two.inject({
    method: 'POST', url: '/refresh', payload: { refresh_token: tokens.refresh_token }
  })).json()
  t.equal(next.scope, 'items:read')
  t.equal(await statusOf(two, next), 200)
})

t.test('one refresh token at both processes at once: one generation moves', async t => {
  const { one, two, file } = await buildTwo(t)
  const tokens = await logIn(one)
  const answers = await Promise.all(Array.from(
    { length: 40 },
    (_, index) => postForm(
      index % 2 === 0 ? one : two, '/token', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token }
    )
  ))
  t.strictSame([...new Set(answers.map(({ statusCode }) => statusCode))], [200])
  t.equal(new Set(answers.map(response => response.json().refresh_token)).size, 1)
  t.equal(query<{ generation: number }>(file, 'select generation from latchkey_sessions')[0]?.generation, 2)
})

t.test('sessions of one process go on at the other', async t => {
  const { one, two } = await buildTwo(t)
  const cookies = await logInWithCookies(one)
  t.equal((await two.inject({ url: '/users/me', headers: cookies })).statusCode, 200)
  t.equal((await two.inject({ method: 'POST', url: '/refresh', headers: cookies })).statusCode, 200)
  t.equal((await two.inject({ method: 'POST', url: '/logout', headers: cookies })).statusCode, 204)
  t.equal((await one.inject({ url: '/users/me', headers: cookies })).statusCode, 401)
})

t.test('after a restart dead tokens are dead and sessions go on', async t => {
  const file = databaseFile(t)
  const clock = createTestClock()
  const options: LatchkeyOptions = { database: file, secret: SECRET, now: clock }
  const { app: before } = await build(t, options)
  const dead: Record<string, TokenBody> = {}
  for (const name of Object.keys(ENDINGS)) {
    const username = name.replaceAll(' ', '-')
    await before.latchkey.users.add({ username, password: PASSWORD, scopes: ['items:read'] })
    dead[name] = await logIn(before, username)
  }
  const alive = await logIn(before, 'bob')
  for (const [name, end] of Object.entries(ENDINGS)) await end(before, dead[name] as TokenBody)
  await before.close()
  const { app: after } = await build(t, options)
  for (const [name, tokens] of Object.entries(dead)) t.equal(await statusOf(after, tokens), 401, name)
  t.equal(await statusOf(after, alive), 200)
  t.equal(await refresh(after, alive), 200)
  t.equal(after.latchkey.revocations.size, query(file, 'select distinct kind, value from latchkey_rules').length)
})

t.test('a rule is purged a day after the last token that it could kill, not before', async t => {
  const file = databaseFile(t)
  const { app, clock } = await build(t, { database: file, secret: SECRET })
  const count = (): number => query(file, 'select * from latchkey_rules').length
  const [token, session] = [await logIn(app), await logIn(app)]
  await postForm(app, '/revoke', { token: token.access_token })
  await postForm(app, '/revoke', { token: session.refresh_token })
  await app.latchkey.revocations.revokeUser(String(claimsOf(token.access_token).sub))
  t.equal(count(), 3)
  clock.move(15 * MINUTE + DAY - 2_000)
  t.equal(await app.latchkey.revocations.purge(clock()), false)
  t.equal(count(), 3)
  t.equal(app.latchkey.revocations.size, 3)
  clock.move(3_000)
  t.equal(await app.latchkey.revocations.purge(clock()), false)
  t.equal(count(), 0)
  t.equal(app.latchkey.revocations.size, 0)
  for (const tokens of [token, session]) t.equal(await statusOf(app, tokens), 401)
})

t.test('a clock that is set back, after a purge and a restart, revives nothing', async t => {
  const file = databaseFile(t)
  const clock = createTestClock()
  const options: LatchkeyOptions = { database: file, secret: SECRET, now: clock }
  const { app: before } = await build(t, options)
  const [token, session, expired] = [await logIn(before), await logIn(before), await logIn(before)]
  await postForm(before, '/revoke', { token: token.access_token })
  await postForm(before, '/revoke', { token: session.refresh_token })
  clock.move(DAY + 16 * MINUTE)
  await before.latchkey.revocations.purge(clock())
  t.equal(query(file, 'select * from latchkey_rules').length, 0)
  await before.close()
  clock.move(-(DAY + 16 * MINUTE))
  const { app: after } = await build(t, options)
  for (const tokens of [token, session, expired]) t.equal(await statusOf(after, tokens), 401)
  t.equal(await refresh(after, session), 401)
  t.equal(await statusOf(after, await logIn(after)), 200, 'and a new login works')
})

t.test('a clock that is set back while it runs revives no revoked token, and new logins work', async t => {
  const { app, clock } = await build(t)
  const [live, revoked] = [await logIn(app, 'bob'), await logIn(app)]
  await app.latchkey.revocations.revokeUser(String(claimsOf(revoked.access_token).sub))
  clock.move(15 * MINUTE)
  t.equal(await statusOf(app, live), 401)
  clock.move(-15 * MINUTE)
  t.equal(await statusOf(app, live), 200, 'a token that had only expired is valid again')
  clock.move(-60 * MINUTE)
  t.equal(await statusOf(app, revoked), 401)
  const fresh = await logIn(app)
  t.equal(await statusOf(app, fresh), 200)
  t.equal(await refresh(app, fresh), 200)
})

t.test('after a logout of all, a restart and a clock that stepped back an hour, a new login works (its token must be later than the rule, and not in the future)', async t => {
  const file = databaseFile(t)
  const clock = createTestClock()
  const options: LatchkeyOptions = { database: file, secret: SECRET, now: clock }
  const { app: before } = await build(t, options)
  const old = await logIn(before)
  await before.inject({ method: 'POST', url: '/logout', headers: bearer(old.access_token), payload: { target: 'all' } })
  await before.close()
  clock.move(-60 * MINUTE)
  const { app: after } = await build(t, options)
  t.equal(await statusOf(after, old), 401)
  const fresh = await logIn(after)
  t.equal(await statusOf(after, fresh), 200)
  const next = (await after.inject({
    method: 'POST', url: '/refresh', payload: { refresh_token: fresh.refresh_token }
  })).json()
  t.equal(await statusOf(after, next), 200)
})

t.test('two processes of one machine whose clocks stand apart: a revocation at the one ahead kills, and a login at the one behind lives', async t => {
  const file = databaseFile(t)
  const [ahead, behind] = [createTestClock(), createTestClock()]
  ahead.move(3_000)
  const { app: one } = await build(t, { database: file, secret: SECRET, now: ahead })
  const { app: two } = await build(t, { database: file, secret: SECRET, now: behind })
  const tokens = await logIn(two)
  t.equal(await statusOf(one, tokens), 200)
  await one.latchkey.revocations.revokeUser(String(claimsOf(tokens.access_token).sub))
  t.equal(await statusOf(two, tokens), 401)
  const fresh = await logIn(two)
  t.equal(await statusOf(two, fresh), 200)
  t.equal(await statusOf(one, fresh), 200)
})

t.test('lost with its database, a service takes no token of before', async t => {
  const { app: before } = await build(t, { database: databaseFile(t), secret: SECRET })
  const tokens = await logIn(before)
  await before.close()
  const { app: after } = await build(t, { secret: SECRET })
  t.equal(await statusOf(after, tokens), 401)
  t.equal(await refresh(after, tokens), 401)
})

t.test('a hundred logins beside a disabling leave nothing alive', async t => {
  const { one, two } = await buildTwo(t)
  const alice = await one.latchkey.users.findByName('alice')
  const logins = Array.from(
    { length: 60 },
    (_, index) => postForm(index % 2 === 0 ? one : two, '/token', { username: 'alice', password: PASSWORD })
  )
  await new Promise(resolve => setImmediate(resolve))
  await one.latchkey.users.disable(alice?.id ?? '')
  for (const response of await Promise.all(logins)) {
    if (response.statusCode !== 200) continue
    for (const app of [one, two]) t.equal(await statusOf(app, response.json()), 401)
    t.equal(await refresh(two, response.json()), 401)
  }
  t.strictSame(await two.latchkey.sessions.list(alice?.id ?? ''), [])
})

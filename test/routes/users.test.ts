import t from 'tap'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { bearer, build, logIn, logInWithCookies, PASSWORD, postForm } from '../helper.js'
import type { TokenBody } from '../helper.js'
import { assertProblem, claimsOf } from './support.js'

const NEW_PASSWORD = 'another walrus cobalt lantern'

async function change (
  app: FastifyInstance, headers: Record<string, string>, current: string, password: string
): Promise<LightMyRequestResponse> {
  return await app.inject({
    method: 'PUT', url: '/users/me/password', headers, payload: { current_password: current, new_password: password }
  })
}

async function statusOf (app: FastifyInstance, { access_token: token }: { access_token: string }): Promise<number> {
  return (await app.inject({ url: '/users/me', headers: bearer(token) })).statusCode
}

async function refresh (app: FastifyInstance, { refresh_token: token }: TokenBody): Promise<number> {
  return (await app.inject({ method: 'POST', url: '/refresh', payload: { refresh_token: token } })).statusCode
}

t.test('a user reads the own profile, and nothing of the password', async t => {
  const { app } = await build(t)
  const tokens = await logIn(app, 'bob')
  const response = await app.inject({ url: '/users/me', headers: bearer(tokens.access_token) })
  t.equal(response.statusCode, 200)
  t.match(response.headers['content-type'], /^application\/json\b/)
  t.strictSame(response.json(), { id: claimsOf(tokens.access_token).sub, username: 'bob', scopes: ['items:read'], roles: [] })
})

t.test('the profile is of now, and the token of its login', async t => {
  const { app } = await build(t)
  const tokens = await logIn(app, 'bob')
  await app.latchkey.users.setScopes(String(claimsOf(tokens.access_token).sub), ['items:read', 'admin'])
  const response = await app.inject({ url: '/users/me', headers: bearer(tokens.access_token) })
  t.strictSame(response.json().scopes, ['admin', 'items:read'])
  t.equal((await app.inject({ url: '/admin/', headers: bearer(tokens.access_token) })).statusCode, 403)
})

t.test('without a token there is no profile and no change', async t => {
  const { app } = await build(t)
  for (const request of [
    { url: '/users/me' },
    {
      method: 'PUT' as const,
      url: '/users/me/password',
      payload: { current_password: PASSWORD, new_password: NEW_PASSWORD }
    }
  ]) {
    const response = await app.inject(request)
    assertProblem(t, response, 401, 'unauthenticated')
    t.equal(response.headers['www-authenticate'], 'Bearer')
    const bad = await app.inject({ ...request, headers: bearer('garbage') })
    assertProblem(t, bad, 401, 'invalid_token')
    t.match(bad.headers['www-authenticate'], /^Bearer error="invalid_token", error_description="[^"]+"$/)
  }
})

t.test('ASVS 7.4.3: a change of the password ends every other session, and this one goes on', async t => {
  const { app } = await build(t)
  const [mine, other, bob] = [await logIn(app), await logIn(app), await logIn(app, 'bob')]
  const response = await change(app, bearer(mine.access_token), PASSWORD, NEW_PASSWORD)
  t.equal(response.statusCode, 204)
  t.equal(response.body, '')
  t.equal(await statusOf(app, mine), 200)
  t.equal(await refresh(app, mine), 200)
  t.equal(await statusOf(app, other), 401)
  t.equal(await refresh(app, other), 401)
  t.equal(await statusOf(app, bob), 200)
  t.equal((await postForm(app, '/token', { username: 'alice', password: PASSWORD })).statusCode, 400)
  t.equal((await postForm(app, '/token', { username: 'alice', password: NEW_PASSWORD })).statusCode, 200)
})

t.test('ASVS 6.2.3, ASVS 7.5.1: a wrong current password changes nothing', async t => {
  const { app } = await build(t)
  const [mine, other] = [await logIn(app), await logIn(app)]
  for (const current of ['wrong', NEW_PASSWORD, PASSWORD.toUpperCase(), `${PASSWORD}\u0000`]) {
    const response = await change(app, bearer(mine.access_token), current, NEW_PASSWORD)
    assertProblem(t, response, 403, 'wrong_password')
    t.notOk(response.headers['www-authenticate'])
  }
  t.equal(await statusOf(app, other), 200)
  await logIn(app)
})

t.test('a wrong current password is told before the policy is: the answer says nothing about the new one', async t => {
  const { app } = await build(t)
  const mine = await logIn(app)
  assertProblem(t, await change(app, bearer(mine.access_token), 'wrong', 'short'), 403, 'wrong_password')
})

t.test('ASVS 6.2.4, NIST 3.1.1.2: the policy refuses with its reason, which never quotes the password', async t => {
  const { app } = await build(t)
  const mine = await logIn(app)
  const table: Array<[password: string, reason: RegExp]> = [
    ['fourteen chars', /shorter than 15/],
    ['é'.repeat(600), /longer than 1,024 bytes/],
    ['alicealicealice', /username|common/],
    ['latchkeylatchkey', /easy to guess/],
    ['passwordpassword', /common/],
    ['abcdefghijklmnopqrst', /sequence/],
    ['xyzw1xyzw1xyzw1xyzw1', /repeats/],
    ['unpaired surrogate \ud800', /not valid Unicode/]
  ]
  for (const [password, reason] of table) {
    const response = await change(app, bearer(mine.access_token), PASSWORD, password)
    assertProblem(t, response, 400, 'password_rejected', password.slice(0, 20))
    t.match(response.json().detail, reason)
    t.notOk(response.body.includes(password))
  }
  await logIn(app)
})

t.test('of two changes at once from the same old password one wins, and the other learns that it is not the current one', async t => {
  const { app } = await build(t)
  const mine = await logIn(app)
  const words = ['first', 'second', 'third', 'fourth', 'fifth']
  const answers = await Promise.all(words.map(
    word => change(app, bearer(mine.access_token), PASSWORD, `${word} walrus cobalt lantern`)
  ))
  const won = answers.flatMap(({ statusCode }, index) => statusCode === 204 ? [words[index]] : [])
  t.equal(won.length, 1)
  for (const response of answers) if (response.statusCode !== 204) assertProblem(t, response, 403, 'wrong_password')
  t.equal(
    (await postForm(app, '/token', { username: 'alice', password: `${won[0]} walrus cobalt lantern` })).statusCode, 200
  )
})

t.test('the change is refused to another site that rides on the cookies', async t => {
  const { app } = await build(t)
  const headers = await logInWithCookies(app)
  const response = await change(app, { ...headers, 'sec-fetch-site': 'cross-site' }, PASSWORD, NEW_PASSWORD)
  assertProblem(t, response, 403, 'cross_site_request')
  await logIn(app)
  t.equal((await change(app, { ...headers, 'sec-fetch-site': 'same-origin' }, PASSWORD, NEW_PASSWORD)).statusCode, 204)
})

t.test('ASVS 6.2.8, NIST 3.1.1.2: a password of more than 72 bytes counts to its end', async t => {
  const { app } = await build(t)
  const mine = await logIn(app)
  const long = 'so long that bcrypt alone would stop reading '.repeat(4)
  t.equal((await change(app, bearer(mine.access_token), PASSWORD, `${long}x`)).statusCode, 204)
  t.equal((await postForm(app, '/token', { username: 'alice', password: `${long}y` })).statusCode, 400)
  t.equal((await postForm(app, '/token', { username: 'alice', password: `${long}x` })).statusCode, 200)
})

t.test('ASVS 7.4.2: a removed or disabled user is 401 on the very next request', async t => {
  const { app } = await build(t)
  for (const end of ['disable', 'remove'] as const) {
    const user = await app.latchkey.users.add({ username: `to-${end}`, password: PASSWORD })
    const tokens = await logIn(app, `to-${end}`)
    t.equal(await statusOf(app, tokens), 200)
    await app.latchkey.users[end](user.id)
    const response = await app.inject({ url: '/users/me', headers: bearer(tokens.access_token) })
    assertProblem(t, response, 401, 'token_revoked', end)
    t.match(response.headers['www-authenticate'], /^Bearer error="invalid_token"/)
  }
})

t.test("where the accounts are the host's", async t => {
  let user: { id: string, username: string, scopes: string[] } | null = {
    id: '42', username: 'harriet', scopes: ['items:read']
  }
  const { app } = await build(
    t,
    {
      users: {
        authenticate: async (_username, password) => password === PASSWORD ? user : null, find: async () => user
      }
    }
  )
  const tokens = await logIn(app, 'harriet')
  await t.test('the profile is the one that it finds', async t => {
    t.strictSame((await app.inject({ url: '/users/me', headers: bearer(tokens.access_token) })).json(), {
      ...user, roles: []
    })
  })
  await t.test('the password is its own business', async t => {
    t.equal((await change(app, bearer(tokens.access_token), PASSWORD, NEW_PASSWORD)).statusCode, 404)
  })
  await t.test('a wrong password is invalid_grant', async t => {
    t.equal((await postForm(app, '/token', { username: 'harriet', password: 'wrong' })).json().error, 'invalid_grant')
  })
  await t.test('an account that is gone is 401 with the challenge of a bad token (RFC 6750 section 3.1)', async t => {
    user = null
    const response = await app.inject({ url: '/users/me', headers: bearer(tokens.access_token) })
    assertProblem(t, response, 401, 'invalid_token')
    t.match(response.headers['www-authenticate'], /^Bearer error="invalid_token"/)
    t.equal(await refresh(app, tokens), 401)
  })
})

import t from 'tap'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { bearer, build, logIn, PASSWORD } from '../helper.js'
import { assertProblem, databaseFile, query, SECRET } from './support.js'

async function register (
  app: FastifyInstance, payload: object, headers: Record<string, string> = {}
): Promise<LightMyRequestResponse> {
  return await app.inject({ method: 'POST', url: '/register', payload, headers })
}

t.test('registration is off unless it is switched on', async t => {
  for (const options of [
    {}, { registration: false },
    { registration: true, users: { authenticate: async () => null, find: async () => null } }
  ]) {
    const { app } = await build(t, options)
    t.equal((await register(app, { username: 'carol', password: PASSWORD })).statusCode, 404)
    t.notOk(app.hasRoute({ method: 'POST', url: '/register' }))
  }
})

t.test('anyone may make an account, without scopes', async t => {
  const { app } = await build(t, { registration: true })
  const response = await register(app, { username: 'Carol', password: PASSWORD })
  t.equal(response.statusCode, 201)
  t.strictSame(Object.keys(response.json()).sort(), ['id', 'roles', 'scopes', 'username'])
  t.match(response.json(), { username: 'Carol', scopes: [] })
  t.notOk(response.headers['set-cookie'])
  const tokens = await logIn(app, 'carol')
  t.equal(tokens.scope, '')
  t.equal((await app.inject({ url: '/users/me', headers: bearer(tokens.access_token) })).statusCode, 200)
  t.equal((await app.inject({ url: '/admin/', headers: bearer(tokens.access_token) })).statusCode, 403)
})

t.test('an account gets the scopes of the option, whatever the request asks for', async t => {
  const scopes = { admin: 'Administer', 'items:read': 'Read items' }
  const { app } = await build(t, { scopes, registration: { scopes: ['items:read'] } })
  const response = await register(app, { username: 'carol', password: PASSWORD })
  t.match(response.json(), { username: 'carol', scopes: ['items:read'] })
  t.equal((await logIn(app, 'carol')).scope, 'items:read')
  assertProblem(
    t, await register(app, { username: 'dave', password: PASSWORD, scopes: ['admin'] }), 400, 'invalid_request'
  )
})

t.test('scopes and the rest of an account can never be asked for', async t => {
  const { app } = await build(t, { registration: true })
  for (const member of ['scope', 'scopes', 'id', 'disabled', 'disabled_at', 'password_hash']) {
    assertProblem(
      t, await register(app, { username: 'carol', password: PASSWORD, [member]: ['admin'] }), 400, 'invalid_request',
      member
    )
  }
  t.equal(await app.latchkey.users.findByName('carol'), null)
})

t.test('a name that is taken is 409, in whatever letters', async t => {
  const { app } = await build(t, { registration: true })
  for (const username of ['alice', 'ALICE', 'Alice', 'ａｌｉｃｅ']) {
    assertProblem(
      t, await register(app, { username, password: 'another walrus cobalt lantern' }), 409, 'username_taken', username
    )
  }
  await logIn(app, 'alice')
})

t.test('of twenty registrations of one name at once one wins', async t => {
  const file = databaseFile(t)
  const { app } = await build(t, { registration: true, database: file, secret: SECRET })
  const answers = await Promise.all(Array.from(
    { length: 20 }, (_, index) => register(app, { username: index % 2 === 0 ? 'carol' : 'CAROL', password: PASSWORD })
  ))
  t.equal(answers.filter(({ statusCode }) => statusCode === 201).length, 1)
  t.equal(answers.filter(({ statusCode }) => statusCode === 409).length, 19)
  t.equal(query(file, "select * from latchkey_users where username_key = 'carol'").length, 1)
})

t.test('the policy refuses with its reason', async t => {
  const { app } = await build(t, { registration: true })
  for (const password of [
    'tiny one', 'password1234567', 'correct horse battery staple', 'CorrectHorseBatteryStaple1',
    'choose your own passphrase', 'carolcarolcarol', 'passwordpassword', 'abcdefghijklmnopqrst'
  ]) {
    const response = await register(app, { username: 'carol', password })
    assertProblem(t, response, 400, 'password_rejected', password)
    t.notOk(response.body.includes(password))
  }
})

t.test('a name with a character that a reader cannot see is rejected, and the error names it', async t => {
  const { app } = await build(t, { registration: true })
  for (const code of [
    'FE0F', '034F', '3164', '115F', '17B4', '180B', '2065', 'E0100', 'FFF0', '2800', '0378', 'E000'
  ]) {
    const response = await register(
      app, { username: `alice${String.fromCodePoint(parseInt(code, 16))}`, password: PASSWORD }
    )
    assertProblem(t, response, 400, 'invalid_request', code)
    t.match(response.json().detail, `A username cannot contain U+${code} (`)
  }
  const response = await register(app, { username: 'alice  smith', password: PASSWORD })
  assertProblem(t, response, 400, 'invalid_request')
  t.match(response.json().detail, /two spaces in a row/)
})

t.test('names that nobody can tell apart or read are refused', async t => {
  const { app } = await build(t, { registration: true })
  const table = [
    '', ' ', ' carol', 'carol ', '\tcarol', 'ca\u0000rol', 'ca\nrol', 'ca\u007frol', 'ca\u0085rol', '\ud800',
    '\u00a0carol', 'carol\u3000', 'x'.repeat(255)
  ]
  for (const username of table) {
    assertProblem(
      t, await register(app, { username, password: PASSWORD }), 400, 'invalid_request', JSON.stringify(username)
    )
  }
  for (const username of [
    'c', 'x'.repeat(254), 'carol@example.com', 'Ça ira', '👩', '%', "o'neill", '__proto__', 'constructor'
  ]) {
    t.equal((await register(app, { username, password: PASSWORD })).statusCode, 201, username)
    t.equal((await logIn(app, username)).token_type, 'bearer')
  }
})

t.test('a name that only becomes too long, empty or blank-edged by normalisation is refused too (NFKC comes after the check)', async t => {
  const { app } = await build(t, { registration: true })
  // U+FDFA becomes 18 characters; U+00A8 (a lone diaeresis) becomes a space and a combining mark.
  for (const username of ['\ufdfa'.repeat(128), '\u00a8x']) {
    const response = await register(app, { username, password: PASSWORD })
    t.equal(response.statusCode, 400, `${JSON.stringify(username.slice(0, 3))} ${response.statusCode}`)
  }
})

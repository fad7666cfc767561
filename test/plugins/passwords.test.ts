import t from 'tap'
import type { Test } from 'tap'
import type { LightMyRequestResponse } from 'fastify'
import { bearer, build, logIn, ON_POSTGRES, PASSWORD, postForm } from '../helper.js'
import { assertOAuthError, assertProblem, databaseFile, listen, query, SECRET } from '../routes/support.js'
import { hashPassword } from '../../lib/passwords/hashing.js'

function sortOut (
  t: Test, answers: LightMyRequestResponse[], assertOverloaded: (response: LightMyRequestResponse) => void
): void {
  const refused = answers.filter(({ statusCode }) => statusCode === 503)
  t.strictSame([...new Set(answers.map(({ statusCode }) => statusCode))].sort(), [200, 503], 'no other answer')
  for (const response of refused) {
    assertOverloaded(response)
    t.match(response.headers['retry-after'], /^[1-9]\d*$/)
  }
}

t.test('when too many logins wait for a thread, the rest are told to come again', async t => {
  const { app } = await build(t, { bcryptCost: 7 })
  const { access_token: token } = await logIn(app)
  const logins = Array.from({ length: 150 }, () => postForm(app, '/token', { username: 'alice', password: PASSWORD }))
  await new Promise(resolve => setImmediate(resolve))
  t.equal(
    (await app.inject({ url: '/users/me', headers: bearer(token) })).statusCode, 200, 'whoever has a token goes on'
  )
  sortOut(t, await Promise.all(logins), response => assertOAuthError(t, response, 503, 'temporarily_unavailable'))
  await logIn(app)
})

t.test('the same at /login, and a change of the password is refused whole', {
  skip: ON_POSTGRES && 'who waits for a thread first is another one there'
}, async t => {
  const { app } = await build(t, { bcryptCost: 7 })
  const { access_token: token } = await logIn(app)
  // An injection begins when it is awaited: the function makes it begin now.
  const logins = Array.from(
    { length: 100 },
    async () => await app.inject({ method: 'POST', url: '/login', payload: { username: 'alice', password: PASSWORD } })
  )
  const change = await app.inject({
    method: 'PUT',
    url: '/users/me/password',
    headers: bearer(token),
    payload: { current_password: PASSWORD, new_password: 'another walrus cobalt lantern' }
  })
  assertProblem(t, change, 503, 'overloaded')
  sortOut(t, await Promise.all(logins), response => {
    assertProblem(t, response, 503, 'overloaded')
    t.notOk(response.headers['set-cookie'])
  })
  await logIn(app)
})

t.test('a login whose cheap hash should be replaced is not refused because the queue is full', async t => {
  const file = databaseFile(t)
  const { app } = await build(t, { database: file, secret: SECRET, bcryptCost: 6 })
  query(file, "update latchkey_users set password_hash = ? where username = 'alice'", hashPassword(PASSWORD, 4))
  const answers = await Promise.all(Array.from(
    { length: 120 }, () => postForm(app, '/token', { username: 'alice', password: PASSWORD })
  ))
  sortOut(t, answers, response => assertOAuthError(t, response, 503, 'temporarily_unavailable'))
  t.ok(answers.filter(({ statusCode }) => statusCode === 200).length >= 64, 'all that fitted into the queue')
  await logIn(app)
  t.match(
    query<{ password_hash: string }>(
      file, "select password_hash from latchkey_users where username = 'alice'"
    )[0]?.password_hash,
    /^\$2b\$06\$/
  )
})

t.test('hashes of other systems log in, a $2x$ and nonsense never do', async t => {
  const file = databaseFile(t)
  const { app } = await build(t, { database: file, secret: SECRET, bcryptCost: 5 })
  const hash = hashPassword(PASSWORD, 4)
  const table: Array<[hash: string, status: number]> = [
    [hash.replace('$2b$', '$2a$'), 200],
    [hash.replace('$2b$', '$2y$'), 200],
    [hash.replace('$2b$', '$2x$'), 400],
    ['', 400],
    ['plaintext', 400],
    [PASSWORD, 400],
    ['$2b$31$' + '.'.repeat(53), 400],
    [`${hash}x`, 400]
  ]
  for (const [stored, status] of table) {
    query(file, "update latchkey_users set password_hash = ? where username = 'alice'", stored)
    t.equal(
      (await postForm(app, '/token', { username: 'alice', password: PASSWORD })).statusCode, status, stored.slice(0, 10)
    )
  }
})

t.test('what is in flight when the app closes is finished first', async t => {
  const { app } = await build(t, { bcryptCost: 9 })
  const origin = await listen(app)
  const login = (): Promise<number> => fetch(
    `${origin}/login`,
    {
      method: 'POST',
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: JSON.stringify({ username: 'alice', password: PASSWORD })
    }
  ).then(async response => {
    await response.text()
    return response.status
  })
  const arrived = new Promise<void>(resolve => {
    let count = 0
    app.server.on('request', () => { if (++count === 8) resolve() })
  })
  const logins = Array.from({ length: 8 }, login)
  await arrived
  const closing = app.close()
  t.strictSame(await Promise.all(logins), Array(8).fill(200))
  await closing
})

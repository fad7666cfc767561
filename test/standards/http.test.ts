import t from 'tap'
import { build, PASSWORD } from '../helper.js'
import { assertProblem } from '../routes/support.js'

// Cookies (RFC 6265bis) and methods: what no other test proves. See the table in docs/standards.md.

t.test('RFC 6265bis 5.6, ASVS 3.3.5: no cookie is longer than a browser keeps; a login that would need one fails loudly, and by form it works', async t => {
  let length = 2_000
  const { app } = await build(t, { algorithm: 'RS256', claims: () => ({ padding: 'x'.repeat(length) }) })
  const logIn = async () => await app.inject({
    method: 'POST', url: '/login', payload: { username: 'alice', password: PASSWORD }
  })
  const response = await logIn()
  t.equal(response.statusCode, 200)
  for (const { name, value } of response.cookies) t.ok(name.length + value.length <= 4_096, name)

  const scopes = Object.fromEntries(Array.from(
    { length: 40 }, (_, index) => [`a-scope-with-a-long-name:${index}`, 'One of many']
  ))
  const { app: many } = await build(
    t,
    {
      scopes: { ...scopes, admin: 'Administer', 'items:read': 'Read' }, claims: () => ({ padding: 'x'.repeat(length) })
    }
  )
  await many.latchkey.users.add({ username: 'grantee', password: PASSWORD, scopes: Object.keys(scopes) })
  const credentials = { username: 'grantee', password: PASSWORD }
  const refused = await many.inject({ method: 'POST', url: '/login', payload: credentials })
  assertProblem(t, refused, 500, 'internal_error')
  t.notOk(refused.headers['set-cookie'])
  t.equal((await many.inject({ method: 'POST', url: '/token', payload: credentials })).statusCode, 200)
  length = 10
  t.equal((await many.inject({ method: 'POST', url: '/login', payload: credentials })).statusCode, 200)
})

t.test('ASVS 3.5.3: what changes something has no safe method', async t => {
  const { app } = await build(t, { prefix: '/auth', registration: true })
  for (const path of ['login', 'logout', 'token', 'refresh', 'revoke', 'register', 'users/me/password']) {
    for (const method of ['GET', 'HEAD'] as const) {
      t.equal(
        (await app.inject({ method, url: `/auth/${path}` })).statusCode, 405, `${method} ${path}`
      )
    }
  }
})

import t from 'tap'
import type { FastifyInstance } from 'fastify'
import { bearer, build, logIn, PASSWORD } from '../helper.js'
import type { TokenBody } from '../helper.js'
import { claimsOf } from '../routes/support.js'

// RFC 9700 and OWASP ASVS 5.0: what no other test proves. See the table in docs/standards.md.

async function refresh (app: FastifyInstance, token: string): Promise<{ status: number, tokens: TokenBody }> {
  const response = await app.inject({ method: 'POST', url: '/refresh', payload: { refresh_token: token } })
  return { status: response.statusCode, tokens: response.json() }
}

async function statusOf (app: FastifyInstance, token: string): Promise<number> {
  return (await app.inject({ url: '/protected-route', headers: bearer(token) })).statusCode
}

t.test('RFC 9700 2.2.2, RFC 9700 4.14.2, ASVS 10.4.5: each refresh rotates, and a token that comes back after its successor ends the session of both, for whoever holds the live one', async t => {
  const { app, clock } = await build(t)
  const [stolen, elsewhere] = [await logIn(app), await logIn(app)]
  const { tokens: live } = await refresh(app, stolen.refresh_token)
  t.not(live.refresh_token, stolen.refresh_token)
  clock.move(10_000)
  t.equal(await statusOf(app, live.access_token), 200)
  t.equal((await refresh(app, stolen.refresh_token)).status, 401)
  t.equal((await refresh(app, live.refresh_token)).status, 401, 'the active refresh token is dead')
  for (const tokens of [stolen, live]) {
    t.equal(
      await statusOf(app, tokens.access_token), 401, 'and so are the access tokens'
    )
  }
  t.equal((await refresh(app, elsewhere.refresh_token)).status, 200, 'another session of the same user is not')
})

t.test('ASVS 7.4.5: an administrator ends all sessions of a user, at once, and nobody else does', async t => {
  const { app } = await build(t)
  await app.latchkey.users.add({ username: 'administrator', password: PASSWORD, scopes: ['users:write'] })
  const [administrator, one, two, bob] = [
    await logIn(app, 'administrator'), await logIn(app), await logIn(app), await logIn(app, 'bob')
  ]
  const end = async (tokens: TokenBody): Promise<number> => (await app.inject({
    method: 'DELETE',
    url: `/users/${String(claimsOf(one.access_token).sub)}/sessions`,
    headers: bearer(tokens.access_token)
  })).statusCode
  t.equal(await end(bob), 403)
  t.equal(await statusOf(app, one.access_token), 200)
  t.equal(await end(administrator), 204)
  for (const tokens of [one, two]) {
    t.equal(await statusOf(app, tokens.access_token), 401)
    t.equal((await refresh(app, tokens.refresh_token)).status, 401)
  }
  t.equal(await statusOf(app, bob.access_token), 200)
})

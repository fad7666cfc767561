import t from 'tap'
import type { FastifyInstance } from 'fastify'
import { bearer, build, logIn } from '../helper.js'
import type { TokenBody } from '../helper.js'

// RFC 9700 and OWASP ASVS 5.0: what no other test proves. See the table in docs/security.md.

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
  for (const tokens of [stolen, live]) t.equal(await statusOf(app, tokens.access_token), 401, 'and so are the access tokens')
  t.equal((await refresh(app, elsewhere.refresh_token)).status, 200, 'another session of the same user is not')
})

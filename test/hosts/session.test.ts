import fastifyCookie from '@fastify/cookie'
import fastifySession from '@fastify/session'
import t from 'tap'
import type { Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import latchkey, { authenticate } from '../../app.js'
import { addUsers, cookieHeader, PASSWORD, TEST_OPTIONS } from '../helper.js'
import { createHost } from '../routes/support.js'

declare module 'fastify' {
  interface Session { userId?: string }
}

/** An app that used @fastify/session, in the middle of docs/from-fastify-session.md. */
async function build (t: Test, order: 'before' | 'after'): Promise<{ app: FastifyInstance, old: { cookie: string } }> {
  const app = createHost(t)
  async function addSession (): Promise<void> {
    await app.register(fastifyCookie)
    await app.register(fastifySession, {
      secret: 'a secret of the host with 32 characters', cookie: { secure: false }, saveUninitialized: false
    })
  }
  if (order === 'before') await addSession()
  await app.register(latchkey, { ...TEST_OPTIONS, prefix: '/auth' })
  if (order === 'after') await addSession()

  app.post<{ Body: { userId: string } }>('/old-login', async (request) => {
    request.session.userId = request.body.userId
    return {}
  })
  app.post('/exchange', async (request, reply) => {
    const { userId } = request.session
    if (userId === undefined) return reply.code(401).send()
    const login = await app.latchkey.logInAs(request, userId, { method: 'session' })
    app.latchkey.setCookies(reply, login)
    await request.session.destroy()
    return { user: login.user }
  })
  app.get('/items', { onRequest: authenticate }, async ({ user }) => ({ for: user.id }))
  await app.ready()
  await addUsers(app)
  const alice = await app.latchkey.users.findByName('alice')
  const login = await app.inject({ method: 'POST', url: '/old-login', payload: { userId: alice?.id } })
  return { app, old: { cookie: cookieHeader(login) } }
}

for (const order of ['before', 'after'] as const) {
  t.test(`an app with @fastify/session, registered ${order} Latchkey, exchanges its sessions`, async t => {
    const { app, old } = await build(t, order)
    t.equal((await app.inject({ url: '/items', headers: old })).statusCode, 401)
    const crossSite = await app.inject({
      method: 'POST', url: '/exchange', headers: { ...old, 'sec-fetch-site': 'cross-site' }
    })
    t.equal(crossSite.statusCode, 403)

    const exchanged = await app.inject({ method: 'POST', url: '/exchange', headers: old })
    t.equal(exchanged.statusCode, 200)
    const headers = { cookie: cookieHeader(exchanged) }
    t.equal((await app.inject({ url: '/items', headers })).statusCode, 200)

    const again = await app.inject({ method: 'POST', url: '/exchange', headers: old })
    t.equal(again.statusCode, 401, 'the old session is gone')
    const logout = await app.inject({ method: 'POST', url: '/auth/logout', headers })
    t.equal(logout.statusCode, 204)
    t.equal((await app.inject({ url: '/items', headers })).statusCode, 401)
  })
}

t.test('a login of Latchkey leaves the data of the visitor in @fastify/session', async t => {
  const { app, old } = await build(t, 'before')
  const login = await app.inject({
    method: 'POST', url: '/auth/login', headers: old, payload: { username: 'alice', password: PASSWORD }
  })
  const cookie = `${old.cookie}; ${cookieHeader(login)}`
  t.equal((await app.inject({ url: '/items', headers: { cookie } })).statusCode, 200)
  t.equal((await app.inject({ method: 'POST', url: '/exchange', headers: { cookie } })).statusCode, 200)
})

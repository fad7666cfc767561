// An app with sessions of @fastify/secure-session and a strategy of @fastify/passport, and Latchkey beside them.
import { randomBytes } from 'node:crypto'
import { Authenticator } from '@fastify/passport'
import secureSession from '@fastify/secure-session'
import Fastify from 'fastify'
import latchkey, { authenticate } from 'fastify-latchkey'
import { Strategy } from 'passport-local'

declare module 'fastify' {
  interface PassportUser { name: string }
}
declare module 'fastify-latchkey' {
  interface OwnDeclarations { user: true }
}

async function build (isFirst: boolean): Promise<void> {
  const app = Fastify()
  const passport = new Authenticator()
  passport.registerUserSerializer(async (user: { name: string }) => user.name)
  passport.registerUserDeserializer(async (name: string) => ({ name }))
  passport.use('local', new Strategy((name, password, done) => { done(null, password === 'own' ? { name } : false) }))

  if (isFirst) await app.register(latchkey, { database: ':memory:', bcryptCost: 4 })
  await app.register(secureSession, { key: randomBytes(32), cookie: { path: '/' } })
  await app.register(passport.initialize())
  await app.register(passport.secureSession())
  if (!isFirst) await app.register(latchkey, { database: ':memory:', bcryptCost: 4, prefix: '/auth' })
  await app.latchkey.users.add({ username: 'ada', password: 'difference engines hum' })

  app.post('/own/login', { preValidation: passport.authenticate('local') }, async (request) => request.user?.name)
  app.get('/own', async (request, reply) => request.isAuthenticated() ? request.user?.name : await reply.code(401).send())
  app.get('/latchkey', { onRequest: authenticate }, async (request, reply) => {
    const current: unknown = request.user
    // The session of @fastify/passport must not replace the user of the guard.
    return current === await authenticate(request, reply) ? 'same' : await reply.code(500).send()
  })

  const own = await app.inject({ method: 'POST', url: '/own/login', payload: { username: 'bob', password: 'own' } })
  const cookie = String(own.headers['set-cookie']).split(';')[0] ?? ''
  const prefix = isFirst ? '' : '/auth'
  const login = await app.inject({
    method: 'POST', url: `${prefix}/token`, payload: { username: 'ada', password: 'difference engines hum' }
  })
  const authorization = `Bearer ${login.json<{ access_token: string }>().access_token}`
  const status = async (url: string, headers: Record<string, string>): Promise<number> =>
    (await app.inject({ url, headers })).statusCode
  console.log(JSON.stringify({
    own: [own.body, await status('/own', { cookie }), await status('/own', { authorization })],
    latchkey: [await status('/latchkey', { cookie }), await status('/latchkey', { authorization }),
      await status('/latchkey', { authorization, cookie })],
    me: await status(`${prefix}/users/me`, { authorization, cookie })
  }))
  await app.close()
}

await build(true)
await build(false)

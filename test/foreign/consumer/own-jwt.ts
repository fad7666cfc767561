// An app with tokens of its own, typed as the README of @fastify/jwt says, and Latchkey beside them.
import fastifyJwt from '@fastify/jwt'
import Fastify from 'fastify'
import latchkey from 'fastify-latchkey'
import type { AuthenticatedUser } from 'fastify-latchkey'

declare module '@fastify/jwt' {
  interface FastifyJWT {
    payload: { name: string }
    user: { name: string, iat: number }
  }
}

const app = Fastify()
await app.register(fastifyJwt, { secret: 'a secret that only the host knows' })
await app.register(latchkey, { database: ':memory:', bcryptCost: 4, prefix: '/auth' })
await app.latchkey.users.add({ username: 'ada', password: 'difference engines hum' })

app.get('/own', { onRequest: async (request) => await request.jwtVerify() }, async (request) => {
  const name: string = request.user.name // The host's own declaration wins.
  // @ts-expect-error and it alone
  const id: string = request.user.id
  return { name, id }
})
app.get('/latchkey', { onRequest: app.authenticate }, async (request) => {
  const user = request.user as unknown as AuthenticatedUser
  return { id: user.id }
})
app.get('/admin', { preHandler: app.requireScopes('users:read') }, async () => 'admin')

const own = app.jwt.sign({ name: 'ada' })
const login = await app.inject({
  method: 'POST', url: '/auth/token', payload: { username: 'ada', password: 'difference engines hum' }
})
const { access_token: token } = login.json<{ access_token: string }>()
const get = async (url: string, token: string): Promise<number> => (await app.inject({
  url, headers: { authorization: `Bearer ${token}` }
})).statusCode

console.log(JSON.stringify({
  own: await get('/own', own),
  latchkey: [await get('/latchkey', own), await get('/latchkey', token)],
  admin: [await get('/admin', own), await get('/admin', token)]
}))
await app.close()

// An app that decorates itself as the README of @fastify/jwt says and types its own user, with Latchkey beside it.
import Fastify from 'fastify'
import type { FastifyReply, FastifyRequest } from 'fastify'
import latchkey, { authenticate } from 'fastify-latchkey'
import type { Guard } from 'fastify-latchkey'

declare module 'fastify' {
  interface FastifyInstance {
    authenticate: (request: FastifyRequest, reply: FastifyReply) => Promise<void>
    authenticateToken: Guard
  }
  interface FastifyRequest {
    user: { name: string } | null
  }
}
declare module 'fastify-latchkey' {
  interface OwnDeclarations { authenticate: true, authenticateOptional: true, user: true }
}

const app = Fastify()
app.decorateRequest('user', null)
app.decorate('authenticate', async (request: FastifyRequest, reply: FastifyReply) => {
  if (request.headers.authorization !== 'Bearer own') return await reply.code(401).send()
  request.user = { name: 'ada' }
})
await app.register(latchkey, {
  database: ':memory:', bcryptCost: 4, decorators: { authenticate: 'authenticateToken', authenticateOptional: 'maybe' }
})
await app.latchkey.users.add({ username: 'ada', password: 'difference engines hum' })

app.get('/own', { onRequest: app.authenticate }, async (request) => request.user?.name)
app.get('/latchkey', { onRequest: authenticate }, async (request, reply) => {
  const { id } = await authenticate(request, reply)
  return id
})
app.get('/renamed', { onRequest: app.authenticateToken }, async () => 'renamed')
app.get('/scope', { preHandler: app.requireScopes('users:read') }, async () => 'scope')
// @ts-expect-error the app has listed it and does not declare it
const missing: unknown = app.authenticateOptional

const login = await app.inject({
  method: 'POST', url: '/token', payload: { username: 'ada', password: 'difference engines hum' }
})
const { access_token: token } = login.json<{ access_token: string }>()
const get = async (url: string): Promise<number[]> => await Promise.all(['own', token].map(async (text) => (
  await app.inject({ url, headers: { authorization: `Bearer ${text}` } })
).statusCode))
if (missing !== undefined) throw new Error('app.authenticateOptional exists')
console.log(JSON.stringify({ own: await get('/own'), latchkey: await get('/latchkey'), renamed: await get('/renamed') }))
await app.close()

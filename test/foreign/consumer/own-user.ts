// An app that declares its own decorator and user, without the list that spares its libraries an error.
import Fastify from 'fastify'
import type { FastifyReply, FastifyRequest } from 'fastify'
import latchkey, { authenticate } from 'fastify-latchkey'

declare module 'fastify' {
  interface FastifyInstance {
    authenticate: (request: FastifyRequest, reply: FastifyReply) => Promise<void>
  }
  interface FastifyRequest {
    user: { name: string }
  }
}

const app = Fastify()
await app.register(latchkey, { database: ':memory:', decorators: false })
app.get('/own', { onRequest: app.authenticate }, async (request: FastifyRequest) => request.user.name)
app.get('/latchkey', { onRequest: authenticate }, async (request, reply) => (await authenticate(request, reply)).id)

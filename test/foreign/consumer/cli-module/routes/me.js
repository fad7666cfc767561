import { authenticate } from 'fastify-latchkey'

export default async function me (fastify) {
  fastify.get('/me', { onRequest: authenticate }, async request => request.user.id)
  fastify.get('/also-me', { onRequest: fastify.authenticate }, async request => request.user.id)
}

import fp from 'fastify-plugin'
import latchkey from 'fastify-latchkey'

export default fp(async function auth (fastify) {
  await fastify.register(latchkey, { database: ':memory:', bcryptCost: 4, prefix: '/auth' })
})

const fp = require('fastify-plugin')

module.exports = fp(async function auth (fastify) {
  // Fastify takes a module with a default export.
  await fastify.register(require('fastify-latchkey'), { database: ':memory:', bcryptCost: 4, prefix: '/auth' })
})

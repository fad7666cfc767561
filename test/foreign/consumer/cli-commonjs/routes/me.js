const { authenticate } = require('fastify-latchkey')

module.exports = async function me (fastify) {
  fastify.get('/me', { onRequest: authenticate }, async request => request.user.id)
  fastify.get('/also-me', { onRequest: fastify.authenticate }, async request => request.user.id)
}

const { join } = require('node:path')
const autoload = require('@fastify/autoload')

module.exports = async function app (fastify, options) {
  fastify.register(autoload, { dir: join(__dirname, 'plugins'), options })
  fastify.register(autoload, { dir: join(__dirname, 'routes'), options })
}

import fastify = require('fastify')

const app = fastify.fastify()
app.register(import('fastify-latchkey'), { issuer: 'https://auth.example.com' })
// @ts-expect-error the types are found, so a misspelt option is an error
app.register(import('fastify-latchkey'), { issuerr: 'https://auth.example.com' })
app.register(async scope => {
  const { authenticate } = await import('fastify-latchkey')
  scope.get('/me', { onRequest: authenticate }, async request => request.user.id)
})

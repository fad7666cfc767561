import Fastify from 'fastify'
import { createClient } from 'fastify-latchkey/client'
import verifier, { authenticate } from 'fastify-latchkey/verifier/plugin'

async function start () {
  const app = Fastify()
  app.register(verifier, { issuer: 'http://127.0.0.1:9', revocations: 'none' })
  app.get('/me', { onRequest: authenticate }, async request => request.user.id)
  const { statusCode } = await app.inject('/me')
  await app.close()
  const client = createClient({ url: 'http://127.0.0.1:9' })
  return [statusCode, typeof client.logIn]
}

start().then(result => console.log(JSON.stringify(result)))

import fastify = require('fastify')
import latchkey = require('fastify-latchkey')
import client = require('fastify-latchkey/client')
import testing = require('fastify-latchkey/testing')
import verifier = require('fastify-latchkey/verifier')
import verifierPlugin = require('fastify-latchkey/verifier/plugin')

const app = fastify.fastify()
app.register(latchkey.default, { issuer: 'https://auth.example.com' })
// @ts-expect-error the types are found, so a misspelt option is an error
app.register(latchkey.latchkey, { issuerr: 'https://auth.example.com' })
app.get('/me', { onRequest: latchkey.authenticate }, async request => request.user.id)

export = [client.createClient, testing.withTestKit, verifier.createVerifier, verifierPlugin.default]

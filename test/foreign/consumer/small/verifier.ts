// An API that has installed fastify-latchkey-verifier and Fastify, and nothing else: test/foreign/packages.test.ts
// compiles and runs this in an empty folder.
import Fastify from 'fastify'
import { createVerifier, LatchkeyError } from 'fastify-latchkey-verifier'
import type { AuthenticatedUser, Verifier, VerifierOptions } from 'fastify-latchkey-verifier'
import verifierPlugin, { authenticate, requireScopes } from 'fastify-latchkey-verifier/plugin'
import type { Guard, VerifierPluginOptions } from 'fastify-latchkey-verifier/plugin'

const [issuer = '', clientId = '', clientSecret = '', token = ''] = process.argv.slice(2)
const options: VerifierOptions & VerifierPluginOptions = { issuer, clientId, clientSecret }

const verifier: Verifier = createVerifier(options)
await verifier.ready()
const user: AuthenticatedUser = await verifier.verify(token)
let refused: string | undefined
try {
  await verifier.verify(`${token}x`)
} catch (error) {
  if (error instanceof LatchkeyError) refused = error.code
}
verifier.close()

const app = Fastify()
app.register(verifierPlugin, options)
const guard: Guard = requireScopes('items:read')
app.get('/me', { onRequest: authenticate }, async (request) => {
  const id: string = request.user.id
  return { id }
})
app.get('/items', { preHandler: guard }, async () => ['lamp'])
app.get('/write', { preHandler: requireScopes('items:write') }, async () => 'written')
const get = async (url: string, text = token): Promise<number> => (await app.inject({
  url, headers: text === '' ? {} : { authorization: `Bearer ${text}` }
})).statusCode
const statuses = [
  await get('/me'), await get('/items'), await get('/write'), await get('/me', ''), await get('/me', `${token}x`)
]
await fetch(`${issuer}/revoke`, { method: 'POST', body: new URLSearchParams({ token }) })
await new Promise(resolve => setTimeout(resolve, 1_000))
const revoked = await get('/me')
await app.close()

console.log(JSON.stringify({ id: user.id, refused, statuses, revoked }))

import { fastify } from 'fastify'
import latchkey, { authenticate } from 'fastify-latchkey'
import type { LatchkeyOptions } from 'fastify-latchkey'
import { createClient } from 'fastify-latchkey/client'
import { withTestKit } from 'fastify-latchkey/testing'
import { createVerifier } from 'fastify-latchkey/verifier'
import verifier from 'fastify-latchkey/verifier/plugin'

const options: LatchkeyOptions = { issuer: 'https://auth.example.com' }
// @ts-expect-error the types are found, so a misspelt option is an error
const misspelt: LatchkeyOptions = { issuerr: 'https://auth.example.com' }

const app = fastify()
app.register(latchkey, options)
app.get('/me', { onRequest: authenticate }, async request => {
  // @ts-expect-error it is a string
  const id: number = request.user.id
  return id
})
// @ts-expect-error each entry has types
createClient()
// @ts-expect-error each entry has types
withTestKit()
// @ts-expect-error each entry has types
createVerifier()
// @ts-expect-error each entry has types
app.register(verifier, { issuer: 1 })

export { misspelt }

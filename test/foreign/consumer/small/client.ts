// A program that has installed fastify-latchkey-client and nothing else: test/foreign/packages.test.ts compiles and
// runs this in an empty folder, with the URL of a service as its argument.
import { createClient, ResponseError } from 'fastify-latchkey-client'
import type { Client, ClientOptions, components, Tokens, TokenStore } from 'fastify-latchkey-client'

const [url = '', password = ''] = process.argv.slice(2)
let kept: Tokens | undefined
const store: TokenStore = { read: () => kept, write (tokens) { kept = tokens } }
// A client with a key has no session.
const options: Required<Omit<ClientOptions, 'key'>> = {
  url,
  transport: 'bearer',
  origins: [],
  store,
  onSessionEnd: ({ code }) => console.error(code),
  onStepUp: ({ maxAge }) => maxAge === undefined,
  fetch: request => fetch(request),
  now: Date.now
}
const client: Client = createClient(options)
// @ts-expect-error the service has no such route
const noRoute = (): unknown => client.api.GET('/nothing')

let refused: string | undefined
try {
  await client.logIn({ username: 'alice', password: 'wrong' })
} catch (error) {
  if (error instanceof ResponseError) refused = error.code
}
await client.logIn({ username: 'alice', password })
const { data } = await client.api.GET('/users/me')
const username: components['schemas']['User']['username'] | undefined = data?.username
const token: string | undefined = await client.accessToken()
const isKept = token !== undefined && token === kept?.accessToken
await client.logOut()
console.log(JSON.stringify({ refused, username, isKept, after: kept, unused: typeof noRoute }))

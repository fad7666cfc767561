// A service and an app elsewhere that verifies its tokens, both from the packed package.
import Fastify from 'fastify'
import latchkey from 'fastify-latchkey'
import { createVerifier, LatchkeyError } from 'fastify-latchkey/verifier'
import type {
  AuthenticatedUser, Verifier, VerifierLog, VerifierOptions, VerifierStatus
} from 'fastify-latchkey/verifier'
import verifierPlugin, { verifier as byName } from 'fastify-latchkey/verifier/plugin'
import type { Guard, VerifierPluginOptions } from 'fastify-latchkey/verifier/plugin'

const log: VerifierLog = { info () {}, warn () {} }
const every: Required<VerifierOptions> = {
  issuer: 'https://auth.example.com',
  audience: ['https://api.example.com'],
  clientId: 'lkc_1',
  clientSecret: 'secret',
  revocations: 'feed',
  revocationBound: '1s',
  whenStale: 'introspect',
  accepts: ['token', 'key'],
  scopes: { admin: 'Administer everything' },
  userIds: 'text',
  log,
  address: 'http://latchkey:3000',
  otherIssuers: [{ issuer: 'https://old.example.com', revocations: 'none' }],
  fetch,
  now: Date.now,
  stopwatch: () => performance.now()
}
const everyOfPlugin: Required<VerifierPluginOptions> = {
  ...every, scheme: 'Token', cookies: { secure: true }, trustedOrigins: [], decorators: false
}
// @ts-expect-error the issuer is needed
const noIssuer: VerifierOptions = { revocations: 'none' }
// @ts-expect-error neither of the two
const wrong: VerifierOptions = { issuer: 'https://auth.example.com', whenStale: 'accept' }

// A port that is free now: the issuer must be known before the service listens.
const probe = Fastify()
const issuer = await probe.listen({ host: '127.0.0.1', port: 0 })
await probe.close()

const service = Fastify()
await service.register(
  latchkey, { issuer, database: ':memory:', bcryptCost: 4, scopes: { admin: 'Administer everything' } }
)
await service.listen({ host: '127.0.0.1', port: Number(new URL(issuer).port) })
const ada = await service.latchkey.users.add({ username: 'ada', password: 'difference engines hum', scopes: ['admin'] })
const login = await service.inject({
  method: 'POST', url: '/token', payload: { username: 'ada', password: 'difference engines hum' }
})
const { access_token: token } = login.json<{ access_token: string }>()

const verifier: Verifier = createVerifier({ issuer, revocations: 'none', log })
await verifier.ready()
const user: AuthenticatedUser = await verifier.verify(token)
const status: VerifierStatus = verifier.status()
let refused: string | undefined
try {
  await verifier.verify(`${token}x`)
} catch (error) {
  if (error instanceof LatchkeyError) refused = error.code
}
verifier.close()

const app = Fastify()
const options: VerifierPluginOptions = { issuer, revocations: 'none' }
await app.register(verifierPlugin, options)
const guard: Guard = app.requireScopes('admin')
app.get('/admin', { preHandler: guard }, async (request) => {
  const id: string = request.user.id
  // @ts-expect-error frozen, at run time too
  const become = (): void => { request.user.id = 'somebody else' }
  return { id, isFunction: typeof become === 'function' }
})
app.get('/users', { preHandler: app.requireScopes('users:read') }, async () => 'users')
const get = async (url: string, text: string): Promise<number> => (await app.inject({
  url, headers: { authorization: `Bearer ${text}` }
})).statusCode
const statuses = [await get('/admin', token), await get('/users', token), await get('/admin', 'token')]
await app.close()
await service.close()

console.log(JSON.stringify({
  verified: user.id === ada.id && status.accepting && byName === verifierPlugin &&
    everyOfPlugin.issuer === every.issuer,
  refused,
  statuses,
  unused: [noIssuer, wrong].length
}))

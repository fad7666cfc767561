// An app that has installed the packed fastify-latchkey: test/foreign/package.test.ts compiles and runs this in an
// empty folder.
import Fastify from 'fastify'
import latchkey, { authenticate, authenticateOptional, latchkey as byName, requireScopes } from 'fastify-latchkey'
import { createTestClock, testOptions, withTestKit } from 'fastify-latchkey/testing'
import type {
  AccessTokenClaims, AuthenticatedUser, ClaimsHook, Guard, Latchkey, LatchkeyOptions, Login, LoginCredentials, Reissued,
  User, UserDirectory
} from 'fastify-latchkey'

const options: LatchkeyOptions = {
  database: ':memory:',
  bcryptCost: 4,
  scopes: { admin: 'Administer everything' },
  claims: (user: User, scopes: readonly string[]) => ({ tenant: user.username, count: scopes.length })
}
const every: Required<LatchkeyOptions> = {
  issuer: 'https://auth.example.com',
  audience: ['https://api.example.com'],
  database: './auth.db',
  revocationBound: '1s',
  databaseTimeout: '5s',
  acceptLostCommits: false,
  secret: ['new', 'old'],
  algorithm: 'EdDSA',
  scopes: {},
  accessTokenTtl: '15m',
  refreshIdleTtl: '30d',
  sessionTtl: '90d',
  maxSessions: 100,
  refreshGrace: '10s',
  roles: { editor: ['users:read'] },
  bcryptCost: 12,
  passwordMinLength: 15,
  registration: false,
  passwordGrant: true,
  rateLimit: true,
  scheme: 'Token',
  accepts: ['token', 'key'],
  errors: 'app',
  cookies: { secure: true, accessName: 'a', refreshName: 'b' },
  trustedOrigins: [],
  keyRotation: 'never',
  corsOrigins: [],
  securityHeaders: false,
  shedLoad: false,
  metrics: false,
  statusList: false,
  ownRoutes: ['logout'],
  prefix: '/auth',
  docs: false,
  forwardAuth: false,
  users: { authenticate: async () => null, find: async () => null },
  userIds: 'text',
  claims: () => ({}),
  auditRetention: '90d',
  onEvent: () => {},
  decorators: { authenticate: 'a', authenticateOptional: 'b', requireScopes: 'c' },
  now: Date.now
}
const one: LatchkeyOptions = { audience: 'https://api.example.com', secret: 'one', algorithm: 'ES256' }
// @ts-expect-error there is no such option
const misspelt: LatchkeyOptions = { databse: ':memory:' }
// @ts-expect-error not one of the algorithms
const unknownAlgorithm: LatchkeyOptions = { algorithm: 'HS512' }

const app = Fastify()
await app.register(latchkey, options)

app.get('/me', { onRequest: app.authenticate }, async (request) => {
  const id: string = request.user.id
  const scopes: readonly string[] = request.user.scopes
  const { sessionId, tokenId, clientId, claims }: AuthenticatedUser = request.user
  const all: Readonly<AccessTokenClaims> = claims
  const tenant: unknown = claims.tenant
  // @ts-expect-error no such member: personal data is not in a token
  const email = request.user.email
  // @ts-expect-error a string
  const number: number = request.user.id
  // @ts-expect-error frozen, at run time too
  const become = (): void => { request.user.id = 'somebody else' }
  return {
    id,
    scopes,
    sessionId,
    tokenId,
    clientId,
    tenant,
    issuer: all.iss,
    email,
    isNumber: typeof number === 'number',
    isFunction: typeof become === 'function'
  }
})

app.post<{ Body: LoginCredentials }>('/own-login', async (request, reply) => {
  const login: Login = await app.latchkey.logIn(request, request.body, { confirm: user => user.scopes.length > 0 })
  app.latchkey.setCookies(reply, login)
  const { user: { id } }: Login = await app.latchkey.logInAs(request, login.user, { method: 'passkey' })
  const reissued: Reissued = await app.latchkey.reissue(request)
  app.latchkey.setCookies(reply, reissued)
  // @ts-expect-error there is no new refresh token
  const none = reissued.refreshToken
  // @ts-expect-error not a check
  const misspelt = async (): Promise<Login> => await app.latchkey.logIn(request, request.body, { verify: () => true })
  // @ts-expect-error the user, not the request's body
  const wrong = async (): Promise<Login> => await app.latchkey.logInAs(request, request.body)
  return { id, none, isFunction: typeof misspelt === typeof wrong }
})

const guard: Guard = app.requireScopes('admin')
app.get('/optional', { config: { latchkey: 'public' } }, async (request, reply) => {
  const user: AuthenticatedUser | undefined = await authenticateOptional(request, reply)
  // @ts-expect-error there may be no user
  const certain = (): string => user.id
  return { id: user?.id, isFunction: typeof certain === 'function' }
})
app.get(
  '/imported', { onRequest: authenticate, preHandler: [requireScopes('admin')] },
  async (request, reply) => (await authenticate(request, reply)).id
)
// @ts-expect-error only 'public' exempts a route
app.get('/misspelt', { config: { latchkey: 'pubic' } }, async () => '')
app.get('/admin', { preHandler: guard }, async (request) => `Welcome, ${request.user.id}`)
app.get(
  '/both', { onRequest: [app.authenticate], preHandler: [app.requireScopes('admin', 'users:read')] }, async () => 'both'
)
// @ts-expect-error names, not numbers
const wrongScope = (): unknown => app.requireScopes(1)

const services: Latchkey = app.latchkey
const ada = await services.users.add({ username: 'ada', password: 'difference engines hum', scopes: ['admin'] })
const directory: UserDirectory = services.users
const hook: ClaimsHook = async () => ({})

const login = await app.inject({
  method: 'POST', url: '/token', payload: { username: 'ada', password: 'difference engines hum' }
})
const { access_token: token } = login.json<{ access_token: string }>()
const headers = { authorization: `Bearer ${token}` }

const statuses: Record<string, number> = {}
for (const url of ['/me', '/admin', '/both', '/optional', '/imported', '/users/me', '/health/ready']) {
  statuses[url] = (await app.inject({ url, headers })).statusCode
}
const me = (await app.inject({ url: '/me', headers })).json<{ id: string, tenant: string }>()
await app.inject({ method: 'POST', url: '/revoke', payload: { token } })
const revoked = (await app.inject({ url: '/me', headers })).statusCode

const clock = createTestClock()
const tested = withTestKit(Fastify())
await tested.register(latchkey, { ...options, ...testOptions, now: clock })
tested.get('/admin', { preHandler: tested.requireScopes('admin') }, async (request) => `Welcome, ${request.user.id}`)
const adminToken: string = await tested.createTestToken({ scopes: ['admin'] })
await tested.revoke(adminToken)
clock.advance('1m')
const asAnybody = [
  (await tested.injectAs({ scopes: ['admin'] }, '/admin')).statusCode,
  (await tested.injectAs({ scopes: ['users:read'] }, { url: '/admin' })).statusCode,
  (await tested.inject({ url: '/admin', headers: { authorization: `Bearer ${adminToken}` } })).statusCode
]
await tested.close()
await app.close()

console.log(JSON.stringify({
  statuses,
  revoked,
  anonymous: login.statusCode,
  sameId: me.id === ada.id,
  tenant: me.tenant,
  asAnybody,
  byName: byName === latchkey,
  unused: [every, one, misspelt, unknownAlgorithm, wrongScope, directory, hook].length
}))

import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { createVerifier } from '../../verifier/index.js'
import verifierPlugin from '../../verifier/plugin.js'
import { bearer } from '../helper.js'
import { build, createFakeService, CREDENTIALS, outcomeOf, until } from './support.js'

t.setTimeout(60_000)

t.test('several issuers: each token is verified by the keys, the audience and the feed of its own', async t => {
  const [first, second] = [await createFakeService(t), await createFakeService(t)]
  const stranger = await createFakeService(t)
  const { verifier, told } = build(t, {
    issuer: first.issuer, otherIssuers: [{ issuer: second.issuer, ...CREDENTIALS }]
  })
  let isReady = false
  const ready = verifier.ready().then(() => { isReady = true })
  await first.beat()
  await until(async () => await outcomeOf(verifier, first.token()) === 'alice')
  t.equal(isReady, false, 'not before the other')
  t.equal(await outcomeOf(verifier, second.token()), 'revocation_unknown', 'only its own tokens wait for an issuer')
  t.match(verifier.status(), {
    accepting: false,
    fresh: false,
    age: undefined,
    issuers: { [first.issuer]: { accepting: true }, [second.issuer]: { accepting: false } }
  })
  await second.beat()
  await ready
  t.match(verifier.status(), { accepting: true, error: undefined })
  t.equal(told.filter(line => line === 'tokens are accepted').length, 2)
  t.strictSame(verifier.scopes(), ['admin', 'items:read'])
  t.equal((await verifier.verify(second.token())).claims.iss, second.issuer)

  const table: Array<[name: string, token: unknown]> = [
    ['an unknown issuer', stranger.token()],
    ['an unknown issuer with a known key', first.token({ iss: stranger.issuer })],
    ['the key of the other', first.token({ iss: second.issuer, aud: second.issuer }, first.key)],
    ['the key of the other, the other way round', second.token({ iss: first.issuer, aud: first.issuer })],
    ['the audience of the other', first.token({ aud: second.issuer })],
    ['no issuer', first.token({ iss: undefined })],
    ['a list', first.token({ iss: [first.issuer] })],
    ['an issuer with a slash more', first.token({ iss: `${first.issuer}/` })],
    ['a member of every object', first.token({ iss: 'constructor' })],
    ['no token', 'a.b.c'],
    ['null', `e30.${Buffer.from('null').toString('base64url')}.x`],
    ['empty', ''],
    ['too long', `a.${'x'.repeat(9_000)}.b`],
    ['a number', 5],
    ['null', null],
    ['an object', { iss: first.issuer }]
  ]
  for (const [name, token] of table) t.equal(await outcomeOf(verifier, token as string), 'invalid_token', name)
  t.throws(() => verifier.verify(undefined), { code: 'unauthenticated' })

  const expires = Date.now() + 900_000
  first.streams[0]?.rules([{ kind: 'user', value: 'alice', expires_at: expires }])
  await until(async () => await outcomeOf(verifier, first.token()) === 'token_revoked')
  t.equal(await outcomeOf(verifier, second.token()), 'alice', 'a revocation is for the tokens of its issuer')
  verifier.close()
  t.equal(await outcomeOf(verifier, second.token()), 'revocation_unknown')
})

t.test('options of the other issuers: as strict, and named', async t => {
  const issuer = 'https://auth.example.com'
  const other = 'https://old.example.com'
  const table: Array<[otherIssuers: unknown, message: RegExp]> = [
    ['https://old.example.com', /^Latchkey: the option otherIssuers is .*: it must be a list of objects/],
    [[other], /^Latchkey: the option otherIssuers is .*: it must be a list of objects/],
    [[{}], /^Latchkey: in otherIssuers\[0\], the option issuer is missing/],
    [[{ issuer: other }], /^Latchkey: in otherIssuers\[0\], the options clientId and clientSecret are missing/],
    [[{ issuer: other, log: console, ...CREDENTIALS }], /^Latchkey: in otherIssuers\[0\], there is no option log/],
    [[{ issuer: other, otherIssuers: [], ...CREDENTIALS }], /in otherIssuers\[0\], there is no option otherIssuers/],
    [[{ issuer, ...CREDENTIALS }], /^Latchkey: the option otherIssuers has "https:\/\/auth.example.com" twice/],
    [
      [{ issuer: other, ...CREDENTIALS }, { issuer: 'http://a.example', ...CREDENTIALS }],
      /^Latchkey: in otherIssuers\[1\], the option issuer is "http:\/\/a.example"/
    ]
  ]
  for (const [otherIssuers, message] of table) {
    t.throws(
      () => createVerifier({ issuer, ...CREDENTIALS, otherIssuers } as Parameters<typeof createVerifier>[0]),
      { name: 'TypeError', message }
    )
  }
})

t.test('the plugin: guards for tokens of all issuers, and the verifier for tokens that come in another way', async t => {
  const [first, second] = [await createFakeService(t), await createFakeService(t)]
  second.metadata.scopes_supported = ['reports:read']
  const app = fastify() as FastifyInstance
  t.teardown(() => app.close())
  await app.register(verifierPlugin, {
    issuer: first.issuer, revocations: 'none', otherIssuers: [{ issuer: second.issuer, revocations: 'none' }]
  })
  app.get('/', { onRequest: app.authenticate }, async ({ user }) => user.claims.iss)
  app.get('/reports', { preHandler: app.requireScopes('reports:read') }, async () => 'reports')
  for (const service of [first, second]) {
    t.equal((await app.inject({ url: '/', headers: bearer(service.token()) })).body, service.issuer)
    t.match(await app.latchkeyVerifier.verify(service.token()), { id: 'alice', scopes: ['admin'] })
  }
  const token = second.token({ scope: 'reports:read' })
  t.equal((await app.inject({ url: '/reports', headers: bearer(token) })).statusCode, 200)
  t.equal((await app.inject({ url: '/', headers: bearer('a.b.c') })).statusCode, 401)

  const taken = fastify() as FastifyInstance
  Reflect.set(taken, 'latchkeyVerifier', first)
  await t.rejects(
    async () => await taken.register(verifierPlugin, { issuer: first.issuer, revocations: 'none' }),
    /app.latchkeyVerifier is already taken/
  )
})

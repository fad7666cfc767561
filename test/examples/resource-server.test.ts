import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { mock } from 'node:test'
import { SignJWT, generateKeyPair } from 'jose'
import t from 'tap'
import type { Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { AUDIENCE, buildService } from '../../examples/resource-server/demo.js'
import { build } from '../../examples/resource-server/server.js'
import type { LatchkeyOptions } from '../../app.js'
import { testOptions, withTestKit } from '../../testing/index.js'
import type { TestKit } from '../../testing/index.js'
import { bearer } from '../helper.js'
import { claimsOf, databaseFile, headerOf, mint, openSigningKey, SECRET } from '../routes/support.js'

const wait = (milliseconds: number): void => mock.timers.tick(milliseconds)
const MINUTE = 60_000

interface Bed {
  issuer: string
  client: { id: string, secret: string }
  service: FastifyInstance & TestKit
  api: string
  /** How often the service was asked for a path. */
  count (path: string): number
}

async function listen (t: Test, options: LatchkeyOptions = {}): Promise<Bed> {
  // One clock for both servers and for jose, which takes none: that of the process.
  mock.timers.enable({ apis: ['Date'], now: Date.now() })
  t.teardown(() => mock.timers.reset())
  // The issuer must be known before the service listens.
  const probe = createServer()
  await new Promise<void>(resolve => probe.listen(0, '127.0.0.1', resolve))
  const { port } = probe.address() as AddressInfo
  await new Promise(resolve => probe.close(resolve))
  const issuer = `http://127.0.0.1:${port}`
  const { service, client } = await buildService({ ...testOptions, issuer, ...options })
  t.teardown(() => service.close())
  const asked: string[] = []
  service.server.on('request', request => asked.push(request.url ?? ''))
  await service.listen({ host: '127.0.0.1', port })

  const server = await build({ issuer, audience: AUDIENCE, client })
  t.teardown(() => server.close())
  const api = await server.listen({ host: '127.0.0.1', port: 0 })
  return { issuer, client, service: withTestKit(service), api, count: path => asked.filter(url => url === path).length }
}

interface Answer { status: number, challenge: string | null, body: unknown }

async function call (api: string, token?: string, method = 'GET'): Promise<Answer> {
  const response = await fetch(`${api}/items`, { method, headers: token === undefined ? {} : bearer(token) })
  const text = await response.text()
  return {
    status: response.status,
    challenge: response.headers.get('www-authenticate'),
    body: text === '' ? undefined : JSON.parse(text)
  }
}

t.test('a good token passes, by the published keys alone; every other one gets its challenge', async t => {
  const database = databaseFile(t)
  const { service, api, count } = await listen(t, { database, secret: SECRET })
  const alice = await service.latchkey.users.findByName('alice')
  const token = await service.createTestToken('alice')
  t.match(await call(api, token), { status: 200, body: { owner: alice?.id, items: ['lamp'] } })
  for (let i = 0; i < 5; i++) await call(api, token)
  t.equal(count('/.well-known/jwks.json'), 1, 'the keys are read once')
  t.equal(count('/introspect'), 0)

  t.match(await call(api), { status: 401, challenge: 'Bearer' }, 'no token: RFC 6750 section 3.1')
  const basic = await fetch(`${api}/items`, { headers: { authorization: 'Basic YTpi' } })
  t.equal(basic.headers.get('www-authenticate'), 'Bearer')
  t.match(
    await call(api, await service.createTestToken({ scopes: ['items:write'] })),
    { status: 403, challenge: 'Bearer error="insufficient_scope", scope="items:read"' }
  )
  t.match(await call(api, await service.createTestToken({ scopes: [] })), { status: 403 }, 'no scope at all')

  const claims = claimsOf(token)
  const header = headerOf(token)
  const [first, payload, signature] = token.split('.')
  // Signed by the very key, which no attacker has: what else is checked.
  const { key, publicPem } = openSigningKey(database)
  const sign = (changes: object, kind: object = {}): string => mint(
    'ES256', key, { ...header, ...kind }, { ...claims, ...changes }
  )
  t.match(await call(api, sign({})), { status: 200 }, 'as the service signs')
  const { privateKey } = await generateKeyPair('ES256')
  const table: Array<[what: string, token: string]> = [
    ['no JWT', 'secret'],
    ['no signature', `${first}.${payload}.`],
    [
      'another subject',
      `${first}.${Buffer.from(JSON.stringify({ ...claims, sub: 'mallory' })).toString('base64url')}.${signature}`
    ],
    ['another key', await new SignJWT(claims).setProtectedHeader({ ...header, alg: 'ES256' }).sign(privateKey)],
    ['the public key as a secret', mint('HS256', Buffer.from(publicPem), { ...header, alg: 'HS256' }, claims)],
    ['alg none', `${Buffer.from(JSON.stringify({ ...header, alg: 'none' })).toString('base64url')}.${payload}.`],
    ['another audience', sign({ aud: 'https://other.example.com' })],
    ['another issuer', sign({ iss: 'https://other.example.com' })],
    ['another kind of JWT', sign({}, { typ: 'JWT' })],
    ['no kind', sign({}, { typ: undefined })],
    ['not yet', sign({ nbf: Number(claims.exp) })],
    ...['sub', 'exp', 'iat', 'jti', 'client_id', 'scope'].map(
      (claim): [string, string] => [`no ${claim}`, sign({ [claim]: undefined })]
    )
  ]
  for (const [what, bad] of table) {
    t.match(
      await call(api, bad),
      { status: 401, challenge: 'Bearer error="invalid_token", error_description="The access token is invalid."' }, what
    )
  }
  t.match(await call(api, sign({ scope: ['items:read'] })), { status: 403 }, 'a scope that is no text')

  wait(15 * MINUTE - 1_000)
  t.match(await call(api, token), { status: 200 })
  wait(7_000) // Five seconds are for clocks that stand apart.
  t.match(
    await call(api, token),
    { status: 401, challenge: 'Bearer error="invalid_token", error_description="The access token expired."' }
  )
})

t.test('what is revoked goes on until it expires where nobody asks, and ends at once where somebody does', async t => {
  const { service, api, count } = await listen(t)
  const token = await service.createTestToken('alice')
  t.match(await call(api, token, 'DELETE'), { status: 204 })
  await service.revoke(token)
  t.match(await call(api, token), { status: 200 }, 'by the keys')
  t.match(
    await call(api, token, 'DELETE'),
    { status: 401, challenge: 'Bearer error="invalid_token", error_description="The access token was revoked."' },
    'by asking'
  )
  wait(16 * MINUTE)
  t.match(await call(api, token), { status: 401 }, 'expired')

  const asked = count('/introspect')
  for (const bad of [
    undefined, 'secret', token, await service.createTestToken({ scopes: ['items:read'] })
  ]) await call(api, bad, 'DELETE')
  t.equal(count('/introspect'), asked, 'nobody asks for what does not pass by itself')
})

t.test('a new key is asked for when its first token comes, and strangers cannot make us ask all day', async t => {
  const { service, api, count } = await listen(t)
  const old = await service.createTestToken('alice')
  t.match(await call(api, old), { status: 200 })
  wait(MINUTE)
  await service.latchkey.keys.rotate({ immediately: true })
  const token = await service.createTestToken('alice')
  t.match(await call(api, token), { status: 200 })
  t.match(await call(api, old), { status: 200 }, 'and the old one is still published')
  t.equal(count('/.well-known/jwks.json'), 2)

  const { privateKey } = await generateKeyPair('ES256')
  for (const kid of ['a', 'b', 'c']) {
    const stranger = await new SignJWT({}).setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid }).sign(privateKey)
    t.match(await call(api, stranger), { status: 401 })
  }
  t.equal(count('/.well-known/jwks.json'), 2, 'within half a minute of the last time')
})

t.test('while the service is down, tokens pass by the keys that were read, and nothing passes that would have to be asked', async t => {
  const { issuer, client, service, api } = await listen(t)
  const token = await service.createTestToken('alice')
  t.match(await call(api, token), { status: 200 })
  await service.close()
  t.match(await call(api, token), { status: 200 })
  t.match(
    await call(api, token, 'DELETE'),
    { status: 503, challenge: null, body: { message: /^The status of the token is currently unknown/ } }
  )
  wait(6 * MINUTE)
  t.match(
    await call(api, token), { status: 503, challenge: null },
    'nor without keys: 401 would have the client throw a good token away'
  )
  await t.rejects(build({ issuer, audience: AUDIENCE, client }), 'and another one does not start')
})

t.test('credentials that the service does not take refuse, and metadata of another issuer are none', async t => {
  const { issuer, client, service } = await listen(t)
  const server = await build({ issuer, audience: AUDIENCE, client: { ...client, secret: 'wrong' } })
  t.teardown(() => server.close())
  const response = await server.inject({
    method: 'DELETE', url: '/items', headers: bearer(await service.createTestToken('alice'))
  })
  t.equal(response.statusCode, 503)
  t.notMatch(response.body, /client|wrong/)
  await t.rejects(
    build({ issuer: issuer.replace('127.0.0.1', 'localhost'), audience: AUDIENCE, client }),
    /is not the metadata of the issuer/
  )
})

import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import { allowInsecureRequests, discoveryRequest, processDiscoveryResponse } from 'oauth4webapi'
import t from 'tap'
import latchkey from '../../app.js'
import { createServerMetadata, metadataPath } from '../../lib/http/server-metadata.js'
import { TEST_OPTIONS } from '../helper.js'
import { createHost } from './support.js'

async function freePort (): Promise<number> {
  const probe = createServer()
  await new Promise<void>(resolve => { probe.listen(0, '127.0.0.1', resolve) })
  const { port } = probe.address() as AddressInfo
  await new Promise(resolve => { probe.close(resolve) })
  return port
}

for (const [prefix, path, base] of [
  ['', '', ''], ['', '/', ''], ['/auth', '', '/auth'], ['/auth', '/auth', '/auth'], ['/auth', '/auth/', '/auth'],
  ['', '/v1', '/v1'], ['/auth', '/v1', '/v1/auth'], ['/auth', '/v1/auth', '/v1/auth']
] as const) {
  t.test(`RFC 8414 3: oauth4webapi discovers the issuer with the path '${path}' of an app with the prefix '${prefix}'`, async t => {
    const port = await freePort()
    const origin = `http://127.0.0.1:${port}`
    const issuer = origin + path
    const app = createHost(t)
    await app.register(latchkey, { ...TEST_OPTIONS, issuer, prefix, docs: true })
    await app.listen({ host: '127.0.0.1', port })

    const url = new URL(issuer)
    const response = await discoveryRequest(url, { algorithm: 'oauth2', [allowInsecureRequests]: true })
    t.match(response.headers.get('content-type'), /^application\/json/)
    t.match(response.headers.get('cache-control'), /^public, max-age=\d+$/)
    const text = await response.clone().text()
    // oauth4webapi compares with the URL as it writes it itself, which has a slash where there is no path.
    const server = path === '' ? JSON.parse(text) : await processDiscoveryResponse(url, response)
    t.equal(server.issuer, issuer, '3.3: the issuer to the letter')
    t.equal(server.token_endpoint, `${origin}${base}/token`)
    t.equal(server.service_documentation, `${origin}${base}/docs`)
    t.same(server.response_types_supported, [], '2: required even here')
    t.same(server.grant_types_supported, ['client_credentials', 'refresh_token'], 'RFC 9700 2.4: never password')

    const own = await app.inject(`${prefix}/.well-known/oauth-authorization-server`)
    t.equal(own.statusCode, 200, 'and under the prefix')
    t.same(own.json(), JSON.parse(text))
    if (prefix === base) t.equal((await fetch(server.jwks_uri)).status, 200, 'the keys are where it says')
  })
}

t.test('with two siblings of one issuer the first is at the root, both are under their prefix', async t => {
  const app = createHost(t)
  for (const prefix of ['/a', '/b']) {
    await app.register(
      async scope => { await scope.register(latchkey, { ...TEST_OPTIONS, prefix }) }
    )
  }
  const tokenEndpoint = async (url: string): Promise<string> => (await app.inject(url)).json().token_endpoint
  t.equal(await tokenEndpoint('/.well-known/oauth-authorization-server'), 'http://127.0.0.1:3000/a/token')
  t.equal(await tokenEndpoint('/b/.well-known/oauth-authorization-server'), 'http://127.0.0.1:3000/b/token')
})

t.test('a sibling without a prefix boots after one with a prefix, whose metadata are at the root already', async t => {
  const app = createHost(t)
  for (const prefix of ['/a', '']) {
    await app.register(
      async scope => { await scope.register(latchkey, { ...TEST_OPTIONS, prefix }) }
    )
  }
  t.equal(
    (await app.inject('/.well-known/oauth-authorization-server')).json().token_endpoint, 'http://127.0.0.1:3000/a/token'
  )
  t.equal((await app.inject('/.well-known/jwks.json')).statusCode, 200)
})

t.test('a route of the host stays, a scope with a prefix gets none, and a path that the router would read gets none', async t => {
  const taken = createHost(t)
  taken.get('/.well-known/oauth-authorization-server', async () => 'mine')
  await taken.register(latchkey, { ...TEST_OPTIONS, prefix: '/auth' })
  t.equal((await taken.inject('/.well-known/oauth-authorization-server')).body, 'mine')

  const scoped = createHost(t)
  await scoped.register(
    async (scope: FastifyInstance) => { await scope.register(latchkey, { ...TEST_OPTIONS, prefix: '/auth' }) },
    { prefix: '/v1' }
  )
  t.equal((await scoped.inject('/.well-known/oauth-authorization-server')).statusCode, 404)
  t.equal(
    (await scoped.inject('/v1/auth/.well-known/oauth-authorization-server')).json().token_endpoint,
    'http://127.0.0.1:3000/v1/auth/token'
  )

  for (const path of ['/:tenant', '/*', '/a%20b']) {
    const app = fastify()
    t.teardown(() => app.close())
    await app.register(latchkey, { ...TEST_OPTIONS, issuer: `https://a.example${path}` })
    t.equal((await app.inject('/.well-known/oauth-authorization-server/x')).statusCode, 404, path)
  }
})

t.test('no serializer of the host changes what stands at its root', async t => {
  const app = createHost(t)
  app.setReplySerializer(() => '"changed"')
  await app.register(latchkey, { ...TEST_OPTIONS, prefix: '/auth' })
  t.equal((await app.inject('/.well-known/oauth-authorization-server')).json().issuer, 'http://127.0.0.1:3000')
})

t.test('the rules: where it is, and what it is the base of', async t => {
  const paths: Record<string, string> = {
    'https://a': '', 'https://a/': '', 'https://a:1/b': '/b', 'https://a/b/': '/b', 'https://a/b/c': '/b/c'
  }
  for (const [issuer, path] of Object.entries(paths)) {
    t.equal(
      metadataPath(issuer), `/.well-known/oauth-authorization-server${path}`, issuer
    )
  }
  const endpoint = (issuer: string, prefix: string): string => createServerMetadata({
    issuer, prefix, catalogue: {}, docs: false
  }).token_endpoint
  t.equal(
    endpoint('https://a/my-auth', '/auth'), 'https://a/my-auth/auth/token', 'an ending is a whole part of the path'
  )
  t.notOk(
    'service_documentation' in createServerMetadata({ issuer: 'https://a', prefix: '', catalogue: {}, docs: false })
  )
})

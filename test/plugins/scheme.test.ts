import t from 'tap'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import latchkey, { authenticate, authenticateOptional } from '../../app.js'
import verifier, {
  authenticate as authenticateRemote, authenticateOptional as remoteOptional
} from '../../verifier/plugin.js'
import { addUsers, build, logIn, logInWithCookies, PASSWORD, postForm, TEST_OPTIONS } from '../helper.js'
import { createHost } from '../routes/support.js'
import { createFakeService } from '../verifier/support.js'

interface Case { app: FastifyInstance, token: string }

async function buildPlugin (t: Test): Promise<Case> {
  const app = createHost(t)
  await app.register(latchkey, { ...TEST_OPTIONS, scheme: 'Token' })
  app.get('/me', { onRequest: authenticate }, async request => request.user.id)
  app.get('/admin', { preHandler: app.requireScopes('items:write') }, async () => 'admin')
  app.get('/optional', { onRequest: authenticateOptional }, async request => request.user?.id ?? 'nobody')
  await app.ready()
  await addUsers(app)
  return { app, token: (await logIn(app)).access_token }
}

async function buildVerifier (t: Test): Promise<Case> {
  const service = await createFakeService(t)
  const app = createHost(t)
  await app.register(verifier, {
    issuer: service.issuer, revocations: 'none', scheme: 'Token', scopes: { 'items:write': 'Change items' }
  })
  app.get('/me', { onRequest: authenticateRemote }, async request => request.user.id)
  app.get('/admin', { preHandler: app.requireScopes('items:write') }, async () => 'admin')
  app.get('/optional', { onRequest: remoteOptional }, async request => request.user?.id ?? 'nobody')
  await app.ready()
  return { app, token: service.token() }
}

for (const [name, make] of Object.entries({ plugin: buildPlugin, verifier: buildVerifier })) {
  t.test(`scheme, ${name}: the own scheme and Bearer are accepted in any case, and no other`, async t => {
    const { app, token } = await make(t)
    const get = async (url: string, authorization?: string): Promise<[number, unknown]> => {
      const response = await app.inject({ url, headers: authorization === undefined ? {} : { authorization } })
      return [response.statusCode, response.headers['www-authenticate']]
    }
    for (const scheme of ['Token', 'token', 'TOKEN', 'Bearer', 'bearer']) {
      t.same(await get('/me', `${scheme} ${token}`), [200, undefined], scheme)
    }
    for (const header of [
      `JWT ${token}`, `Tok ${token}`, `Token${token}`, `Token,Bearer ${token}`, `Basic ${token}`, token
    ]) {
      t.same(await get('/me', header), [401, 'Token'], header.slice(0, 12))
    }
    t.same(await get('/me'), [401, 'Token'], 'no token')
    t.match(await get('/me', 'Token x'), [401, /^Token error="invalid_token", /])
    t.match(await get('/me', 'Bearer x'), [401, /^Token error="invalid_token", /])
    t.match(await get('/admin', `Token ${token}`), [403, /^Token error="insufficient_scope", .*scope="items:write"$/])
    t.same(await get('/optional', `JWT ${token}`), [200, undefined], 'a foreign scheme is no token')
    t.equal((await app.inject({ url: '/optional', headers: { authorization: `JWT ${token}` } })).body, 'nobody')
    t.equal((await get('/optional', 'Token x'))[0], 401, 'a bad token is an error, not an anonymous request')
  })
}

t.test('scheme: our own routes, the cookie rules and the document follow', async t => {
  const { app } = await build(t, { scheme: 'Token', docs: true })
  const { access_token: token } = await logIn(app)
  t.equal((await app.inject({ url: '/users/me', headers: { authorization: `Token ${token}` } })).statusCode, 200)
  const anonymous = await app.inject('/users/me')
  t.same([anonymous.statusCode, anonymous.headers['www-authenticate']], [401, 'Token'])
  const wrong = await app.inject({ method: 'POST', url: '/login', payload: { username: 'alice', password: 'wrong' } })
  t.same([wrong.statusCode, wrong.headers['www-authenticate']], [401, 'Token'])
  const right = await app.inject({ method: 'POST', url: '/login', payload: { username: 'alice', password: PASSWORD } })
  t.equal(right.statusCode, 200)

  const { cookie } = await logInWithCookies(app)
  const statusWith = async (headers: Record<string, string>): Promise<number> =>
    (await app.inject({ method: 'POST', url: '/protected-route', headers })).statusCode
  t.equal(await statusWith({ cookie }), 200)
  t.equal(await statusWith({ cookie, 'sec-fetch-site': 'cross-site' }), 403)
  for (const scheme of ['Token', 'Bearer']) {
    const headers = { cookie, authorization: `${scheme} ${token}` }
    t.equal(await statusWith(headers), 200, 'two tokens that differ')
    t.equal(await statusWith({ ...headers, 'sec-fetch-site': 'cross-site' }), 200, 'the header is used')
    t.equal(await statusWith({ cookie, authorization: `${scheme} x` }), 401, 'it does not fall back to the cookie')
  }
  t.equal(await statusWith({ cookie, authorization: 'JWT x' }), 200, 'a foreign scheme does not count')
  t.equal(await statusWith({ cookie, authorization: 'JWT x', 'sec-fetch-site': 'cross-site' }), 403)
  t.equal(await statusWith({ authorization: `Token ${token}`, 'sec-fetch-site': 'cross-site' }), 200)

  await app.latchkey.users.setScopes((await app.latchkey.users.findByName('alice'))?.id ?? '', ['tokens:introspect'])
  const holder = (await logIn(app)).access_token
  const inspected = await postForm(app, '/introspect', { token: holder }, { authorization: `Token ${holder}` })
  t.match(inspected.json(), { active: true, token_type: 'bearer' })
  const { components } = (await app.inject('/openapi.json')).json<{
    components: { securitySchemes: { bearer: object } }
  }>()
  t.match(components.securitySchemes.bearer, { type: 'http', scheme: 'Token' })
})

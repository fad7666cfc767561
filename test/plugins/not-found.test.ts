import t from 'tap'
import { build, PASSWORD } from '../helper.js'
import { assertDiscreet, assertProblem, buildHost } from '../routes/support.js'

t.test('an unknown path under the prefix is a problem document with 404', async t => {
  const { app } = await build(t, { prefix: '/auth' })
  for (const url of [
    '/auth', '/auth/', '/auth/nothing', '/auth/token/', '/auth/token/x', '/auth/TOKEN', '/auth//token', '/auth/user',
    '/auth/users/me/', '/auth/sessions/a/b', '/auth/openapi.json', '/auth/docs', '/auth/register', '/auth/.well-known/',
    '/auth/.env', '/auth/../token', '/auth/%2e%2e/token', '/auth/%00', '/auth/nothing?x=1', `/auth/${'x'.repeat(5_000)}`
  ]) {
    for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'] as const) {
      const response = await app.inject({ method, url })
      if (url === '/auth/../token' || url === '/auth/%2e%2e/token') {
        t.equal(
          response.statusCode, 404, `${method} ${url}`
        )
      } else assertProblem(t, response, 404, 'not_found', `${method} ${url.slice(0, 30)}`)
    }
  }
})

t.test('a known path asked with another method is 405 with the methods that are allowed', async t => {
  const { app } = await build(t, { prefix: '/auth', registration: true, statusList: true })
  const table: Record<string, string[]> = {
    '/auth/token': ['POST'],
    '/auth/login': ['POST'],
    '/auth/refresh': ['POST'],
    '/auth/revoke': ['POST'],
    '/auth/logout': ['POST'],
    '/auth/register': ['POST'],
    // Two of them are of /users/:id, where `me` is nobody's id: 404 for who may ask.
    '/auth/users/me': ['DELETE', 'GET', 'HEAD', 'PATCH'],
    '/auth/users/me/password': ['PUT'],
    '/auth/sessions': ['GET', 'HEAD'],
    '/auth/sessions/01890a5d-ac96-774b-bcce-b302099a8057': ['DELETE'],
    '/auth/status-lists/01890a5d-ac96-774b-bcce-b302099a8057': ['GET', 'HEAD', 'OPTIONS'],
    '/auth/health/live': ['GET', 'HEAD'],
    '/auth/health/ready': ['GET', 'HEAD'],
    '/auth/.well-known/jwks.json': ['GET', 'HEAD', 'OPTIONS'],
    '/auth/.well-known/oauth-authorization-server': ['GET', 'HEAD', 'OPTIONS']
  }
  for (const [url, allowed] of Object.entries(table)) {
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const) {
      if (allowed.includes(method)) continue
      for (const path of [url, `${url}?x=1`]) {
        const response = await app.inject({ method, url: path })
        assertProblem(t, response, 405, 'method_not_allowed', `${method} ${path}`)
        t.strictSame(String(response.headers.allow).split(', ').sort(), allowed, `${method} ${path}`)
      }
    }
  }
})

t.test('a body does not change that: it is not read for a route that is not there', async t => {
  const { app } = await build(t, { prefix: '/auth' })
  const bodies = [
    { headers: { 'content-type': 'text/plain' }, payload: 'x' },
    { headers: { 'content-type': 'application/json' }, payload: '{"broken' },
    { headers: { 'content-type': 'application/json' }, payload: '{"__proto__":1}' },
    { headers: { 'content-type': 'application/json' }, payload: 'x'.repeat(1024 * 1024) },
    { payload: 'x' }
  ]
  for (const body of bodies) {
    const name = JSON.stringify(body).slice(0, 70)
    assertProblem(t, await app.inject({ method: 'POST', url: '/auth/nothing', ...body }), 404, 'not_found', name)
    const response = await app.inject({ method: 'PUT', url: '/auth/login', ...body })
    assertProblem(t, response, 405, 'method_not_allowed', name)
    t.equal(response.headers.allow, 'POST')
  }
})

t.test("with no prefix unknown paths are the host's", async t => {
  for (const prefix of ['', '/auth']) {
    const { app } = await buildHost(
      t, { prefix }, app => { app.setNotFoundHandler((_request, reply) => { reply.code(404).send('mine') }) }
    )
    for (const url of ['/nothing', '/authentic', '/auth.', '/']) {
      t.equal(
        (await app.inject({ url })).body, 'mine', `${prefix} ${url}`
      )
    }
    if (prefix === '') t.equal((await app.inject({ url: '/auth/nothing' })).body, 'mine')
    else assertProblem(t, await app.inject({ url: '/auth/nothing' }), 404, 'not_found')
  }
})

t.test('two instances in one host answer for their own prefix only', async t => {
  const { app } = await build(t, { prefix: '/auth' })
  t.equal(
    (await app.inject({
      method: 'POST', url: '/login', payload: { username: 'alice', password: PASSWORD }
    })).statusCode,
    404
  )
  const response = await app.inject({ url: '/login' })
  t.notMatch(response.headers['content-type'], /problem/)
  assertDiscreet(t, response)
})

import type { FastifyInstance, InjectOptions } from 'fastify'
import t from 'tap'
import { bearer, logIn, logInWithCookies, PASSWORD } from '../helper.js'
import { buildService } from './support.js'

/** The headers that a client acts on. */
const WATCHED = ['set-cookie', 'etag', 'www-authenticate', 'retry-after']

interface Operation {
  requestBody?: unknown
  responses: Record<string, { headers?: Record<string, unknown> }>
}
type Paths = Record<string, Record<string, Operation>>

/** Sends requests, and keeps what differs from the document. */
function createObserver (app: FastifyInstance, paths: Paths) {
  const seen = new Set<string>()
  const undeclared = new Set<string>()

  async function send (path: string, method: string, request: InjectOptions = {}): Promise<number> {
    const { statusCode, headers } = await app.inject({
      method: method.toUpperCase() as 'GET', url: path.replace('{id}', 'none'), ...request
    })
    const response = paths[path]?.[method]?.responses[String(statusCode)]
    const declared = Object.keys(response?.headers ?? {}).map(name => name.toLowerCase())
    const name = `${method} ${path} ${statusCode}`
    if (response === undefined) undeclared.add(name)
    for (const header of WATCHED.filter(header => header in headers)) {
      seen.add(`${name} ${header}`)
      if (!declared.includes(header)) undeclared.add(`${name} ${header}`)
    }
    return statusCode
  }

  return { seen, undeclared, send }
}

/** More headers than the service reads. */
const MANY = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`x-${index}`, '']))

t.test('what an operation sends is declared: its status, its challenges, its cookies and its tags', async t => {
  const app = await buildService(t, { docs: true, registration: true, statusList: true, rateLimit: true })
  await app.latchkey.users.add({
    username: 'root', password: PASSWORD, scopes: ['users:read', 'users:write', 'clients:write', 'tokens:introspect']
  })
  const { paths } = (await app.inject('/openapi.json')).json() as { paths: Paths }
  const { seen, undeclared, send } = createObserver(app, paths)
  const operations = Object.entries(paths).flatMap(
    ([path, methods]) => Object.keys(methods).map(method => [path, method] as const)
  )
  t.ok(operations.length > 20)

  const token = await logIn(app, 'alice')
  const shapes: InjectOptions[] = [
    {}, { headers: bearer('x') }, { headers: bearer(token.access_token) },
    { headers: bearer((await logIn(app, 'root')).access_token) }, { headers: { authorization: 'Basic eDp5' } },
    { headers: { ...await logInWithCookies(app), 'sec-fetch-site': 'cross-site' } }, { headers: MANY }
  ]
  const bodies: InjectOptions[] = [
    { payload: {} }, { payload: '{', headers: { 'content-type': 'application/json' } },
    { payload: 'x', headers: { 'content-type': 'text/plain' } }, { payload: { a: 'x'.repeat(20_000) } },
    { payload: { username: 'alice', password: 'wrong', token: 'x', refresh_token: 'x' } }
  ]
  const login = await logInWithCookies(app)
  for (const [index, [path, method]] of operations.entries()) {
    const statuses = new Set<number>()
    // Each operation has an address of its own, so that the rate limit hides no other response.
    const remoteAddress = `192.0.2.${index}`
    for (const { headers } of shapes) {
      statuses.add(await send(path, method, { remoteAddress, headers }))
      for (const body of paths[path]?.[method]?.requestBody === undefined ? [] : bodies) {
        await send(path, method, { ...body, remoteAddress, headers: { ...headers, ...body.headers } })
      }
    }
    t.ok(statuses.has(431), `${method} ${path}: 431`)
  }

  const address = { remoteAddress: '198.51.100.7' }
  const payload = { username: 'alice', password: PASSWORD }
  await send('/login', 'post', { ...address, payload })
  await send('/refresh', 'post', { headers: login })
  await send('/refresh', 'post', { payload: { refresh_token: token.refresh_token } })
  await send('/logout', 'post', { headers: login })
  for (let attempt = 0; attempt < 105; attempt++) await send('/token', 'post', { ...address, payload: {} })
  for (let attempt = 0; attempt < 105; attempt++) await send('/login', 'post', { ...address, payload: {} })

  t.strictSame([...undeclared], [])
  for (const expected of [
    'post /login 200 set-cookie', 'post /refresh 200 set-cookie', 'post /logout 204 set-cookie',
    'post /login 429 retry-after', 'get /users/me 401 www-authenticate', 'get /users 403 www-authenticate',
    'post /token 401 www-authenticate'
  ]) t.ok(seen.has(expected), expected)
})

t.test('the tag of each operation that has one is declared, and a client can ask with it', async t => {
  const app = await buildService(t, { docs: true, statusList: true })
  await app.latchkey.users.add({ username: 'root', password: PASSWORD, scopes: ['revocations:read'] })
  const { paths } = (await app.inject('/openapi.json')).json() as { paths: Paths }
  const { seen, undeclared, send } = createObserver(app, paths)
  const { access_token: token } = await logIn(app, 'root')
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
  for (const [path, url] of [
    ['/revocations', '/revocations'], ['/status-lists/{id}', new URL(claims.status.status_list.uri).pathname]
  ] as const) {
    const headers = bearer(token)
    const { headers: { etag } } = await app.inject({ url, headers })
    t.equal(await send(path, 'get', { url, headers }), 200)
    t.equal(await send(path, 'get', { url, headers: { ...headers, 'if-none-match': String(etag) } }), 304)
  }
  t.strictSame([...undeclared], [])
  const declaring = Object.entries(paths).flatMap(([path, { get }]) =>
    Object.entries(get?.responses ?? {}).filter(([, { headers }]) => headers !== undefined && 'ETag' in headers)
      .map(([status]) => `get ${path} ${status} etag`)
  )
  t.strictSame([...seen].sort(), declaring.sort(), 'and no other operation declares one')
})

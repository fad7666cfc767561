import { once } from 'node:events'
import { request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import t from 'tap'
import { build, PASSWORD, postForm, TEST_OPTIONS } from '../helper.js'

t.test('the document and its page are off in a host app', async t => {
  const { app } = await build(t)
  for (const url of [
    '/openapi.json', '/docs', '/docs/', '/docs/json', '/docs/static/index.html'
  ]) t.equal((await app.inject({ url })).statusCode, 404, url)
})

t.test('the document is OpenAPI 3.1, of our routes only, and says what each asks for', async t => {
  for (const prefix of ['', '/auth']) {
    const { app } = await build(t, { ...TEST_OPTIONS, docs: true, registration: true, statusList: true, prefix })
    const response = await app.inject({ url: `${prefix}/openapi.json` })
    t.equal(response.statusCode, 200)
    t.match(response.headers['content-type'], /^application\/json/)
    const document = response.json()
    t.match(document.openapi, /^3\.1\./)
    const paths = Object.keys(document.paths).sort()
    t.strictSame(
      paths,
      [
        '/.well-known/jwks.json', '/.well-known/oauth-authorization-server', '/audit', '/clients', '/clients/{id}',
        '/clients/{id}/secret', '/health/live', '/health/ready', '/introspect', '/keys', '/keys/{id}', '/login',
        '/logout', '/refresh',
        '/register', '/revocations', '/revoke', '/sessions', '/sessions/{id}', '/status-lists/{id}', '/token', '/users',
        '/users/me', '/users/me/password', '/users/{id}', '/users/{id}/keys',
        '/users/{id}/keys/{key_id}', '/users/{id}/sessions'
      ].map(path => prefix + path).sort()
    )
    t.equal(document.components.securitySchemes.oauth2.flows.password.tokenUrl, `${prefix}/token`)
    t.ok('items:read' in document.components.securitySchemes.oauth2.flows.password.scopes)
    t.strictSame(document.paths[`${prefix}/users/me`].get.security, [
      { oauth2: [] }, { bearer: [] }, { cookie: [] }, { key: [] }
    ])
    t.strictSame(document.paths[`${prefix}/keys`].get.security, [{ oauth2: [] }, { bearer: [] }, { cookie: [] }])
    t.strictSame(
      document.paths[`${prefix}/users`].get.security,
      [{ oauth2: ['users:read'] }, { bearer: [] }, { cookie: [] }, { key: [] }]
    )
    t.strictSame(document.paths[`${prefix}/token`].post.security, [{ client: [] }, {}])
    t.notOk(document.paths[`${prefix}/login`].post.security)
    t.strictSame(document.security, [])
    const ids = Object.values(
      document.paths as Record<string, Record<string, { operationId?: string, responses: Record<string, unknown> }>>
    ).flatMap(path => Object.values(path))
    t.equal(
      new Set(ids.map(({ operationId }) => operationId)).size, ids.length, 'every operation has a name of its own'
    )
    for (const { operationId, responses } of ids) {
      t.ok(
        Object.keys(responses).some(status => status.startsWith('2')) && '500' in responses,
      `${operationId} lists its answers`
      )
    }
  }
})

t.test('without the password grant the document does not offer it', async t => {
  const { app } = await build(t, { docs: true, passwordGrant: false })
  t.strictSame(
    Object.keys((await app.inject('/openapi.json')).json().components.securitySchemes.oauth2.flows),
    ['clientCredentials']
  )
})

t.test('every status that a route can answer with is in the document', async t => {
  const { app } = await build(t, { docs: true, registration: true })
  const { paths } = (await app.inject({ url: '/openapi.json' })).json()
  const requests: Array<[method: 'POST' | 'PUT' | 'GET' | 'DELETE', path: string, request: object]> = [
    ['POST', '/token', {}], ['POST', '/token', { payload: { grant_type: 'x' } }], [
      'POST', '/token', { payload: { username: 'a', password: 'b', client_id: 'c' } }
    ], ['POST', '/token', { payload: 'x', headers: { 'content-type': 'text/plain' } }],
    ['POST', '/login', { payload: { username: 'a', password: 'b' } }], [
      'POST', '/login', { payload: { username: 'a', password: 'b' }, headers: { 'sec-fetch-site': 'cross-site' } }
    ], ['POST', '/login', { payload: { username: 'a', password: 'b'.repeat(20_000) } }],
    ['POST', '/refresh', {}], ['POST', '/refresh', { payload: { x: 1 } }], [
      'POST', '/revoke', { payload: { token: 'x' } }
    ], ['POST', '/revoke', {}],
    ['POST', '/logout', {}], ['POST', '/logout', { payload: { target: 'x' } }],
    [
      'POST', '/register', { payload: { username: 'alice', password: 'marble otter sings at noon' } }
    ], ['POST', '/register', {}],
    [
      'POST', '/introspect', { payload: { token: 'x' } }
    ], [
      'POST', '/introspect', {}
    ], ['GET', '/clients', {}], ['POST', '/clients', {}], ['GET', '/users', {}], ['POST', '/users', {}],
    ['GET', '/users/me', {}], ['PUT', '/users/me/password', {}], ['GET', '/sessions', {}],
    ['GET', '/users/me', { headers: { authorization: 'Bearer a', cookie: '__Host-access_token=b' } }],
    ['GET', '/health/ready', {}], ['GET', '/.well-known/jwks.json', {}]
  ]
  for (const [method, path, request] of requests) {
    const { statusCode } = await app.inject({ method, url: path, ...request })
    t.ok(String(statusCode) in paths[path][method.toLowerCase()].responses, `${method} ${path} ${statusCode}`)
  }
})

t.test('the OAuth endpoints list JSON first, and a 415 names the types that they list', async t => {
  const { app } = await build(t, { docs: true })
  const { paths } = (await app.inject('/openapi.json')).json()
  for (const url of ['/token', '/revoke', '/introspect'] as const) {
    const types = Object.keys(paths[url].post.requestBody.content)
    t.equal(types[0], 'application/json', 'generated clients send the first')
    t.ok(types.includes('application/x-www-form-urlencoded'))
    const { statusCode, ...response } = await app.inject({
      method: 'POST', url, headers: { 'content-type': 'text/plain' }, payload: 'x'
    })
    t.equal(statusCode, 415)
    const { error_description: sentence } = response.json()
    for (const type of types) t.ok(sentence.includes(type), `${sentence} names ${type}`)
    const shown = paths[url].post.responses[415]
    t.equal(shown.content['application/json'].examples.unsupported_media_type.value.error_description, sentence)
    t.ok(shown.description.includes(sentence))
  }
  t.match(
    paths['/login'].post.responses[415].description, 'The content type must be application/json.', 'no other type'
  )
})

t.test('every integer has a format', async t => {
  const { app } = await build(t, { docs: true, statusList: true, registration: true })
  const formats: Record<string, number> = {}
  JSON.parse((await app.inject('/openapi.json')).body, (_key, value) => {
    if (value?.type === 'integer') formats[value.format] = (formats[value.format] ?? 0) + 1
    return value
  })
  t.strictSame(Object.keys(formats).sort(), ['int32', 'int64'])
})

t.test('the page is there, under a policy without inline scripts, frames and other hosts, and shows the document of this instance', async t => {
  for (const prefix of ['', '/auth']) {
    const { app } = await build(t, { docs: true, prefix })
    for (const url of ['/docs', '/docs/', '/docs/static/swagger-ui-bundle.js', '/docs/json']) {
      const { statusCode, headers } = await app.inject(prefix + url)
      t.equal(statusCode, 200, url)
      t.equal(
        headers['content-security-policy'],
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        url
      )
    }
    t.match((await app.inject(`${prefix}/docs`)).headers['content-type'], /^text\/html/)
    const document = (await app.inject(`${prefix}/docs/json`)).json()
    const published = (await app.inject(`${prefix}/openapi.json`)).json()
    t.strictSame(Object.keys(document.paths), Object.keys(published.paths), 'every operation')
    t.strictSame(Object.keys(published.components.securitySchemes), ['oauth2', 'bearer', 'cookie', 'key', 'client'])
    t.strictSame(Object.keys(document.components.securitySchemes), ['oauth2'])
    t.strictSame(Object.keys(document.components.securitySchemes.oauth2.flows), ['password'], 'one form')
    t.strictSame(document.paths[`${prefix}/users`].get.security, [{ oauth2: ['users:read'] }])
    t.strictSame(document.paths[`${prefix}/token`].post.security, [{}])
    t.ok(document.info.description.includes(`](${prefix}/openapi.json)`))
    t.notOk(published.info.description.includes('Authorize'), 'the steps are for the page')

    // The page posts this, to a path of the host that it came from.
    const { tokenUrl } = document.components.securitySchemes.oauth2.flows.password
    const granted = await postForm(
      app, tokenUrl, { grant_type: 'password', username: 'alice', password: PASSWORD, scope: 'items:read' },
      { authorization: `Basic ${Buffer.from(':').toString('base64')}` }
    )
    t.match(granted, { statusCode: 200 })
    t.equal(granted.json().scope, 'items:read')
  }
})

t.test('without the password grant the page takes a token, and names the login with cookies if there is one', async t => {
  for (const [options, text] of [
    [{ ownRoutes: [] }, /Execute \*\*POST \/login\*\*.*paste an access token/],
    [{ ownRoutes: ['login'] }, /^1\. Select \*\*Authorize\*\* and paste an access token/m]
  ] as const) {
    const { app } = await build(t, { docs: true, passwordGrant: false, ownRoutes: [...options.ownRoutes] })
    const document = (await app.inject('/docs/json')).json()
    t.strictSame(Object.keys(document.components.securitySchemes), ['bearer'])
    t.strictSame(document.paths['/users/me'].get.security, [{ bearer: [] }])
    t.match(document.info.description, text)
  }
})

t.test('the page finds its parts, with and without a prefix and a slash at its end', async t => {
  for (const prefix of ['', '/auth']) {
    const { app } = await build(t, { docs: true, prefix })
    for (const url of [`${prefix}/docs`, `${prefix}/docs/`]) {
      const page = await app.inject(url)
      const links = [...page.body.matchAll(/(?:href|src)="([^"]+)"/g)].map((
        [, link]
      ) => new URL(link ?? '', `http://x${url}`).pathname)
      t.ok(links.length > 3, url)
      for (const link of links) t.equal((await app.inject(link)).statusCode, 200, link)
    }
  }
})

t.test('the page has nothing but its own: all else is our 404, what is known is not sent again, and HEAD is answered', async t => {
  const { app } = await build(t, { docs: true, prefix: '/auth' })
  for (const url of [
    '/auth/docs/x', '/auth/docs/static/x', '/auth/docs/static/%2e%2e%2fpackage.json', '/auth/docs/..%2ftoken',
    '/auth/docs//auth/token', '/auth/docs/static/..%5c..%5cindex.js'
  ]) {
    const { statusCode, headers } = await app.inject(url)
    t.equal(statusCode, 404, url)
    t.equal(headers['content-type'], 'application/problem+json; charset=utf-8', url)
  }
  const script = '/auth/docs/static/swagger-ui-bundle.js'
  const { headers: { etag }, rawPayload } = await app.inject(script)
  t.match(await app.inject({ url: script, headers: { 'if-none-match': String(etag) } }), { statusCode: 304, body: '' })
  t.match(
    await app.inject({ method: 'HEAD', url: script }),
    { statusCode: 200, body: '', headers: { 'content-length': String(rawPayload.length) } }
  )
  // Asked for its document at once by many, it makes one.
  const answers = await Promise.all(Array.from({ length: 5 }, () => app.inject('/auth/openapi.json')))
  t.strictSame(new Set(answers.map(({ body }) => body)).size, 1)
})

t.test('a path that leads out of the page leads nowhere, and is answered', async t => {
  const { app } = await build(t, { docs: true, prefix: '/auth' })
  const { hostname, port } = new URL(await app.listen({ host: '127.0.0.1', port: 0 }))
  for (const path of [
    '/auth/docs/../users', '/auth/docs/%2e%2e/sessions', '/auth/docs/.%2E/users/x', '/auth/docs/static/../../token',
    '/auth/docs/..%5cusers', '/auth/docs/x/..', '/auth/docs/.'
  ]) {
    for (const method of ['GET', 'HEAD']) {
      const outgoing = request({ hostname, port, path, method, agent: false }).end()
      const [response] = await once(outgoing, 'response', { signal: AbortSignal.timeout(10_000) }) as [IncomingMessage]
      response.resume()
      t.equal(response.statusCode, /x\/\.\.$|\/\.$/.test(path) ? 200 : 404, `${method} ${path}`)
    }
  }
})

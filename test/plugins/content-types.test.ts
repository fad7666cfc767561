import t from 'tap'
import { fastify } from 'fastify'
import latchkey from '../../app.js'
import { build, PASSWORD, postForm, TEST_OPTIONS } from '../helper.js'
import { assertOAuthError, assertProblem } from '../routes/support.js'

const CREDENTIALS = { username: 'alice', password: PASSWORD }

t.test('JSON is JSON, however its type is spelled', async t => {
  const { app } = await build(t)
  for (const type of [
    'application/json', 'application/json; charset=utf-8', 'APPLICATION/JSON', 'application/json;charset=UTF-8',
    'application/json ; a=b'
  ]) {
    const response = await app.inject({
      method: 'POST', url: '/login', headers: { 'content-type': type }, payload: JSON.stringify(CREDENTIALS)
    })
    t.equal(response.statusCode, 200, type)
  }
})

t.test('ASVS 3.5.2: a form is for the OAuth endpoints alone: the page of another site can send one without asking', async t => {
  const { app } = await build(t, { registration: true })
  for (const [url, form] of [
    ['/login', CREDENTIALS], ['/register', { username: 'carol', password: PASSWORD }], ['/logout', { target: 'all' }],
    ['/refresh', { refresh_token: 'x' }]
  ] as const) {
    assertProblem(t, await postForm(app, url, form), 415, 'unsupported_media_type', url)
  }
  t.equal((await postForm(app, '/token', CREDENTIALS)).statusCode, 200)
})

t.test('the sentence for a wrong content type names the types that the route takes', async t => {
  const { app } = await build(t)
  const wrong = (url: string) => app.inject({
    method: 'POST', url, headers: { 'content-type': 'text/plain' }, payload: 'x'
  })
  const token = await wrong('/token')
  assertOAuthError(t, token, 415, 'invalid_request')
  t.match(
    token.json().error_description, /application\/x-www-form-urlencoded/, 'the OAuth endpoints take forms first of all'
  )
  t.match((await wrong('/login')).json().detail, /application\/json/)
})

t.test('a form decodes plus, percents and UTF-8 as browsers encode them', async t => {
  const { app } = await build(t)
  const password = 'a + b & c = d % é € 👍 ; "quotes"'
  await app.latchkey.users.add({ username: 'carol@example.com', password })
  t.equal((await postForm(app, '/token', { username: 'carol@example.com', password })).statusCode, 200)
  t.equal(
    (await app.inject({
      method: 'POST', url: '/token', payload: { username: 'carol@example.com', password }
    })).statusCode,
    200
  )
})

t.test('a body that begins with a byte order mark is the same body', async t => {
  const { app } = await build(t)
  const response = await app.inject({
    method: 'POST',
    url: '/login',
    headers: { 'content-type': 'application/json' },
    payload: `\ufeff${JSON.stringify(CREDENTIALS)}`
  })
  t.equal(response.statusCode, 200)
})

t.test('16 KiB are read and one byte more is not', async t => {
  const { app } = await build(t)
  const body = JSON.stringify(CREDENTIALS)
  const post = (length: number) => app.inject({
    method: 'POST', url: '/login', headers: { 'content-type': 'application/json' }, payload: body.padEnd(length, ' ')
  })
  t.equal((await post(16 * 1024)).statusCode, 200)
  assertProblem(t, await post(16 * 1024 + 1), 413, 'payload_too_large')
})

t.test("the host's own parsers stay its own, and do not reach our routes", async t => {
  for (const order of ['before', 'after']) {
    const app = fastify()
    t.teardown(() => app.close())
    const arrange = (): void => {
      app.removeContentTypeParser('application/json')
      app.addContentTypeParser(
        'application/json', { parseAs: 'string' }, (_request, _body, done) => done(null, { mine: true })
      )
      app.addContentTypeParser('text/plain', { parseAs: 'string' }, (_request, body, done) => done(null, body))
      app.addContentTypeParser('*', (_request, _payload, done) => done(null, 'anything'))
    }
    if (order === 'before') arrange()
    await app.register(latchkey, { ...TEST_OPTIONS })
    if (order === 'after') arrange()
    app.post('/mine', async request => ({ body: request.body }))
    await app.ready()
    await app.latchkey.users.add({ username: 'alice', password: PASSWORD })
    t.equal((await app.inject({ method: 'POST', url: '/login', payload: CREDENTIALS })).statusCode, 200)
    assertProblem(
      t, await app.inject({ method: 'POST', url: '/login', headers: { 'content-type': 'text/plain' }, payload: 'x' }),
      415, 'unsupported_media_type', order
    )
    t.strictSame(
      (await app.inject({ method: 'POST', url: '/mine', payload: { a: 1 } })).json(), { body: { mine: true } }
    )
    t.strictSame(
      (await app.inject({
        method: 'POST', url: '/mine', headers: { 'content-type': 'text/plain' }, payload: 'x'
      })).json(),
      { body: 'x' }
    )
  }
})

t.test('a host without a form parser gets none from us', async t => {
  const { app } = await build(t)
  t.notOk(app.hasContentTypeParser('application/x-www-form-urlencoded'))
  t.ok(app.hasContentTypeParser('text/plain'), 'and loses none')
})

import t from 'tap'
import type { Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { build, createMachineClient } from '../../examples/machine-client.js'
import type { Call, MachineClientOptions } from '../../examples/machine-client.js'
import type { LatchkeyOptions } from '../../app.js'
import { createTestClock, testOptions, withTestKit } from '../../testing/index.js'
import type { TestClock, TestKit } from '../../testing/index.js'

interface Bed {
  app: FastifyInstance & TestKit
  clock: TestClock
  api: string
  id: string
  call: Call
  /** Another program with the same client. */
  connect (options?: Partial<MachineClientOptions>): Call
  /** What was asked for, in order: `POST /token 200`. */
  requests: string[]
  /** The tokens that were presented. */
  tokens: string[]
}

async function listen (t: Test, options: LatchkeyOptions = {}): Promise<Bed> {
  const clock = createTestClock()
  const { app, id, secret } = await build({ ...testOptions, now: clock, ...options })
  const requests: string[] = []
  const tokens: string[] = []
  app.get('/always-401', async (_request, reply) => reply.code(401).send())
  app.get('/away', async (_request, reply) => reply.redirect('http://127.0.0.1:1/'))
  app.server.on('request', (request, response) => response.on('close', () => {
    requests.push(`${request.method} ${request.url} ${response.statusCode}`)
    if (request.url !== '/token') tokens.push((request.headers.authorization ?? '').replace('Bearer ', ''))
  }))
  t.teardown(() => app.close())
  const api = await app.listen({ host: '127.0.0.1', port: 0 })
  const connect = (options: Partial<MachineClientOptions> = {}): Call => createMachineClient({
    api, tokenEndpoint: `${api}/token`, id, secret, now: clock, ...options
  })
  return { app: withTestKit(app), clock, api, id, call: connect(), connect, requests, tokens }
}

t.test('one token for many calls, another one shortly before it expires', async t => {
  const { clock, id, call, requests } = await listen(t)
  const many = await Promise.all(Array.from({ length: 10 }, () => call('/reports')))
  for (const response of many) t.same(await response.json(), { for: id, reports: [] })
  t.equal(requests.filter(request => request === 'POST /token 200').length, 1, 'for ten calls at once')

  requests.length = 0
  clock.advance('14m')
  t.equal((await call('/reports')).status, 200)
  t.strictSame(requests.filter(request => request.startsWith('POST')), [], 'it is good for another minute')
  clock.advance('30s')
  t.equal((await call('/reports')).status, 200)
  t.equal(requests.filter(request => request === 'POST /token 200').length, 1, 'half a minute before the end')
  t.notOk(requests.includes('GET /reports 401'), 'nothing was refused')
})

t.test('a short-lived token is used for half of its life', async t => {
  const { clock, call, requests } = await listen(t, { accessTokenTtl: '20s' })
  for (let i = 0; i < 3; i++) {
    t.equal((await call('/reports')).status, 200)
    clock.advance('9s')
  }
  t.equal(requests.filter(request => request.startsWith('POST')).length, 2)
})

t.test('after a 401 another token, once', async t => {
  const { app, call, requests, tokens } = await listen(t)
  await call('/reports')
  await app.revoke(tokens.at(-1) ?? '')
  requests.length = 0
  t.equal((await call('/reports')).status, 200, 'the token was revoked')
  t.strictSame(requests, ['GET /reports 401', 'POST /token 200', 'GET /reports 200'])

  await app.revoke(tokens.at(-1) ?? '')
  requests.length = 0
  for (const { status } of await Promise.all(Array.from({ length: 5 }, () => call('/reports')))) t.equal(status, 200)
  t.equal(requests.filter(request => request.startsWith('POST')).length, 1, 'one for five calls')

  requests.length = 0
  t.equal((await call('/always-401')).status, 401)
  t.equal(requests.filter(request => request.startsWith('GET')).length, 2, 'no loop')
})

t.test('without a token nothing is called; the next call asks again', async t => {
  const { connect, requests } = await listen(t)
  await t.rejects(connect({ secret: 'wrong' })('/reports'), { message: 'The token request failed: 401 invalid_client' })
  await t.rejects(
    connect({ scope: 'everything' })('/reports'), { message: 'The token request failed: 400 invalid_scope' }
  )
  t.strictSame(requests.filter(request => request.includes('/reports')), [])

  const { call: later, app } = await listen(t)
  const { clients } = app.latchkey
  const { issue } = clients
  Object.assign(clients, { issue: async () => { throw new Error('The store is down') } })
  await t.rejects(later('/reports'), { message: 'The token request failed: 500 server_error' })
  Object.assign(clients, { issue })
  t.equal((await later('/reports')).status, 200)
})

t.test('the token goes to the API and to nobody else', async t => {
  const { call, requests } = await listen(t)
  for (const path of [
    'http://127.0.0.1:1/', '//evil.example/', 'https://evil.example/reports'
  ]) await t.rejects(call(path), /is not the origin of the API/, path)
  t.strictSame(requests, [])
  t.equal((await call('/away')).status, 302, 'a redirect is not followed')
})

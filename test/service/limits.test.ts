import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { Test } from 'tap'
import { LIMITS } from '../../lib/http/connection-limits.js'
import { buildService, exchange } from './support.js'

const POST = 'POST /login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n'
const CHUNK = `1000\r\n${'x'.repeat(4096)}\r\n`

async function listen (t: Test, limits: object = {}): Promise<FastifyInstance> {
  const app = await buildService(t, {}, limits)
  await app.listen({ host: '127.0.0.1', port: 0 })
  return app
}

/** One answer, and that a problem document of ours. */
function assertRefused (t: Test, answer: string, status: number, code: string, name: string): void {
  const [head = '', ...bodies] = answer.split('\r\n\r\n')
  t.match(head, new RegExp(`^HTTP/1\\.1 ${status} `), name)
  t.match(head, /content-type: application\/problem\+json/i, name)
  t.match(head, /connection: close/i, name)
  t.match(head, /content-security-policy: default-src 'none'/i, name)
  t.equal(bodies.length, 1, `${name}: one answer`)
  t.match(JSON.parse(bodies[0] ?? ''), { status, code }, name)
}

t.test('the limits of the service', async t => {
  const app = await listen(t)
  t.same(
    LIMITS,
    {
      body: 16_384,
      head: 16_384,
      headers: 100,
      headersTimeout: 10_000,
      requestTimeout: 20_000,
      keepAliveTimeout: 72_000,
      connectionTimeout: 120_000,
      checkInterval: 1_000
    }
  )
  const { headersTimeout, requestTimeout, keepAliveTimeout, timeout, maxHeadersCount } = app.server
  t.same(
    { headersTimeout, requestTimeout, keepAliveTimeout, timeout, maxHeadersCount },
    { headersTimeout: 10_000, requestTimeout: 20_000, keepAliveTimeout: 72_000, timeout: 120_000, maxHeadersCount: 101 }
  )
})

t.test('what comes too slowly is cut off: 408', async t => {
  const app = await listen(t, { headersTimeout: 20, requestTimeout: 20, checkInterval: 10 })
  const table: Record<string, string> = {
    'no byte at all': '',
    'headers without an end': 'GET / HTTP/1.1\r\nhost: x\r\n',
    'a body without an end': `${POST}content-length: 10\r\n\r\n{`,
    'chunks without an end': `${POST}transfer-encoding: chunked\r\n\r\n1\r\n{\r\n`
  }
  for (const [name, bytes] of Object.entries(table)) {
    assertRefused(
      t, await exchange(app, bytes), 408, 'request_timeout', name
    )
  }
})

t.test('a body that trickles is cut off although something moves', async t => {
  const app = await listen(t, { headersTimeout: 30, requestTimeout: 30, checkInterval: 10 })
  let timer: NodeJS.Timeout | undefined
  const answer = await exchange(
    app, `${POST}content-length: 10000\r\n\r\n`, socket => { timer = setInterval(() => socket.write('x'), 3) }
  )
  clearInterval(timer)
  assertRefused(t, answer, 408, 'request_timeout', 'a byte at a time')
})

t.test('a request that was answered before its end is cut off without a second answer', async t => {
  const app = await listen(t, { headersTimeout: 20, requestTimeout: 20, checkInterval: 10 })
  const answer = await exchange(app, 'POST /nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{')
  t.match(answer, /^HTTP\/1\.1 404 /)
  t.equal(answer.split('HTTP/1.1').length, 2)
})

t.test('what is too large is cut off: 413, 431', async t => {
  const app = await listen(t)
  const table: Array<[name: string, bytes: string, status: number, code: string]> = [
    [
      'a Content-Length over the limit, before the body comes', `${POST}content-length: 16385\r\n\r\n`, 413,
      'payload_too_large'
    ],
    ['chunks over the limit', `${POST}transfer-encoding: chunked\r\n\r\n${CHUNK.repeat(5)}`, 413, 'payload_too_large'],
    [
      'an extension of a chunk without an end', `${POST}transfer-encoding: chunked\r\n\r\n1;${'a'.repeat(20_000)}`, 413,
      'payload_too_large'
    ],
    ['headers without an end', `GET / HTTP/1.1\r\nhost: x\r\n${'a: b\r\n'.repeat(20_000)}`, 431, 'headers_too_large'],
    ['one header without an end', `GET / HTTP/1.1\r\nhost: x\r\na: ${'b'.repeat(20_000)}`, 431, 'headers_too_large'],
    ['a request line without an end', `GET /${'a'.repeat(20_000)}`, 431, 'headers_too_large'],
    [
      'one header too many', `GET /health/live HTTP/1.1\r\nhost: x\r\n${'a: b\r\n'.repeat(100)}\r\n`, 431,
      'headers_too_large'
    ],
    [
      'many headers too many, those that count among the last',
      `GET /health/live HTTP/1.1\r\nhost: x\r\n${'a: b\r\n'.repeat(500)}authorization: Bearer x\r\n\r\n`, 431,
      'headers_too_large'
    ]
  ]
  for (const [name, bytes, status, code] of table) assertRefused(t, await exchange(app, bytes), status, code, name)

  const most = await exchange(
    app, `GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${'a: b\r\n'.repeat(98)}\r\n`
  )
  t.match(most, /^HTTP\/1\.1 200 /, 'as many as may be')
  const body = JSON.stringify({ username: 'alice', password: 'x'.repeat(1_000) }).padEnd(16_384)
  t.match(
    await exchange(app, `${POST}connection: close\r\ncontent-length: 16384\r\n\r\n${body}`), /^HTTP\/1\.1 401 /,
    'as much as may be'
  )
})

t.test('what is no HTTP is 400, and a proxy cannot be made to read it in another way', async t => {
  const app = await listen(t)
  const table: Record<string, string> = {
    'a TLS greeting': '\x16\x03\x01\x02\x00',
    'Content-Length and Transfer-Encoding': `${POST}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
    'two lengths': `${POST}content-length: 3\r\ncontent-length: 4\r\n\r\nabcd`,
    'a space before the colon': 'GET / HTTP/1.1\r\nhost : x\r\n\r\n',
    'a line feed alone': 'GET / HTTP/1.1\nhost: x\n\n\n'
  }
  for (const [name, bytes] of Object.entries(table)) {
    assertRefused(
      t, await exchange(app, bytes), 400, 'invalid_request', name
    )
  }
  const halfOpen = await exchange(app, `${POST}content-length: 10\r\n\r\n{`, socket => socket.end())
  assertRefused(t, halfOpen, 400, 'invalid_request', 'a connection that ends amid the body')
})

t.test('an error after a request that is not answered yet is no answer to that request', async t => {
  const app = await listen(t)
  const body = '{"username":"alice","password":"wrong"}'
  t.equal(
    await exchange(app, `${POST}content-length: ${body.length}\r\n\r\n${body}GARB AGE\r\n\r\n`), '',
    'the login did not get the 400'
  )
})

t.test('a flood of requests on one connection is answered in order', async t => {
  const app = await listen(t)
  const bytes = Array.from(
    { length: 500 }, (_, index) => `GET ${index % 2 === 0 ? '/health/live' : '/nothing'} HTTP/1.1\r\nhost: x\r\n\r\n`
  ).join('')
  const answer = await exchange(app, `${bytes}GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`)
  const statuses = [...answer.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => status)
  t.equal(statuses.length, 501)
  t.ok(statuses.every((status, index) => status === (index % 2 === 0 ? '200' : '404')))
})

import t from 'tap'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { build, PASSWORD } from '../helper.js'
import type { TokenBody } from '../helper.js'
import { addClient } from './support.js'

const TYPE = 'multipart/form-data; boundary=limit'

function part (name: string, value: string, more = ''): string {
  return `--limit\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`
}

function formOf (fields: Record<string, string>): string {
  return Object.entries(fields).map(([name, value]) => part(name, value)).join('') + '--limit--\r\n'
}

async function post (
  app: FastifyInstance, url: string, payload: string | Buffer, type = TYPE
): Promise<LightMyRequestResponse> {
  return await app.inject({ method: 'POST', url, payload, headers: { 'content-type': type } })
}

t.test('the OAuth endpoints read the text fields of multipart/form-data, and no other route does', async t => {
  const { app } = await build(t)
  const client = await addClient(app, { grants: ['password'] })
  const login = await post(app, '/token', formOf({ username: 'alice', password: PASSWORD, scope: '', ...client.form }))
  t.equal(login.statusCode, 200)
  const { access_token: token } = login.json<TokenBody>()
  t.match((await post(app, '/introspect', formOf({ token, ...client.form }))).json(), { active: true })
  t.equal((await post(app, '/revoke', formOf({ token, ...client.form }))).statusCode, 200)
  t.match((await post(app, '/introspect', formOf({ token, ...client.form }))).json(), { active: false })
  for (const url of ['/login', '/refresh', '/logout']) {
    t.equal((await post(app, url, formOf({ username: 'alice', password: PASSWORD }))).statusCode, 415, url)
  }
})

t.test('a form that is not plain is refused in words, and never hangs', async t => {
  const { app } = await build(t)
  const good = part('username', 'alice') + part('password', PASSWORD)
  const table: Array<[name: string, body: string | Buffer, expected: RegExp, type?: string]> = [
    ['a file', good + part('avatar', 'x', '; filename="a.png"') + '--limit--', /with a file is not accepted/],
    ['a field twice', good + part('password', 'x') + '--limit--', /password/],
    ['no boundary', good + '--limit--', /names no boundary/, 'multipart/form-data'],
    ['another boundary', good + '--limit--', /cannot be read/, 'multipart/form-data; boundary=other'],
    ['nothing', '', /cannot be read/],
    ['no parts', 'username=alice', /cannot be read/],
    ['101 fields', Array.from({ length: 101 }, (_, n) => part(`f${n}`, 'x')).join('') + '--limit--', /at most 100/],
    ['no UTF-8', Buffer.concat([Buffer.from(good), Buffer.from([0xFF]), Buffer.from('--limit--')]), /not valid UTF-8/],
    ['__proto__', part('__proto__', 'x') + part('constructor', 'y') + '--limit--', /grant_type/]
  ]
  for (const [name, body, expected, type] of table) {
    const response = await post(app, '/token', body, type)
    t.match(
      [response.statusCode, response.json()], [400, { error: 'invalid_request', error_description: expected }], name
    )
  }
  t.equal((await post(app, '/token', formOf({ username: 'x'.repeat(17_000) }))).statusCode, 413)
  for (let length = 1; length < good.length; length += 7) {
    t.equal((await post(app, '/token', good.slice(0, length))).statusCode, 400, `cut off after ${length} bytes`)
  }
})

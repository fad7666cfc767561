import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import latchkey from '../../app.js'
import { bearer, build, createTestClock, logIn, PASSWORD, TEST_OPTIONS } from '../helper.js'
import type { TokenBody } from '../helper.js'

/** Sends the head of a request and half of its body; `finish` sends the rest and gives the status. */
async function hold (
  app: FastifyInstance, method: string, path: string, token: string, body: string
): Promise<{ finish: () => Promise<number> }> {
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
  const { authorization } = bearer(token)
  const guarded = new Promise<void>(resolve => app.server.once('request', () => setImmediate(resolve)))
  socket.write(
    `${method} ${path} HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body.slice(0, 1)}`
  )
  await guarded
  return {
    async finish () {
      const answer = new Promise<string>(resolve => socket.once('data', data => resolve(String(data))))
      socket.write(body.slice(1))
      const status = Number((await answer).split(' ')[1])
      socket.destroy()
      return status
    }
  }
}

function kidOf (token: string): string {
  return JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid
}

t.test('a request whose body arrives slowly: not after its token was revoked, but after it has expired', async t => {
  const { app, clock } = await build(t)
  await app.listen({ port: 0 })
  const body = JSON.stringify({ amount: 99 })

  const revoked = await logIn(app)
  const expired = await logIn(app)
  const alive = await logIn(app)
  const held = {
    revoked: await hold(app, 'POST', '/protected-route', revoked.access_token, body),
    expired: await hold(app, 'POST', '/protected-route', expired.access_token, body),
    alive: await hold(app, 'POST', '/protected-route', alive.access_token, body)
  }
  await app.inject({ method: 'POST', url: '/revoke', payload: { token: revoked.access_token } })
  t.equal(await held.revoked.finish(), 401)
  t.equal(await held.alive.finish(), 200)
  clock.move(15 * 60 * 1000)
  t.equal(await held.expired.finish(), 200, 'it was admitted when it arrived')
  const late = await hold(app, 'POST', '/protected-route', expired.access_token, body)
  t.equal(await late.finish(), 401, 'it was expired when it arrived')
})

t.test('a slow body, and everything that revokes its token', async t => {
  const { app, clock } = await build(t)
  await app.listen({ port: 0 })
  const bob = await app.latchkey.users.findByName('bob')
  const id = bob?.id ?? ''
  const table: Array<[name: string, revoke: (tokens: TokenBody) => Promise<unknown>]> = [
    ['the token', tokens => app.inject({ method: 'POST', url: '/revoke', payload: { token: tokens.access_token } })],
    ['the session', tokens => app.inject({ method: 'POST', url: '/revoke', payload: { token: tokens.refresh_token } })],
    ['the user', () => app.latchkey.revocations.revokeUser(id)],
    ['the key', tokens => app.latchkey.keys.revoke(kidOf(tokens.access_token))]
  ]
  for (const [name, revoke] of table) {
    const tokens = await logIn(app, 'bob')
    const held = await hold(app, 'POST', '/protected-route', tokens.access_token, '{"a":1}')
    await revoke(tokens)
    t.equal(await held.finish(), 401, name)
    const other = await logIn(app, 'bob')
    const late = await hold(app, 'POST', '/protected-route', other.access_token, '{"a":1}')
    clock.move(16 * 60 * 1000)
    await revoke(other)
    t.equal(await late.finish(), 401, `${name}, after the token has expired`)
  }
})

t.test('a slow body: a hook of the app that puts another token into the request gets that token checked', async t => {
  const app = fastify()
  const clock = createTestClock()
  await app.register(latchkey, { ...TEST_OPTIONS, now: clock })
  t.teardown(() => app.close())
  let other = ''
  app.post('/swap', {
    onRequest: app.authenticate,
    async preValidation (request) { request.headers.authorization = `Bearer ${other}` },
    preHandler: app.authenticate
  }, async request => ({ id: request.user.id }))
  for (const username of ['alice', 'bob']) await app.latchkey.users.add({ username, password: PASSWORD })
  const [alice, bob] = [await logIn(app), await logIn(app, 'bob')]
  other = bob.access_token
  const swap = async (): Promise<number> => (await app.inject({
    method: 'POST', url: '/swap', headers: bearer(alice.access_token), payload: { a: 1 }
  })).statusCode
  t.equal(await swap(), 200)
  clock.move(14 * 60 * 1000)
  const fresh = await logIn(app)
  clock.move(2 * 60 * 1000)
  alice.access_token = fresh.access_token
  t.equal(await swap(), 401, 'an expired token that was never admitted')
})

t.test('a password change that is held open until the account is disabled changes nothing', async t => {
  const { app } = await build(t)
  await app.listen({ port: 0 })
  const { access_token: token } = await logIn(app, 'bob')
  const bob = await app.latchkey.users.findByName('bob')
  const change = await hold(
    app, 'PUT', '/users/me/password', token,
    JSON.stringify({ current_password: PASSWORD, new_password: 'the password of a thief' })
  )
  await app.latchkey.users.disable(bob?.id ?? '')
  t.equal(await change.finish(), 401)
  await app.latchkey.users.enable(bob?.id ?? '')
  await t.resolves(logIn(app, 'bob'))
})

t.test('a guard where it would protect nothing stops the boot', async t => {
  const app = fastify()
  t.teardown(() => app.close())
  await app.register(latchkey, TEST_OPTIONS)
  for (const hook of ['preParsing', 'preSerialization', 'onSend', 'onResponse', 'onError']) {
    t.throws(
      () => app.get(`/${hook}`, { [hook]: app.requireScopes('admin') }, async () => ''),
      new RegExp(`A guard protects nothing as the ${hook} hook of GET /${hook}. Use it as an onRequest`)
    )
  }
})

import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import { fastify } from 'fastify'
import t from 'tap'
import type { Test } from 'tap'
import latchkey from '../../app.js'
import type { LatchkeyOptions } from '../../app.js'
import { addUsers, bearer, build, createTestClock, logIn, ON_POSTGRES, SECRET, TEST_OPTIONS } from '../helper.js'
import type { TestClock, TokenBody } from '../helper.js'
import { databaseFile } from '../routes/support.js'

const MINUTE = 60_000

interface Open {
  app: FastifyInstance
  clock: TestClock
  /** Sends a request with this token, and returns its signal. */
  open (token: string): Promise<AbortSignal>
}

/** An app with a route whose response ends before what it has opened. */
async function buildOpen (t: Test, options: LatchkeyOptions = {}): Promise<Open> {
  const clock = createTestClock()
  const app = fastify({ logger: false }) as FastifyInstance
  t.teardown(() => app.close())
  await app.register(latchkey, { ...TEST_OPTIONS, now: clock, ...options })
  let signal: AbortSignal | undefined
  app.get('/open', { onRequest: app.authenticate }, async request => {
    signal = request.user.signal
    return 'open'
  })
  await app.ready()
  return {
    app,
    clock,
    async open (token) {
      const { statusCode } = await app.inject({ url: '/open', headers: bearer(token) })
      if (signal === undefined) throw new Error(`There is no signal: ${statusCode}`)
      return signal
    }
  }
}

/** Waits until a signal aborts, and returns the code of its reason. No socket keeps the process alive meanwhile. */
async function reasonOf (signal: AbortSignal): Promise<string> {
  const alive = setInterval(() => {}, 1_000)
  if (!signal.aborted) await once(signal, 'abort')
  clearInterval(alive)
  return signal.reason.code
}

t.test('a signal aborts when its token is over, in whatever way', async t => {
  const { app, clock, open } = await buildOpen(t)
  await addUsers(app)
  const bob = (await app.latchkey.users.findByName('bob'))?.id ?? ''
  const post = (url: string, payload: object, token: string): Promise<unknown> =>
    app.inject({ method: 'POST', url, payload, headers: bearer(token) })
  const table: Array<[name: string, code: string, end: (tokens: TokenBody) => Promise<unknown> | void]> = [
    ['revocation', 'token_revoked', ({ access_token: token }) => post('/revoke', { token }, token)],
    ['logout', 'token_revoked', ({ access_token: token }) => post('/logout', {}, token)],
    ['the end of all sessions', 'token_revoked', () => app.latchkey.sessions.endAll(bob)],
    ['all tokens of the user', 'token_revoked', () => app.latchkey.revocations.revokeUser(bob)],
    ['a scope that is taken away', 'token_revoked', () => app.latchkey.users.setScopes(bob, [])],
    ['expiry', 'token_expired', () => clock.move(15 * MINUTE)],
    ['theft', 'session_stolen', async ({ refresh_token: token }) => {
      const { refreshToken } = await app.latchkey.sessions.refresh(token)
      await app.latchkey.sessions.refresh(refreshToken)
      await t.rejects(app.latchkey.sessions.refresh(token))
    }],
    ['the key', 'invalid_token', ({ access_token: token }) => app.latchkey.keys.revoke(
      JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid
    )]
  ]
  for (const [name, code, end] of table) {
    const alice = await open((await logIn(app)).access_token)
    const tokens = await logIn(app, 'bob')
    const signal = await open(tokens.access_token)
    t.equal(await open(tokens.access_token), signal, `${name}: one signal for each token`)
    t.notOk(signal.aborted)
    await end(tokens)
    t.equal(await reasonOf(signal), code, name)
    if (code !== 'token_expired' && name !== 'the key') t.notOk(alice.aborted, `${name}: another user goes on`)
  }
})

t.test('a signal that is read too late is aborted at once', async t => {
  const { app, clock } = await build(t)
  const user = await app.latchkey.tokens.verify((await logIn(app)).access_token)
  const other = await app.latchkey.tokens.verify((await logIn(app, 'bob')).access_token)
  await app.latchkey.sessions.endAll(user.id)
  t.equal(user.signal.reason.code, 'token_revoked')
  clock.move(15 * MINUTE)
  t.equal(other.signal.reason.code, 'token_expired')
})

t.test('a socket presents a fresh token and goes on', async t => {
  const { app, clock, open } = await buildOpen(t)
  await addUsers(app)
  const first = await logIn(app)
  const old = await open(first.access_token)
  clock.move(14 * MINUTE)
  const grant = await app.inject({ method: 'POST', url: '/refresh', payload: { refresh_token: first.refresh_token } })
  const { signal } = await app.latchkey.tokens.accept(grant.json().access_token)
  clock.move(MINUTE)
  t.equal(await reasonOf(old), 'token_expired')
  t.notOk(signal.aborted)
  const thief = await app.inject({ method: 'POST', url: '/refresh', payload: { refresh_token: first.refresh_token } })
  t.match(thief.json(), { code: 'session_stolen' }, 'a token that is presented over a socket is in use')
  t.equal(await reasonOf(signal), 'session_stolen')
})

t.test('another process revokes, and no request comes that would notice', { skip: ON_POSTGRES }, async t => {
  const options = { database: databaseFile(t), secret: SECRET }
  const { app, open } = await buildOpen(t, options)
  await addUsers(app)
  const other = await buildOpen(t, options)
  const { access_token: token } = await logIn(app)
  const signal = await open(token)
  const { id } = await other.app.latchkey.tokens.verify(token)
  await other.app.latchkey.sessions.endAll(id)
  t.equal(await reasonOf(signal), 'token_revoked')
})

t.test('reading a user does not create its signal', async t => {
  const { app } = await build(t)
  const user = await app.latchkey.tokens.verify((await logIn(app)).access_token)
  t.notOk(Object.keys(user).includes('signal'))
  t.notOk(JSON.stringify(user).includes('signal'))
})

t.test('a key has one signal, however often Latchkey reads it, also when the roles of its owner change', async t => {
  const { app, clock, open } = await buildOpen(t, { accepts: ['token', 'key'], roles: { reader: ['items:read'] } })
  await addUsers(app)
  const bob = (await app.latchkey.users.findByName('bob'))?.id ?? ''
  const { value, token } = await app.latchkey.personalAccessTokens.create(bob, { name: 'x', scopes: ['items:read'] })
  const signal = await open(value)
  clock.move(2 * MINUTE)
  await app.latchkey.users.setRoles(bob, ['reader'])
  t.equal(await open(value), signal)
  clock.move(2 * MINUTE)
  t.equal(await open(value), signal)
  t.equal(signal.aborted, false)
  await app.latchkey.personalAccessTokens.revoke(token.id)
  t.equal(await reasonOf(signal), 'token_revoked')
})

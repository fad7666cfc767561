import t from 'tap'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import type { LatchkeyOptions, SecurityEvent, User, UserDirectory } from '../../app.js'
import { withTestKit } from '../../testing/index.js'
import verifier from '../../verifier/plugin.js'
import type { VerifierPluginOptions } from '../../verifier/plugin.js'
import { bearer, build, postForm } from '../helper.js'
import type { TokenBody } from '../helper.js'
import { createHost } from '../routes/support.js'
import { createFakeService } from '../verifier/support.js'

// This program does not declare its ids, so the compiler knows only text. A consumer that does is in test/foreign.
const INTEGERS = { userIds: 'integer' } as unknown as LatchkeyOptions & VerifierPluginOptions

interface Table { directory: UserDirectory, accounts: Map<unknown, unknown>, asked: unknown[] }

/** The table of an app, by ids of its own. The password of each account is its name. */
function createTable (...ids: unknown[]): Table {
  const accounts = new Map<unknown, unknown>(ids.map(id => [id, { id, username: `user-${id}`, scopes: ['admin'] }]))
  const asked: unknown[] = []
  return {
    accounts,
    asked,
    directory: {
      authenticate: async username => [...accounts.values()].find(
        account => (account as User).username === username
      ) as User ?? null,
      async find (id) {
        asked.push(id)
        return accounts.get(id) as User ?? null
      }
    }
  }
}

async function logIn (app: FastifyInstance, username: string): Promise<TokenBody> {
  const response = await postForm(app, '/token', { grant_type: 'password', username, password: username })
  if (response.statusCode !== 200) throw new Error(response.body)
  return response.json()
}

const payloadOf = (token: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>

async function buildWith (t: Test, table: Table, options: LatchkeyOptions = {}): Promise<FastifyInstance> {
  return (await build(t, { ...INTEGERS, users: table.directory, ...options })).app
}

t.test('integer ids of the host: a number in the app, text in tokens, responses and events', async t => {
  const table = createTable(0, 5, 50)
  const events: SecurityEvent[] = []
  const hooked: unknown[] = []
  const app = await buildWith(t, table, {
    onEvent (event) {
      if (event.actor.kind === 'user') events.push(event)
    },
    claims ({ id }) {
      hooked.push(id)
      return {}
    }
  })
  const tokens = await logIn(app, 'user-5')
  t.equal(payloadOf(tokens.access_token).sub, '5', 'RFC 7519: sub is text')
  t.same(hooked, [5])
  const own = await app.inject({ url: '/protected-route', headers: bearer(tokens.access_token) })
  t.equal(own.json<User>().id, 5)
  const me = await app.inject({ url: '/users/me', headers: bearer(tokens.access_token) })
  t.same(me.json(), { id: '5', username: 'user-5', scopes: ['admin'], roles: [] })
  const login = await app.inject({ method: 'POST', url: '/login', payload: { username: 'user-5', password: 'user-5' } })
  t.equal(login.json<{ user: User }>().user.id, '5')
  const refreshed = await postForm(app, '/token', {
    grant_type: 'refresh_token', refresh_token: tokens.refresh_token
  })
  t.equal(payloadOf(refreshed.json<TokenBody>().access_token).sub, '5')
  t.same(table.asked, [5, 5], 'find gets the number')
  t.ok(events.length > 0)
  for (const { actor, subject } of events) t.same([actor.id, subject], ['5', '5'])
  const zero = await logIn(app, 'user-0')
  t.equal((await app.inject({ url: '/protected-route', headers: bearer(zero.access_token) })).json<User>().id, 0)
})

t.test('integer ids: own sessions, logout and the services take the number, and touch no other account', async t => {
  const table = createTable(5, 50)
  const app = await buildWith(t, table)
  const { sessions, revocations } = app.latchkey
  const five = 5 as unknown as User['id']
  const status = async ({ access_token: token }: TokenBody): Promise<number> =>
    (await app.inject({ url: '/protected-route', headers: bearer(token) })).statusCode

  const other = await logIn(app, 'user-50')
  const [first, second] = [await logIn(app, 'user-5'), await logIn(app, 'user-5')]
  const listed = (await app.inject({ url: '/sessions', headers: bearer(first.access_token) }))
    .json<{ sessions: Array<{ id: string, current: boolean }> }>().sessions
  t.equal(listed.length, 2)
  t.same((await sessions.list(five)).map(({ id }) => id).sort(), listed.map(({ id }) => id).sort())
  const ended = await app.inject({
    method: 'DELETE', url: `/sessions/${listed.find(({ current }) => !current)?.id}`, headers: bearer(first.access_token)
  })
  t.equal(ended.statusCode, 204)
  t.same([await status(first), await status(second), await status(other)], [200, 401, 200])

  await revocations.revokeUser(five)
  t.same([await status(first), await status(other)], [401, 200])
  const third = await logIn(app, 'user-5')
  const out = await app.inject({
    method: 'POST', url: '/logout', headers: bearer(third.access_token), payload: { target: 'all' }
  })
  t.equal(out.statusCode, 204)
  t.same([await status(third), await status(other)], [401, 200])
  const fourth = await logIn(app, 'user-5')
  t.equal(await sessions.endAll(five), 1)
  t.same([await status(fourth), await status(other)], [401, 200])
  t.same((await app.latchkey.audit.list({ subject: '5' })).length > 0, true, 'the trail has the text')
  for (const id of [1.5, NaN, -1, 2 ** 53]) await t.rejects(sessions.endAll(id as unknown as User['id']), TypeError)
})

t.test('an id that is no integer from 0 ends the login with 500, and the log names the method', async t => {
  for (const id of ['5', -0, -1, 1.5, NaN, 2 ** 53, 1e21, 5n, null]) {
    const lines: string[] = []
    const { app } = await build(
      t, { ...INTEGERS, users: createTable(id).directory }, { logger: { stream: { write: line => lines.push(line) } } }
    )
    const response = await postForm(app, '/token', { username: `user-${id}`, password: 'x' })
    t.equal(response.statusCode, 500, String(id))
    t.match(lines.join(''), /users\.authenticate returned a user with an invalid id \(\w+\): it must be a number/)
  }
  const lines: string[] = []
  const { app } = await build(
    t, { users: createTable(5).directory }, { logger: { stream: { write: line => lines.push(line) } } }
  )
  t.equal((await postForm(app, '/token', { username: 'user-5', password: 'x' })).statusCode, 500)
  t.match(lines.join(''), /users\.authenticate .* \(number\): it must be text.* set the option userIds to 'integer'/)
})

t.test('an app that changes to integers refuses the tokens and sessions of text ids', async t => {
  const folder = t.testdir({})
  const database = `${folder}/auth.db`
  const before = createTable('05', 'ada')
  const { app: old } = await build(t, { users: before.directory, database, secret: 'x'.repeat(32) })
  const held = [await logIn(old, 'user-05'), await logIn(old, 'user-ada')]
  const table = createTable(5)
  const app = await buildWith(t, table, { database, secret: 'x'.repeat(32) })
  for (const tokens of held) {
    const response = await app.inject({ url: '/protected-route', headers: bearer(tokens.access_token) })
    t.equal(response.statusCode, 401)
    t.equal(response.json<{ code: string }>().code, 'invalid_token')
    const refreshed = await postForm(app, '/token', {
      grant_type: 'refresh_token', refresh_token: tokens.refresh_token
    })
    t.equal(refreshed.statusCode, 400)
  }
  t.same(table.asked, [], 'and does not ask for an account that cannot be')
})

t.test('the option needs accounts of the host, and the two values', async t => {
  const refused = async (options: object, message: RegExp): Promise<void> => {
    await t.rejects(build(t, options as LatchkeyOptions), { message })
  }
  await refused({ userIds: 'integer' }, /option userIds is 'integer', but .* set the option users too/)
  await refused({ userIds: 'number' }, /option userIds is "number": it must be 'text' or 'integer'/)
  await refused({ userIds: Number }, /option userIds is .*: it must be 'text' or 'integer'/)
})

t.test('the verifier gives integers for the same option, and refuses every other text', async t => {
  const service = await createFakeService(t)
  const app = createHost(t)
  await app.register(verifier, { ...INTEGERS, issuer: service.issuer, revocations: 'none' })
  app.get('/me', { onRequest: app.authenticate }, async request => ({ id: request.user.id }))
  const get = async (claims: Record<string, unknown>): Promise<unknown> =>
    (await app.inject({ url: '/me', headers: bearer(service.token(claims)) })).json<{ id: unknown }>().id
  t.equal(await get({ sub: '5' }), 5)
  t.equal(await get({ sub: '0' }), 0)
  for (const sub of ['05', '5.0', '-0', '9007199254740993', 'ada', 5]) t.equal(await get({ sub }), undefined, String(sub))
  t.equal(await get({ sub: 'lkc_a', client_id: 'lkc_a', sid: undefined }), 'lkc_a', 'the id of a client is text')
})

t.test('the test kit acts as each user of an app with integer ids', async t => {
  const table = createTable(5)
  const app = withTestKit(await buildWith(t, table))
  const known = await app.injectAs(table.accounts.get(5) as User, '/protected-route')
  t.same(known.json(), { id: 5, scopes: ['admin'] })
  const made = await app.injectAs({ scopes: ['items:read'] }, '/protected-route')
  t.type(made.json<{ id: unknown }>().id, 'number')
})

t.test('a scope outside the catalogue is logged once, with the option to change', async t => {
  const table = createTable('a')
  Object.assign(table.accounts.get('a') as object, { scopes: ['admin', 'editor', 'author'] })
  const lines: string[] = []
  const { app } = await build(
    t, { users: table.directory }, { logger: { level: 'warn', stream: { write: line => lines.push(line) } } }
  )
  for (let login = 0; login < 3; login++) await logIn(app, 'user-a')
  const warnings = lines.map(line => JSON.parse(line) as { scope?: string, msg: string }).filter(line => 'scope' in line)
  t.same(warnings.map(({ scope }) => scope), ['editor', 'author'])
  t.match(warnings[0]?.msg, /the scope 'editor', which is not in the catalogue, .* add it to the option scopes/)

  const invented = Array.from({ length: 150 }, (_, index) => `made-up-${index}`)
  Object.assign(table.accounts.get('a') as object, { scopes: invented })
  await logIn(app, 'user-a')
  t.equal(lines.length, 100, 'no more than a hundred')
})

t.test('a user with another id than find was asked for gets no token', async t => {
  const table = createTable('abc')
  const lines: string[] = []
  const { app } = await build(
    t, { users: table.directory }, { logger: { level: 'error', stream: { write: line => lines.push(line) } } }
  )
  const tokens = await logIn(app, 'user-abc')
  // A database that ignores case finds this account.
  Object.assign(table.accounts.get('abc') as object, { id: 'ABC' })
  const refreshed = await postForm(app, '/token', {
    grant_type: 'refresh_token', refresh_token: tokens.refresh_token
  })
  t.equal(refreshed.statusCode, 500)
  t.match(lines.join(''), /users\.find returned a user with another id than it was asked for: compare ids exactly/)
  Object.assign(table.accounts.get('abc') as object, { id: 'abc' })
  const again = await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token })
  t.equal(payloadOf(again.json<TokenBody>().access_token).sub, 'abc')
})

t.test('an id of the host has at most 1,024 characters', async t => {
  const table = createTable('x'.repeat(1_024), 'y'.repeat(1_025))
  const lines: string[] = []
  const { app } = await build(
    t, { users: table.directory }, { logger: { level: 'error', stream: { write: line => lines.push(line) } } }
  )
  for (const [id, status] of [['x'.repeat(1_024), 200], ['y'.repeat(1_025), 500]] as const) {
    // The username of a login is shorter than these ids.
    Object.assign(table.accounts.get(id) as object, { username: `user-${id[0]}` })
    const response = await postForm(app, '/token', { grant_type: 'password', username: `user-${id[0]}`, password: 'x' })
    t.equal(response.statusCode, status)
  }
  t.match(lines.join(''), /users\.authenticate .* \(string\): it must be text of 1 to 1024 characters, not latchkey/)
})

import t from 'tap'
import type { Test } from 'tap'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import type { LatchkeyOptions, User } from '../../app.js'
import { bearer, build, createTestClock, logIn, PASSWORD, postForm } from '../helper.js'
import type { TestClock, TokenBody } from '../helper.js'
import { build as buildVerifier, createIssuer, outcomeOf, until } from '../verifier/support.js'
import { assertProblem, claimsOf, databaseFile, query, SECRET } from './support.js'

t.setTimeout(60_000)

const ROLES = { editor: ['items:write', 'items:read'], viewer: ['items:read'], manager: ['users:read', 'users:write'] }
const SMALLER = { ...ROLES, editor: ['items:read'] }

/** Starts an app on the same database, as after a restart with other roles. */
interface Service {
  restart (roles: LatchkeyOptions['roles'], options?: LatchkeyOptions): Promise<FastifyInstance>
  rules (): unknown[]
  clock: TestClock
  file: string
}

function createService (t: Test): Service {
  const [clock, file] = [createTestClock(), databaseFile(t)]
  let running: FastifyInstance | undefined
  return {
    clock,
    file,
    async restart (roles, options = {}) {
      await running?.close()
      running = (await build(t, { database: file, secret: SECRET, now: clock, roles, ...options })).app
      return running
    },
    rules: () => query(file, 'select kind, value from latchkey_rules order by value')
  }
}

async function addUser (app: FastifyInstance, username: string, grants: { scopes?: string[], roles?: string[] }) {
  return await app.latchkey.users.add({ username, password: PASSWORD, ...grants })
}

async function refresh (app: FastifyInstance, { refresh_token: token }: TokenBody): Promise<TokenBody> {
  const response = await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: token })
  if (response.statusCode !== 200) throw new Error(`The refresh failed: ${response.body}`)
  return response.json()
}

/** What a guard says about the token. */
async function outcome (app: FastifyInstance, { access_token: token }: TokenBody): Promise<string> {
  const response = await app.inject({ url: '/protected-route', headers: bearer(token) })
  return response.statusCode === 200 ? 'accepted' : response.json<{ code: string }>().code
}

type Send = (method: 'GET' | 'POST' | 'PATCH' | 'DELETE', url: string, payload?: object) =>
Promise<LightMyRequestResponse>

async function as (app: FastifyInstance, username: string): Promise<Send> {
  const { access_token: token } = await logIn(app, username)
  return (method, url, payload) => app.inject({ method, url, headers: bearer(token), payload })
}

t.test('a login gets the scopes of the roles, and the token names the roles', async t => {
  const { app } = await build(t, { roles: ROLES })
  await addUser(app, 'carol', { scopes: ['admin'], roles: ['viewer', 'editor'] })
  const tokens = await logIn(app, 'carol')
  t.equal(tokens.scope, 'admin items:read items:write')
  t.match(claimsOf(tokens.access_token), { scope: 'admin items:read items:write', roles: ['editor', 'viewer'] })
  const narrow = await logIn(app, 'carol', { scope: 'items:write' })
  t.match(claimsOf(narrow.access_token), { scope: 'items:write', roles: ['editor', 'viewer'] })
  t.notOk('roles' in claimsOf((await logIn(app, 'alice')).access_token), 'a user without roles')

  const me = await app.inject({ url: '/users/me', headers: bearer(narrow.access_token) })
  t.match(me.json(), { scopes: ['admin', 'items:read', 'items:write'], roles: ['editor', 'viewer'] })
  const page = await app.inject({ method: 'POST', url: '/login', payload: { username: 'carol', password: PASSWORD } })
  t.match(page.json().user, { scopes: ['admin', 'items:read', 'items:write'], roles: ['editor', 'viewer'] })
})

t.test('a role that lost a scope: its tokens are dead at once, and a refresh gives what is left', async t => {
  const service = createService(t)
  const before = await service.restart(ROLES)
  await addUser(before, 'carol', { roles: ['editor'] })
  await addUser(before, 'dave', { scopes: ['items:write'], roles: ['editor'] })
  await addUser(before, 'eve', { roles: ['viewer'] })
  const [carol, dave, eve, alice] = [
    await logIn(before, 'carol'), await logIn(before, 'dave'), await logIn(before, 'eve'), await logIn(before)
  ]
  t.equal(await outcome(before, carol), 'accepted')

  // The clock stands still, so the tokens and the rule are of the same millisecond.
  const after = await service.restart(SMALLER)
  t.same(service.rules(), [{ kind: 'role', value: 'editor' }])
  t.equal(await outcome(after, carol), 'token_revoked')
  t.equal(await outcome(after, dave), 'token_revoked')
  t.equal(await outcome(after, eve), 'accepted', 'another role')
  t.equal(await outcome(after, alice), 'accepted', 'no role')

  const next = await refresh(after, carol)
  t.equal(next.scope, 'items:read')
  t.match(claimsOf(next.access_token), { scope: 'items:read', roles: ['editor'] })
  t.equal(await outcome(after, next), 'accepted')
  t.equal((await refresh(after, dave)).scope, 'items:read items:write', 'held directly too')
  t.equal((await logIn(after, 'carol')).scope, 'items:read')
  const events = await after.latchkey.audit.list({ type: 'role_reduced' })
  t.match(events, [{ actor: { kind: 'system' }, details: { role: 'editor', scopes: ['items:write'] } }])

  const again = await service.restart(SMALLER)
  t.equal(service.rules().length, 1, 'the next start writes nothing')
  t.equal(await outcome(again, next), 'accepted')
})

t.test('a role that was removed grants nothing and is still shown', async t => {
  const service = createService(t)
  const before = await service.restart(ROLES)
  const { id } = await addUser(before, 'carol', { scopes: ['admin'], roles: ['editor', 'viewer'] })
  const tokens = await logIn(before, 'carol')
  const after = await service.restart({ viewer: [] })
  t.same(service.rules().length, 3)
  t.equal(await outcome(after, tokens), 'token_revoked')
  const next = await refresh(after, tokens)
  t.match(claimsOf(next.access_token), { scope: 'admin', roles: ['viewer'] }, 'a role without scopes is still a name')
  t.match(await after.latchkey.users.findById(id), { scopes: ['admin'], roles: ['editor', 'viewer'] })
})

t.test('a role that only grew revokes nothing, and neither do new roles', async t => {
  const service = createService(t)
  const before = await service.restart({ editor: ['items:read'] })
  await addUser(before, 'carol', { roles: ['editor'] })
  const tokens = await logIn(before, 'carol')
  const after = await service.restart(ROLES)
  t.same(service.rules(), [])
  t.equal(await outcome(after, tokens), 'accepted')
  t.equal((await refresh(after, tokens)).scope, 'items:read', 'a session does not get more than its login')
  t.equal((await logIn(after, 'carol')).scope, 'items:read items:write')
})

t.test('a start that fails revokes nothing', async t => {
  const service = createService(t)
  const before = await service.restart(ROLES)
  await addUser(before, 'carol', { roles: ['editor'] })
  const tokens = await logIn(before, 'carol')
  await t.rejects(service.restart({ editor: ['unknown'] }), { message: /role editor .*Unknown scope 'unknown'/ })
  t.same(service.rules(), [])
  t.equal(await outcome(await service.restart(ROLES), tokens), 'accepted')
})

t.test('the clock was set back: old tokens are dead all the same, and new ones are not', async t => {
  const service = createService(t)
  const before = await service.restart(ROLES)
  await addUser(before, 'carol', { roles: ['editor'] })
  const tokens = await logIn(before, 'carol')
  service.clock.move(-60_000)
  const after = await service.restart(SMALLER)
  t.equal(await outcome(after, tokens), 'invalid_token', 'not valid yet')
  const next = await refresh(after, tokens)
  t.equal(await outcome(after, next), 'accepted')
  service.clock.move(-60_000)
  const later = await service.restart(SMALLER)
  t.equal(await outcome(later, await logIn(later, 'carol')), 'accepted', 'set back once more')
  service.clock.move(120_000)
  t.equal(await outcome(later, tokens), 'token_revoked')
  t.equal(await outcome(later, next), 'accepted')
})

t.test('a second node that starts with a smaller role: the first one and its verifiers refuse the tokens', async t => {
  const file = databaseFile(t)
  const given = { database: file, secret: SECRET, roles: ROLES }
  const { app, issuer } = await createIssuer(t, given)
  const { client, secret } = await app.latchkey.clients.add({ name: 'verifier', scopes: ['revocations:read'] })
  const { verifier } = buildVerifier(t, { issuer, clientId: client.id, clientSecret: secret })
  await verifier.ready()
  await addUser(app, 'carol', { roles: ['editor'] })
  const [carol, alice] = [await logIn(app, 'carol'), await logIn(app)]
  t.match(await outcomeOf(verifier, carol.access_token), /^[0-9a-f-]{36}$/)

  await build(t, { ...given, issuer, roles: SMALLER })
  await until(async () => await outcomeOf(verifier, carol.access_token) === 'token_revoked')
  await until(async () =>
    (await app.inject({ url: '/users/me', headers: bearer(carol.access_token) })).statusCode === 401)
  t.match(await outcomeOf(verifier, alice.access_token), /^[0-9a-f-]{36}$/)

  const { access_token: reader } = await logIn(app)
  t.equal((await app.inject({ url: '/revocations', headers: bearer(reader) })).statusCode, 403)
  const token = await app.latchkey.tokens.sign(await app.latchkey.clients.issue(client))
  const page = (await app.inject({ url: '/revocations', headers: bearer(token) })).json()
  t.match(page, { rules: [], roles: [{ value: 'editor', issued_before: Number, expires_at: Number }] })
})

t.test('administrators give and take roles', async t => {
  const { app } = await build(t, { roles: ROLES })
  await addUser(app, 'boss', { roles: ['manager'] })
  const boss = await as(app, 'boss')
  const added = await boss('POST', '/users', { username: 'carol', password: PASSWORD, roles: ['viewer', 'editor', 'viewer'] })
  t.equal(added.statusCode, 201)
  t.match(added.json(), { scopes: [], roles: ['editor', 'viewer'] })
  const { id } = added.json<{ id: string }>()
  const tokens = await logIn(app, 'carol')
  t.equal((await boss('PATCH', `/users/${id}`, { scopes: ['items:write'] })).statusCode, 200)
  t.equal(await outcome(app, tokens), 'accepted', 'nothing was taken away')

  const changed = await boss('PATCH', `/users/${id}`, { roles: ['viewer'] })
  t.match(changed.json(), { scopes: ['items:write'], roles: ['viewer'] })
  t.equal(await outcome(app, tokens), 'token_revoked')
  t.equal((await refresh(app, tokens)).scope, 'items:read items:write')
  t.match(await app.latchkey.audit.list({ type: 'roles_changed' }), [
    { subject: id, details: { before: ['editor', 'viewer'], after: ['viewer'] } }
  ])
  const list = (await boss('GET', '/users?search=carol')).json()
  t.match(list.users, [{ scopes: ['items:write'], roles: ['viewer'] }])

  const table: Array<[roles: unknown, says: RegExp]> = [
    [['writer'], /Unknown role 'writer': the roles are editor, viewer, manager/],
    [['__proto__'], /Unknown role '__proto__'/],
    [['toString'], /Unknown role/],
    ['editor', /roles/],
    [[1], /roles/],
    [[''], /roles/],
    [['a b'], /roles/],
    [['x'.repeat(65)], /roles/],
    [Array.from({ length: 101 }, (_, index) => `r${index}`), /roles/]
  ]
  for (const [roles, says] of table) {
    const response = await boss('PATCH', `/users/${id}`, { roles })
    assertProblem(t, response, 400, 'invalid_request')
    t.match(response.json().detail, says)
  }
})

t.test('an administrator neither gives nor touches authority that the token lacks, not even by a role', async t => {
  const roles = { ...ROLES, auditor: ['audit:read', 'items:read'] }
  const { app } = await build(t, { roles })
  await addUser(app, 'boss', { roles: ['manager'] })
  const { id: auditorId } = await addUser(app, 'auditor', { roles: ['auditor'] })
  const boss = await as(app, 'boss')
  const { id } = (await boss('POST', '/users', { username: 'carol', password: PASSWORD })).json<{ id: string }>()
  const table: Array<[Parameters<Send>, string]> = [
    [['POST', '/users', { username: 'dave', password: PASSWORD, roles: ['auditor'] }], 'a new account'],
    [['PATCH', `/users/${id}`, { roles: ['auditor'] }], 'an account of theirs'],
    [['PATCH', `/users/${auditorId}`, { roles: [] }], 'an account that has it, to take it away'],
    [['PATCH', `/users/${auditorId}`, { password: 'another walrus cobalt lantern' }], 'its password'],
    [['DELETE', `/users/${auditorId}`], 'its end'],
    [['DELETE', `/users/${auditorId}/sessions`], 'its sessions']
  ]
  for (const [request, name] of table) {
    const response = await boss(...request)
    assertProblem(t, response, 403, 'insufficient_scope', name)
    t.match(response.json().detail, /audit:read/, name)
  }
  t.equal((await boss('PATCH', `/users/${id}`, { roles: ['manager'] })).statusCode, 200, 'what they have, they may give')
})

t.test('the last administrator may be one by a role', async t => {
  const service = createService(t)
  const app = await service.restart({ ...ROLES, Manager: [], 'manager%': [] })
  const { id } = await addUser(app, 'boss', { roles: ['manager'] })
  await addUser(app, 'other', { roles: ['Manager', 'manager%', 'viewer'] })
  const disabled = await addUser(app, 'former', { roles: ['manager'] })
  await app.latchkey.users.disable(disabled.id)
  const boss = await as(app, 'boss')
  for (const change of [{ roles: [] }, { roles: ['viewer'] }, { disabled: true }]) {
    assertProblem(t, await boss('PATCH', `/users/${id}`, change), 409, 'last_administrator')
  }
  assertProblem(t, await boss('DELETE', `/users/${id}`), 409, 'last_administrator')
  t.equal((await boss('PATCH', `/users/${id}`, { roles: [], scopes: ['users:write', 'users:read'] })).statusCode, 200)
  await app.latchkey.users.setRoles(id, ['manager'])
  await app.latchkey.users.setScopes(id, [])
  const { id: second } = await addUser(app, 'second', { roles: ['viewer', 'manager'] })
  t.equal((await (await as(app, 'boss'))('PATCH', `/users/${id}`, { roles: [] })).statusCode, 200, 'there is another')

  // After a restart, the definition decides and no column.
  const without = await service.restart({ ...ROLES, manager: ['users:read'] })
  await without.latchkey.users.setScopes(id, ['users:write'])
  const only = await as(without, 'boss')
  assertProblem(t, await only('PATCH', `/users/${id}`, { disabled: true }), 409, 'last_administrator')
  const back = await service.restart(ROLES)
  t.equal((await (await as(back, 'boss'))('PATCH', `/users/${id}`, { disabled: true })).statusCode, 200)
  t.match(await back.latchkey.users.findById(second), { disabled: false })
})

t.test('users of the host may hold roles, and the hooks see what they come to', async t => {
  const seen: User[] = []
  const roles: string[] | undefined = ['editor', 'gone']
  const user: User = { id: '7', username: 'carol', scopes: ['admin'], roles }
  const lines: string[] = []
  const { app } = await build(t, {
    roles: ROLES,
    users: { authenticate: async () => user, find: async () => user },
    claims (user) {
      seen.push(user)
      return { roles: ['forged'], tenant: 'x' }
    }
  }, { logger: { level: 'warn', stream: { write: line => lines.push(line) } } })
  const tokens = await logIn(app, 'carol')
  t.match(claimsOf(tokens.access_token), { scope: 'admin items:read items:write', roles: ['editor'], tenant: 'x' })
  t.equal((await refresh(app, tokens)).scope, 'admin items:read items:write')
  t.match(seen, [
    { scopes: ['admin', 'items:read', 'items:write'], roles: ['editor', 'gone'] },
    { scopes: ['admin', 'items:read', 'items:write'], roles: ['editor', 'gone'] }
  ])
  t.equal(lines.filter(line => line.includes("the role 'gone'")).length, 1)
  const me = await app.inject({ url: '/users/me', headers: bearer(tokens.access_token) })
  t.match(me.json(), { scopes: ['admin', 'items:read', 'items:write'], roles: ['editor', 'gone'] })

  for (const wrong of ['editor', [5], [''], ['a b']]) {
    Object.assign(user, { roles: wrong })
    const response = await postForm(app, '/token', { username: 'carol', password: PASSWORD })
    t.equal(response.statusCode, 500, String(wrong))
  }
})

t.test('with a claims hook, a refresh notices a role that was taken away meanwhile', async t => {
  let meanwhile = async (): Promise<void> => {}
  const { app } = await build(t, {
    roles: ROLES,
    async claims () {
      await meanwhile()
      return {}
    }
  })
  const { id } = await addUser(app, 'carol', { roles: ['editor'] })
  const tokens = await logIn(app, 'carol')
  meanwhile = async () => {
    meanwhile = async () => {}
    await app.latchkey.users.setRoles(id, ['viewer'])
  }
  const response = await postForm(app, '/token', {
    grant_type: 'refresh_token', refresh_token: tokens.refresh_token
  })
  t.match(response.json(), { error: 'temporarily_unavailable' })
  const next = await refresh(app, tokens)
  t.match(claimsOf(next.access_token), { scope: 'items:read', roles: ['viewer'] })
})

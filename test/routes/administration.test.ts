import t from 'tap'
import type { Test } from 'tap'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import type { LatchkeyOptions } from '../../app.js'
import { BUILT_IN_SCOPES } from '../../lib/identity/scopes.js'
import { bearer, build, createTestClock, logIn, logInWithCookies, PASSWORD, postForm } from '../helper.js'
import { addClient, assertProblem, databaseFile, SECRET } from './support.js'

const NEW_PASSWORD = 'another walrus cobalt lantern'
const NOBODY = '01890a5d-ac96-774b-bcce-b302099a8057'

type Send = (
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE', url: string, payload?: object
) => Promise<LightMyRequestResponse>

/** Requests with a token of this user, made now: what happens later must reach it. */
async function as (app: FastifyInstance, username: string, scope?: string): Promise<Send & { token: string }> {
  const { access_token: token } = await logIn(app, username, scope === undefined ? {} : { scope })
  const send: Send = (method, url, payload) => app.inject({ method, url, headers: bearer(token), payload })
  return Object.assign(send, { token })
}

/** `alice`, `bob` and these administrators: `root` with all built-in scopes, `clerk` with those of users only. */
async function buildOffice (t: Test, options: LatchkeyOptions = {}) {
  const { app, clock } = await build(t, options)
  const { users } = app.latchkey
  const rootScopes = Object.keys(BUILT_IN_SCOPES)
  const { id: rootId } = await users.add({ username: 'root', password: PASSWORD, scopes: rootScopes })
  const { id: clerkId } = await users.add({
    username: 'clerk', password: PASSWORD, scopes: ['users:read', 'users:write']
  })
  const ids = { root: rootId, clerk: clerkId, alice: await idOf(app, 'alice'), bob: await idOf(app, 'bob') }
  return { app, clock, ids, rootScopes, root: await as(app, 'root'), clerk: await as(app, 'clerk') }
}

async function idOf (app: FastifyInstance, username: string): Promise<string> {
  return (await app.latchkey.users.findByName(username))?.id ?? ''
}

async function canLogIn (app: FastifyInstance, username: string, password = PASSWORD): Promise<boolean> {
  return (await postForm(app, '/token', { grant_type: 'password', username, password })).statusCode === 200
}

t.test('each route asks for its scope', async t => {
  const { app, ids } = await buildOffice(t)
  const alice = await as(app, 'alice')
  const reader = await as(app, 'clerk', 'users:read')
  const writer = await as(app, 'clerk', 'users:write')
  const routes: Array<['GET' | 'POST' | 'PATCH' | 'DELETE', string, object | undefined, string]> = [
    ['GET', '/users', undefined, 'users:read'],
    ['GET', `/users/${ids.bob}`, undefined, 'users:read'],
    ['GET', `/users/${ids.bob}/sessions`, undefined, 'users:read'],
    ['POST', '/users', { username: 'carol', password: PASSWORD }, 'users:write'],
    ['PATCH', `/users/${ids.bob}`, { disabled: true }, 'users:write'],
    ['DELETE', `/users/${ids.bob}/sessions`, undefined, 'users:write'],
    ['DELETE', `/users/${ids.bob}`, undefined, 'users:write']
  ]
  for (const [method, url, payload, scope] of routes) {
    const name = `${method} ${url}`
    assertProblem(t, await app.inject({ method, url, payload }), 401, 'unauthenticated', name)
    for (const [who, send] of [
      ['alice', alice], ['the other scope', scope === 'users:read' ? writer : reader]
    ] as const) {
      const refused = await send(method, url, payload)
      assertProblem(t, refused, 403, 'insufficient_scope', `${name} by ${who}`)
      t.match(refused.headers['www-authenticate'], `scope="${scope}"`)
    }
  }
  t.match(await app.latchkey.users.findById(ids.bob), { disabled: false }, 'and nothing has happened')
})

t.test('a user is added, read, changed and removed', async t => {
  const { app, clerk } = await buildOffice(t)
  const added = await clerk(
    'POST', '/users', { username: 'Carol', password: PASSWORD, scopes: ['items:write', 'admin', 'admin'] }
  )
  t.equal(added.statusCode, 201)
  const carol = added.json()
  t.strictSame(
    Object.keys(carol).sort(), ['created_at', 'disabled', 'id', 'password_changed_at', 'roles', 'scopes', 'username'],
    'and no hash'
  )
  t.match(carol, { username: 'Carol', scopes: ['admin', 'items:write'], disabled: false, created_at: /^\d{4}-.*Z$/ })
  t.strictSame((await clerk('GET', `/users/${carol.id}`)).json(), carol)
  t.same(
    (await clerk('POST', '/users', { username: 'dave', password: PASSWORD })).json().scopes, [],
    'no scopes unless given'
  )

  const changed = await clerk('PATCH', `/users/${carol.id}`, { scopes: [], disabled: true, password: NEW_PASSWORD })
  t.equal(changed.statusCode, 200)
  t.match(changed.json(), { id: carol.id, scopes: [], disabled: true })
  t.strictSame((await clerk('GET', `/users/${carol.id}`)).json(), changed.json(), 'a disabled one is there too')
  t.equal((await clerk('PATCH', `/users/${carol.id}`, { disabled: false })).json().disabled, false)
  t.equal(await canLogIn(app, 'carol', NEW_PASSWORD), true)
  const removed = await clerk('DELETE', `/users/${carol.id}`)
  t.equal(removed.statusCode, 204)
  t.equal(removed.body, '')
  assertProblem(t, await clerk('GET', `/users/${carol.id}`), 404, 'not_found')
})

t.test('what is wrong gets its reason, and changes nothing', async t => {
  const { app, ids, clerk } = await buildOffice(t)
  const bob = `/users/${ids.bob}`
  const before = (await clerk('GET', bob)).body
  const table: Array<['POST' | 'PATCH', string, object, number, string, RegExp?]> = [
    ['POST', '/users', {}, 400, 'invalid_request', /lacks the member 'username'/],
    ['POST', '/users', { username: 'carol' }, 400, 'invalid_request'],
    ['POST', '/users', { username: 'BOB', password: PASSWORD }, 409, 'username_taken'],
    ['POST', '/users', { username: 1, password: PASSWORD }, 400, 'invalid_request'],
    ['POST', '/users', { username: 'x'.repeat(255), password: PASSWORD }, 400, 'invalid_request'],
    ['POST', '/users', { username: ' carol', password: PASSWORD }, 400, 'invalid_request', /begin or end with a space/],
    [
      'POST', '/users', { username: 'alice\uFE0F', password: PASSWORD }, 400, 'invalid_request',
      /contain U\+FE0F \(a variation selector\)/
    ],
    [
      'POST', '/users', { username: 'carol', password: PASSWORD, disabled: true }, 400, 'invalid_request',
      /unknown member 'disabled'/
    ],
    ['POST', '/users', { username: 'carol', password: 'short' }, 400, 'password_rejected', /shorter than 15/],
    [
      'POST', '/users', { username: 'carol', password: PASSWORD, scopes: ['root'] }, 400, 'invalid_scope',
      /'root': the catalogue has .*items:write/
    ],
    ['POST', '/users', { username: 'carol', password: PASSWORD, scopes: 'admin' }, 400, 'invalid_request'],
    ['PATCH', bob, {}, 400, 'invalid_request'],
    ['PATCH', bob, [], 400, 'invalid_request'],
    ['PATCH', bob, { disabled: 'true' }, 400, 'invalid_request'],
    ['PATCH', bob, { disabled: null }, 400, 'invalid_request'],
    ['PATCH', bob, { scopes: null }, 400, 'invalid_request'],
    ['PATCH', bob, { scopes: ['admin items:read'] }, 400, 'invalid_request'],
    ['PATCH', bob, { scopes: ['__proto__'] }, 400, 'invalid_scope'],
    ['PATCH', bob, { scopes: Array(257).fill('admin') }, 400, 'invalid_request'],
    ['PATCH', bob, { scopes: [], password: 'short' }, 400, 'password_rejected'],
    ['PATCH', bob, { password: PASSWORD, disabled: true, scopes: ['root'] }, 400, 'invalid_scope'],
    ['PATCH', bob, { password: 'p'.repeat(20_000) }, 413, 'payload_too_large']
  ]
  for (const [method, url, payload, status, code, detail] of table) {
    const name = `${method} ${JSON.stringify(payload).slice(0, 60)}`
    const response = await clerk(method, url, payload)
    assertProblem(t, response, status, code, name)
    if (detail !== undefined) t.match(response.json().detail, detail, name)
  }
  t.equal((await clerk('GET', bob)).body, before)
  t.equal(await app.latchkey.users.findByName('carol'), null)
  t.equal((await clerk('PATCH', bob)).statusCode, 400, 'no body at all')
})

t.test('an id that is nobody is 404, whatever it looks like; me is no id', async t => {
  const { clerk } = await buildOffice(t)
  for (const id of [NOBODY, 'me', 'x', '0', '..%2Fme', '%00', "'%20or%201=1", '__proto__', 'a'.repeat(100)]) {
    for (const [method, path, payload] of [
      ['GET', '', undefined], ['PATCH', '', { disabled: true }], ['PATCH', '', { password: PASSWORD }],
      ['DELETE', '', undefined], ['GET', '/sessions', undefined], ['DELETE', '/sessions', undefined]
    ] as const) {
      if (id === 'me' && method === 'GET' && path === '') continue
      assertProblem(t, await clerk(method, `/users/${id}${path}`, payload), 404, 'not_found', `${method} ${id}${path}`)
    }
  }
  t.match((await clerk('GET', '/users/me')).json(), { username: 'clerk' })
})

t.test('pages neither miss nor repeat, while users come and go', async t => {
  const { app, clerk } = await buildOffice(t)
  const { users } = app.latchkey
  for (const name of [
    'u1', 'U2', 'u3', '\u00fc4', 'u5', '\ud83d\udd11u', 'u6'
  ]) await users.add({ username: name, password: PASSWORD })
  const all = (await users.list()).map(({ username }) => username)
  const seen: string[] = []
  let cursor: string | null = null
  for (let turn = 0; turn === 0 || cursor !== null; turn++) {
    const response: LightMyRequestResponse = await clerk(
      'GET', `/users?limit=2${cursor === null ? '' : `&cursor=${cursor}`}`
    )
    t.equal(response.statusCode, 200)
    const page = response.json() as { users: Array<{ username: string }>, next: string | null }
    seen.push(...page.users.map(({ username }) => username))
    cursor = page.next
    // The one that the cursor stands on, and one before it, which nobody will see.
    if (seen.length === 4) await users.remove(await idOf(app, seen[3] ?? ''))
    if (seen.length === 4) await users.add({ username: 'a-late-one', password: PASSWORD })
  }
  t.same(seen, all)
  t.equal((await clerk('GET', `/users?limit=${all.length}`)).json().next, null, 'a page that is just full is the last')
  t.same(
    (await clerk('GET', `/users?cursor=${Buffer.from('\u{10FFFF}').toString('base64url')}`)).json(),
    { users: [], next: null }
  )
})

t.test('a search is for how the name begins', async t => {
  const { app, clerk } = await buildOffice(t)
  for (const username of [
    'ann', 'Anna', '\uff21nne', 'an%x', 'an_x', 'joanna', 'a\u{323AF}\u{323AF}', 'a\uff76', 'B\u00f6rje',
    'zz\ud83d\udd11'
  ]) await app.latchkey.users.add({ username, password: PASSWORD })
  const find = async (search: string, more = ''): Promise<string[]> => (await clerk(
    'GET', `/users?search=${encodeURIComponent(search)}${more}`
  )).json().users.map(({ username }: { username: string }) => username)
  t.same(await find('ann'), ['ann', 'Anna', 'Anne'])
  t.same(await find('ANN'), ['ann', 'Anna', 'Anne'])
  t.same(await find('\uff21nn'), ['ann', 'Anna', 'Anne'], 'NFKC')
  t.same(await find('bo\u0308'), ['B\u00f6rje'])
  t.same(await find('an%'), ['an%x'], 'a wildcard of LIKE is a character')
  t.same(await find('an_'), ['an_x'])
  t.same(await find('%'), [])
  t.same(await find('a\u{323AF}'), ['a\u{323AF}\u{323AF}'])
  t.same((await find('a')).length, 8, 'the last of all characters too')
  t.same(await find('zz\ud83d\udd11'), ['zz\ud83d\udd11'])
  t.same(await find('nobody'), [])
  const first = (await clerk('GET', '/users?search=an&limit=3')).json()
  t.same(
    [
      ...first.users.map(({ username }: { username: string }) => username), ...await find('an', `&cursor=${first.next}`)
    ],
    await find('an'),
    'pages go on'
  )
})

t.test('a query that is not one is 400', async t => {
  const { clerk } = await buildOffice(t)
  const cursors = ['', 'a', 'YQ==', 'YR', '_w', '7aCA', '../x', '%00', 'a'.repeat(1_025)]
  for (const text of [
    ...cursors.map(cursor => `cursor=${cursor}`), 'limit=0', 'limit=1001', 'limit=x', 'limit=', 'limit=1.5', 'limit=-1',
    'search=', `search=${'x'.repeat(255)}`, 'search=a&search=b', 'search[]=a', 'x=1'
  ]) {
    assertProblem(t, await clerk('GET', `/users?${text}`), 400, 'invalid_request', text)
  }
})

t.test('a token from before is dead as soon as rights are taken away, here and in another process', async t => {
  const clock = createTestClock()
  const options: LatchkeyOptions = { database: databaseFile(t), secret: SECRET, now: clock }
  const { app: one, clerk } = await buildOffice(t, options)
  const { app: two } = await build(t, options)
  const table: Array<[name: string, method: 'PATCH' | 'DELETE', path: string, payload: object | undefined, token: number, session: number]> = [
    ['a scope less', 'PATCH', '', { scopes: ['items:read'] }, 401, 200],
    ['a scope less, and another more', 'PATCH', '', { scopes: ['items:read', 'items:write'] }, 401, 200],
    ['a scope more', 'PATCH', '', { scopes: ['admin', 'items:read', 'items:write'] }, 200, 200],
    ['a scope less in a change of several members', 'PATCH', '', { scopes: ['items:read'], disabled: false }, 401, 200],
    ['a password', 'PATCH', '', { password: NEW_PASSWORD }, 401, 401],
    [
      'a password and a scope more', 'PATCH', '',
      { password: NEW_PASSWORD, scopes: ['admin', 'items:read', 'items:write'] }, 401, 401
    ],
    ['disabled', 'PATCH', '', { disabled: true }, 401, 401],
    [
      'disabled, with a scope more', 'PATCH', '', { disabled: true, scopes: ['admin', 'items:read', 'items:write'] },
      401, 401
    ],
    ['logged out everywhere', 'DELETE', '/sessions', undefined, 401, 401],
    ['removed', 'DELETE', '', undefined, 401, 401]
  ]
  for (const [index, [name, method, path, payload, token, session]] of table.entries()) {
    const username = `user-${index}`
    const { id } = await one.latchkey.users.add({ username, password: PASSWORD, scopes: ['admin', 'items:read'] })
    const tokens = [await logIn(one, username), await logIn(two, username)]
    const status = async (app: FastifyInstance, from: number): Promise<number> => (await app.inject({
      url: '/admin/', headers: bearer(tokens[from]?.access_token ?? '')
    })).statusCode
    for (const app of [one, two]) {
      for (const from of [0, 1]) {
        t.equal(
          await status(app, from), 200, `${name}: alive before`
        )
      }
    }
    t.ok((await clerk(method, `/users/${id}${path}`, payload)).statusCode < 300, name)
    for (const app of [two, one]) {
      for (const from of [0, 1]) {
        t.equal(
          await status(app, from), token, `${name}: the access token`
        )
      }
    }
    for (const [from, app] of [two, one].entries()) {
      t.equal(
        (await app.inject({
          method: 'POST', url: '/refresh', payload: { refresh_token: tokens[from]?.refresh_token }
        })).statusCode,
        session,
        `${name}: the session`
      )
    }
  }
})

t.test('nobody gives a built-in scope that the own token lacks; those of the app are for every administrator to give', async t => {
  const { app, ids, rootScopes, root, clerk } = await buildOffice(t)
  const narrow = await as(app, 'root', 'users:write')
  for (const [who, send] of [['clerk', clerk], ['root with a narrow token', narrow]] as const) {
    for (const refused of [
      await send(
        'POST', '/users', { username: 'mallory', password: PASSWORD, scopes: ['audit:read', 'admin', 'clients:write'] }
      ),
      await send('PATCH', `/users/${ids.bob}`, { scopes: ['audit:read', 'admin', 'clients:write'] })
    ]) {
      assertProblem(t, refused, 403, 'insufficient_scope', who)
      t.match(refused.json().detail, /audit:read, clients:write/)
      t.match(
        refused.headers['www-authenticate'],
        /^Bearer error="insufficient_scope", error_description="[^"]*", scope="audit:read clients:write"$/
      )
    }
    t.equal((await send('PATCH', `/users/${ids.bob}`, { scopes: ['admin', 'items:write'] })).statusCode, 200)
  }
  assertProblem(
    t, await clerk('PATCH', `/users/${ids.clerk}`, { scopes: ['users:read', 'users:write', 'audit:read'] }), 403,
    'insufficient_scope', 'to oneself'
  )
  t.equal(await app.latchkey.users.findByName('mallory'), null)
  t.equal(
    (await clerk('POST', '/users', { username: 'peer', password: PASSWORD, scopes: ['users:write'] })).statusCode, 201,
    'what it carries it may give'
  )
  t.equal((await root('PATCH', `/users/${ids.bob}`, { scopes: rootScopes })).statusCode, 200)
})

t.test('nobody lays hands on an account with more authority than the own token carries: a new password would take it over', async t => {
  const { app, ids, root, clerk } = await buildOffice(t)
  const narrow = await as(app, 'root', 'users:write')
  const before = await app.latchkey.users.findById(ids.root)
  for (const [who, send] of [['clerk', clerk], ['the same user with a narrow token', narrow]] as const) {
    const own = send === narrow
    for (const payload of [
      { disabled: true }, { disabled: false }, { scopes: [] }, { scopes: ['users:write'] },
      ...own ? [] : [{ password: NEW_PASSWORD }, { password: 'short' }]
    ]) {
      assertProblem(
        t, await send('PATCH', `/users/${ids.root}`, payload), 403, 'insufficient_scope',
        `${who} ${JSON.stringify(payload)}`
      )
    }
    assertProblem(t, await send('DELETE', `/users/${ids.root}`), 403, 'insufficient_scope', who)
    if (!own) assertProblem(t, await send('DELETE', `/users/${ids.root}/sessions`), 403, 'insufficient_scope', who)
  }
  t.same(await app.latchkey.users.findById(ids.root), before)
  t.equal((await root('GET', '/users/me')).statusCode, 200, 'and its sessions go on')
  t.equal((await narrow('DELETE', `/users/${ids.root}/sessions`)).statusCode, 204, 'everybody may log out oneself')
  t.equal((await root('GET', '/users/me')).statusCode, 401)
})

t.test('ASVS 6.2.3: the own password is set by who knows the current one', async t => {
  const { app, ids, clerk } = await buildOffice(t)
  const refused = await clerk('PATCH', `/users/${ids.clerk}`, { password: NEW_PASSWORD })
  assertProblem(t, refused, 400, 'invalid_request')
  t.match(refused.json().detail, 'PUT /users/me/password')
  t.equal(await canLogIn(app, 'clerk'), true)
})

t.test('a machine client administers within its own scopes, and is named in the trail', async t => {
  const { app, ids } = await buildOffice(t)
  const { id, form } = await addClient(app, { scopes: ['users:read', 'users:write'] })
  const { access_token: token } = (await postForm(app, '/token', { grant_type: 'client_credentials', ...form })).json()
  const robot: Send = (method, url, payload) => app.inject({ method, url, headers: bearer(token), payload })
  t.equal((await robot('PATCH', `/users/${ids.bob}`, { password: NEW_PASSWORD, scopes: ['admin'] })).statusCode, 200)
  t.equal(await canLogIn(app, 'bob', NEW_PASSWORD), true)
  t.equal((await robot('DELETE', `/users/${ids.bob}/sessions`)).statusCode, 204)
  assertProblem(t, await robot('PATCH', `/users/${ids.root}`, { password: NEW_PASSWORD }), 403, 'insufficient_scope')
  assertProblem(t, await robot('DELETE', `/users/${ids.root}/sessions`), 403, 'insufficient_scope')
  assertProblem(
    t, await robot('POST', '/users', { username: 'carol', password: PASSWORD, scopes: ['audit:read'] }), 403,
    'insufficient_scope'
  )
  const [last] = await app.latchkey.audit.list({ subject: ids.bob, type: 'sessions_ended' })
  t.match(last, { actor: { kind: 'client', id } })
  await app.latchkey.clients.remove(id)
  assertProblem(t, await robot('DELETE', `/users/${ids.bob}`), 401, 'token_revoked')
})

t.test('the last administrator stays one', async t => {
  const { app, ids, root, clerk } = await buildOffice(t)
  t.equal((await root('PATCH', `/users/${ids.clerk}`, { disabled: true })).statusCode, 200, 'the last but one can go')
  const own = `/users/${ids.root}`
  const attempts: Array<['PATCH' | 'DELETE', object | undefined]> = [
    ['PATCH', { disabled: true }], ['PATCH', { scopes: ['users:read'] }],
    ['PATCH', { scopes: ['users:write'], disabled: true }], ['DELETE', undefined]
  ]
  for (const [method, payload] of attempts) {
    const refused = await root(method, own, payload)
    assertProblem(t, refused, 409, 'last_administrator', JSON.stringify(payload))
  }
  t.equal((await root('GET', '/users/me')).statusCode, 200, 'and nothing died of it')
  t.equal((await clerk('GET', '/users/me')).statusCode, 401)
  t.equal((await root('PATCH', own, { scopes: ['users:write', 'users:read'] })).statusCode, 200, 'other scopes may go')

  const { users } = app.latchkey
  t.match(await users.disable(ids.root), { disabled: true }, 'the host app may: it can add another')
  await users.enable(ids.root)
  await users.enable(ids.clerk)
  const again = await as(app, 'root')
  t.equal((await again('DELETE', own)).statusCode, 204, 'with another there, everybody may go')
  assertProblem(t, await (await as(app, 'clerk'))('DELETE', `/users/${ids.clerk}`), 409, 'last_administrator')
})

t.test('two administrators who remove each other at the same moment, in two processes: one of them stays', async t => {
  for (const [method, payload] of [
    ['DELETE', undefined], ['PATCH', { disabled: true }], ['PATCH', { scopes: [] }]
  ] as const) {
    const options: LatchkeyOptions = { database: databaseFile(t), secret: SECRET, now: createTestClock() }
    const { app: one, ids } = await buildOffice(t, options)
    const { app: two } = await build(t, options)
    await one.latchkey.users.setScopes(ids.root, ['users:write'])
    const [root, clerk] = [await as(one, 'root', 'users:write'), await as(two, 'clerk', 'users:write')]
    const answers = await Promise.all([
      root(method, `/users/${ids.clerk}`, payload), clerk(method, `/users/${ids.root}`, payload)
    ])
    t.equal(answers.filter(({ statusCode }) => statusCode < 300).length, 1, `${method} ${JSON.stringify(payload)}`)
    // Whoever was second is no administrator any more, and is told so; had the right stayed, it would be 409.
    for (const answer of answers) t.ok(answer.statusCode < 300 || [401, 403, 409].includes(answer.statusCode))
    const left = (await one.latchkey.users.list()).filter((
      { disabled, scopes }
    ) => !disabled && scopes.includes('users:write'))
    t.equal(left.length, 1)
  }
})

t.test('two administrators who both leave at the same moment: one of them gets 409', async t => {
  const { app, ids } = await buildOffice(t)
  const answers = await Promise.all((['root', 'clerk'] as const).map(
    async name => await (await as(app, name))('DELETE', `/users/${ids[name]}`)
  ))
  t.same(answers.map(({ statusCode }) => statusCode).sort(), [204, 409])
  for (const answer of answers) if (answer.statusCode === 409) assertProblem(t, answer, 409, 'last_administrator')
})

t.test('with cookies it works in a browser, and another site has no use of them', async t => {
  const { app, ids } = await buildOffice(t)
  const { cookie } = await logInWithCookies(app, 'clerk')
  const requests: Array<['POST' | 'PATCH' | 'DELETE', string, object | undefined, number]> = [
    ['POST', '/users', { username: 'carol', password: PASSWORD }, 201],
    ['PATCH', `/users/${ids.bob}`, { disabled: true }, 200],
    ['DELETE', `/users/${ids.bob}/sessions`, undefined, 204],
    ['DELETE', `/users/${ids.bob}`, undefined, 204]
  ]
  for (const [method, url, payload, status] of requests) {
    for (const headers of [
      { 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }, { origin: 'https://evil.example' },
      { origin: 'null' }
    ] as Array<Record<string, string>>) {
      assertProblem(
        t, await app.inject({ method, url, payload, headers: { cookie, ...headers } }), 403, 'cross_site_request',
        `${method} ${JSON.stringify(headers)}`
      )
    }
    t.equal(
      (await app.inject({ method, url, payload, headers: { cookie, 'sec-fetch-site': 'same-origin' } })).statusCode,
      status, method
    )
  }
})

t.test('ASVS 7.4.5: the sessions of a user: shown, and ended with every token', async t => {
  const { app, ids, clerk } = await buildOffice(t)
  await app.inject({
    method: 'POST',
    url: '/login',
    payload: { username: 'bob', password: PASSWORD },
    headers: { 'user-agent': 'a browser' }
  })
  const bob = await as(app, 'bob')
  const { sessions } = (await clerk('GET', `/users/${ids.bob}/sessions`)).json()
  t.equal(sessions.length, 2)
  t.strictSame(
    Object.keys(sessions[0]).sort(),
    [
      'address', 'client_id', 'created_at', 'current', 'device', 'expires_at', 'id', 'last_used_at', 'scope',
      'user_agent'
    ]
  )
  t.ok(sessions.every(({ current }: { current: boolean }) => !current), 'none is this one')
  t.ok((await clerk('GET', `/users/${ids.clerk}/sessions`)).json().sessions[0].current)
  t.equal((await clerk('DELETE', `/users/${ids.bob}/sessions`)).statusCode, 204)
  t.equal((await bob('GET', '/users/me')).statusCode, 401)
  t.same((await clerk('GET', `/users/${ids.bob}/sessions`)).json(), { sessions: [] })
  t.equal((await clerk('DELETE', `/users/${ids.bob}/sessions`)).statusCode, 204, 'again')
})

t.test('the trail says who did it, and a refused attempt leaves nothing', async t => {
  const heard: object[] = []
  const { app, ids, root, clerk } = await buildOffice(t, { onEvent: event => { heard.push(event) } })
  heard.length = 0
  await clerk('PATCH', `/users/${ids.root}`, { disabled: true })
  await clerk('PATCH', `/users/${ids.bob}`, { scopes: ['audit:read'] })
  t.same(heard, [])
  const { id: carol } = (await clerk(
    'POST', '/users', { username: 'carol', password: PASSWORD, scopes: ['admin'] }
  )).json()
  await clerk('PATCH', `/users/${carol}`, { scopes: ['items:read'], disabled: true, password: NEW_PASSWORD })
  await clerk('PATCH', `/users/${carol}`, { disabled: false })
  await clerk('DELETE', `/users/${carol}/sessions`)
  await clerk('DELETE', `/users/${carol}`)
  const { events } = (await root('GET', `/audit?subject=${carol}`)).json()
  t.strictSame(events.map((
    { type, actor, details }: { type: string, actor: object, details: object }
  ) => ({ type, actor, details })).reverse(), [
    { type: 'user_added', details: { username: 'carol', scopes: ['admin'] } },
    { type: 'scopes_changed', details: { before: ['admin'], after: ['items:read'] } },
    { type: 'user_disabled', details: {} },
    { type: 'password_changed', details: {} },
    { type: 'user_enabled', details: {} },
    { type: 'user_removed', details: { username: 'carol' } }
  ].map(event => ({ ...event, actor: { kind: 'user', id: ids.clerk, address: '127.0.0.1' } })))
  t.equal(heard.length, events.length)
  for (const event of heard) {
    t.strictSame(
      (event as { actor: object }).actor, { kind: 'user', id: ids.clerk, address: '127.0.0.1' },
      'and nothing of the token'
    )
  }
  t.notMatch(JSON.stringify(heard), /battery staple|\$2b\$/)
  t.equal((await app.latchkey.audit.list({ type: 'scopes_changed', subject: ids.bob })).length, 0)
})

t.test("where the accounts are the host's, only their sessions are ours to administer", async t => {
  const accounts: Record<string, { id: string, username: string, scopes: string[] }> = {
    1: { id: '1', username: 'root', scopes: ['users:read', 'users:write', 'audit:read'] },
    2: { id: '2', username: 'clerk', scopes: ['users:read', 'users:write'] },
    3: { id: '3', username: 'harriet', scopes: ['admin'] }
  }
  const { app } = await build(
    t,
    {
      users: {
        authenticate: async username => Object.values(accounts).find(account => account.username === username) ?? null,
        find: async id => accounts[id] ?? null
      }
    }
  )
  const [clerk, root, harriet] = [await as(app, 'clerk'), await as(app, 'root'), await as(app, 'harriet')]
  for (const [method, url] of [
    ['GET', '/users'], ['POST', '/users'], ['GET', '/users/3'], ['PATCH', '/users/3'], ['DELETE', '/users/3']
  ] as const) {
    t.equal(
      (await clerk(method, url, method === 'GET' || method === 'DELETE' ? undefined : {})).statusCode, 404,
      `${method} ${url}`
    )
  }
  t.equal((await clerk('GET', '/users/3/sessions')).json().sessions.length, 1)
  assertProblem(t, await harriet('DELETE', '/users/2/sessions'), 403, 'insufficient_scope')
  assertProblem(t, await clerk('DELETE', '/users/1/sessions'), 403, 'insufficient_scope')
  for (const id of ['4', 'me']) {
    assertProblem(t, await clerk('GET', `/users/${id}/sessions`), 404, 'not_found')
    assertProblem(t, await clerk('DELETE', `/users/${id}/sessions`), 404, 'not_found')
  }
  delete accounts[3]
  t.equal(
    (await clerk('GET', '/users/3/sessions')).json().sessions.length, 1,
    'an account that is closed can have sessions all the same'
  )
  t.equal((await clerk('DELETE', '/users/3/sessions')).statusCode, 204)
  t.equal((await harriet('GET', '/protected-route')).statusCode, 401)
  t.equal((await root('DELETE', '/users/2/sessions')).statusCode, 204)
  t.equal((await clerk('GET', '/users/1/sessions')).statusCode, 401)
})

t.test('an administrator renames a user, within the same authority as other changes', async t => {
  const { app, ids, root, clerk } = await buildOffice(t)
  const { access_token: token } = await logIn(app, 'alice')
  const renamed = await clerk('PATCH', `/users/${ids.alice}`, { username: 'Alice.Smith' })
  t.match({ status: renamed.statusCode, body: renamed.json() }, { status: 200, body: { username: 'Alice.Smith' } })
  t.ok(await canLogIn(app, 'alice.smith'))
  t.notOk(await canLogIn(app, 'alice'))
  t.match((await app.inject({ url: '/users/me', headers: bearer(token) })).json(), { username: 'Alice.Smith' })
  assertProblem(t, await clerk('PATCH', `/users/${ids.alice}`, { username: 'BOB' }), 409, 'username_taken')
  assertProblem(t, await clerk('PATCH', `/users/${ids.root}`, { username: 'x' }), 403, 'insufficient_scope')
  for (const username of ['', ' x', 'x'.repeat(1_000), 5, null]) {
    assertProblem(t, await root('PATCH', `/users/${ids.bob}`, { username }), 400, 'invalid_request', String(username))
  }
  t.equal((await clerk('PATCH', `/users/${ids.clerk}`, { username: 'chief' })).statusCode, 200)
})

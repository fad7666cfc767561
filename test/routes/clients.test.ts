import t from 'tap'
import type { Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { bearer, build, logIn, PASSWORD, postForm } from '../helper.js'
import type { TokenBody } from '../helper.js'
import { addClient, assertProblem, databaseFile, query, SECRET } from './support.js'

/** A token of an administrator with these scopes. */
async function administrator (
  app: FastifyInstance, scopes: string[], username = 'root'
): Promise<{ authorization: string }> {
  await app.latchkey.users.add({ username, password: PASSWORD, scopes })
  return bearer((await logIn(app, username)).access_token)
}

async function tokenOf (app: FastifyInstance, form: Record<string, string>): Promise<number> {
  return (await postForm(app, '/token', { grant_type: 'client_credentials', ...form })).statusCode
}

async function statusOf (app: FastifyInstance, token: string): Promise<number> {
  return (await app.inject({ url: '/protected-route', headers: bearer(token) })).statusCode
}

t.test('a client is registered, read, listed in pages, given another secret and removed', async t => {
  const file = databaseFile(t)
  const { app, clock } = await build(t, { database: file, secret: SECRET })
  const headers = await administrator(app, ['clients:write'])
  const added = await app.inject({
    method: 'POST', url: '/clients', headers, payload: { name: 'billing', scope: 'items:write items:read' }
  })
  t.equal(added.statusCode, 201)
  t.equal(added.headers['cache-control'], 'no-store')
  const client = added.json()
  t.match(
    client,
    {
      id: /^lkc_[0-9a-f]{32}$/,
      name: 'billing',
      scope: 'items:read items:write',
      grants: ['client_credentials'],
      secret: /^lks_[A-Za-z0-9_-]{43}$/
    }
  )
  t.strictSame(
    Object.keys(client).sort(), ['created_at', 'grants', 'id', 'name', 'public', 'scope', 'secret', 'secret_changed_at']
  )
  t.equal(await tokenOf(app, { client_id: client.id, client_secret: client.secret }), 200)
  for (const row of query<Record<string, unknown>>(file, 'select * from latchkey_clients')) {
    t.notMatch(
      JSON.stringify(row), client.secret, 'only its hash is kept'
    )
  }

  const { secret, ...view } = client
  t.strictSame(
    (await app.inject({ url: `/clients/${client.id}`, headers })).json(), view, 'read again it has no secret'
  )
  for (const name of ['two', 'three']) {
    clock.move(1)
    await app.inject({
      method: 'POST', url: '/clients', headers, payload: { name, grants: ['password', 'client_credentials'] }
    })
  }
  const first = (await app.inject({ url: '/clients?limit=2', headers })).json()
  t.match(first.clients.map(({ name }: { name: string }) => name), ['billing', 'two'])
  const second = (await app.inject({ url: `/clients?limit=2&cursor=${first.next}`, headers })).json()
  t.match(second, { clients: [{ name: 'three', scope: '', grants: ['client_credentials', 'password'] }], next: null })

  const rotated = await app.inject({ method: 'POST', url: `/clients/${client.id}/secret`, headers })
  t.equal(rotated.statusCode, 200)
  t.equal(rotated.headers['cache-control'], 'no-store')
  t.not(rotated.json().secret, secret)
  t.equal(await tokenOf(app, { client_id: client.id, client_secret: secret }), 401)
  t.equal(await tokenOf(app, { client_id: client.id, client_secret: rotated.json().secret }), 200)

  t.equal((await app.inject({ method: 'DELETE', url: `/clients/${client.id}`, headers })).statusCode, 204)
  t.equal(await tokenOf(app, { client_id: client.id, client_secret: rotated.json().secret }), 401)
  assertProblem(t, await app.inject({ url: `/clients/${client.id}`, headers }), 404, 'not_found')
  for (const [method, url] of [
    ['DELETE', `/clients/${client.id}`], ['POST', `/clients/${client.id}/secret`]
  ] as const) assertProblem(t, await app.inject({ method, url, headers }), 404, 'not_found')
  const told = (await app.latchkey.audit.list()).map(
    ({ type, actor, subject }) => [type, actor.kind, subject === client.id]
  )
  for (const type of ['client_added', 'client_secret_rotated', 'client_removed']) {
    t.ok(
      told.some(([event, by, about]) => event === type && by === 'user' && about), type
    )
  }
})

t.test('the routes are for the scope clients:write, and refuse what they do not know', async t => {
  const { app } = await build(t)
  const { id } = await addClient(app)
  const alice = bearer((await logIn(app)).access_token)
  const headers = await administrator(app, ['clients:write'])
  for (const [method, url] of [
    ['GET', '/clients'], ['POST', '/clients'], ['GET', `/clients/${id}`], ['POST', `/clients/${id}/secret`],
    ['DELETE', `/clients/${id}`]
  ] as const) {
    const payload = method === 'POST' && url === '/clients' ? { name: 'x' } : undefined
    assertProblem(t, await app.inject({ method, url, payload }), 401, 'unauthenticated', `${method} ${url}`)
    assertProblem(
      t, await app.inject({ method, url, payload, headers: alice }), 403, 'insufficient_scope', `${method} ${url}`
    )
  }
  const bodies = [
    {}, { name: '' }, { name: ' x' }, { name: 'x\u0000' }, { name: 1 }, { name: 'x'.repeat(129) },
    { name: 'x', grants: [] }, { name: 'x', grants: ['authorization_code'] },
    { name: 'x', grants: ['password', 'password'] }, { name: 'x', id: 'lkc_me' }, { name: 'x', secret: 'mine' },
    { name: 'x', scope: 'a"b' }
  ]
  for (const payload of bodies) {
    assertProblem(
      t, await app.inject({ method: 'POST', url: '/clients', headers, payload }), 400, 'invalid_request',
      JSON.stringify(payload)
    )
  }
  for (const scope of ['nonsense', '__proto__', 'items:read nonsense']) {
    assertProblem(
      t, await app.inject({ method: 'POST', url: '/clients', headers, payload: { name: 'x', scope } }), 400,
      'invalid_scope', scope
    )
  }
  for (const url of [
    '/clients/latchkey', `/clients/${id}x`, '/clients/__proto__', '/clients?cursor=x', '/clients?limit=0',
    '/clients?x=1'
  ]) assertProblem(t, await app.inject({ url, headers }), 400, 'invalid_request', url)
  t.equal((await app.latchkey.clients.list()).length, 1)
})

t.test('nobody gives a client a right over Latchkey that they do not have, nor takes one over that has it', async t => {
  const { app } = await build(t)
  const headers = await administrator(app, ['clients:write', 'users:read'])
  for (const scope of ['users:write', 'users:read audit:read', 'tokens:introspect']) {
    const response = await app.inject({ method: 'POST', url: '/clients', headers, payload: { name: 'x', scope } })
    assertProblem(t, response, 403, 'insufficient_scope', scope)
    t.match(response.headers['www-authenticate'], `scope="${scope.split(' ').at(-1)}"`, 'RFC 6750 section 3')
  }
  for (const scope of ['users:read clients:write', 'admin items:write']) {
    t.equal(
      (await app.inject({ method: 'POST', url: '/clients', headers, payload: { name: 'x', scope } })).statusCode, 201,
      scope
    )
  }

  const mighty = await addClient(app, { scopes: ['users:write', 'users:read'] })
  assertProblem(
    t, await app.inject({ method: 'POST', url: `/clients/${mighty.id}/secret`, headers }), 403, 'insufficient_scope'
  )
  assertProblem(
    t, await app.inject({ method: 'DELETE', url: `/clients/${mighty.id}`, headers }), 403, 'insufficient_scope',
    'removing it'
  )
  t.equal(await tokenOf(app, mighty.form), 200, 'its secret is what it was')
  const narrow = bearer((await logIn(app, 'root', { scope: 'clients:write' })).access_token)
  assertProblem(
    t,
    await app.inject({ method: 'POST', url: '/clients', headers: narrow, payload: { name: 'x', scope: 'users:read' } }),
    403,
    'insufficient_scope',
    'the token counts, not the account'
  )

  const machine = await addClient(app, { scopes: ['clients:write'] })
  const own = bearer(
    (await postForm(app, '/token', { grant_type: 'client_credentials', ...machine.form })).json().access_token
  )
  assertProblem(
    t,
    await app.inject({ method: 'POST', url: '/clients', headers: own, payload: { name: 'x', scope: 'users:write' } }),
    403, 'insufficient_scope', 'a client neither'
  )
  t.equal(
    (await app.inject({
      method: 'POST', url: '/clients', headers: own, payload: { name: 'x', scope: 'items:read' }
    })).statusCode,
    201
  )
  t.match(
    await app.latchkey.audit.list({ type: 'client_added', limit: 1 }), [{ actor: { kind: 'client', id: machine.id } }]
  )
})

async function sessionThrough (t: Test, app: FastifyInstance, form: Record<string, string>): Promise<TokenBody> {
  const response = await postForm(
    app, '/token', { grant_type: 'password', username: 'alice', password: PASSWORD, ...form }
  )
  t.equal(response.statusCode, 200)
  return response.json()
}

t.test('a removed client is gone at once: its own tokens, its sessions and their tokens, here and in another process', async t => {
  const file = databaseFile(t)
  const { app, clock } = await build(t, { database: file, secret: SECRET })
  const { app: elsewhere } = await build(t, { database: file, secret: SECRET, now: clock })
  const [client, other] = [
    await addClient(app, { grants: ['client_credentials', 'password'] }),
    await addClient(app, { grants: ['client_credentials', 'password'] })
  ]
  const own: TokenBody = (await postForm(app, '/token', { grant_type: 'client_credentials', ...client.form })).json()
  const session = await sessionThrough(t, app, client.form)
  const survivors = [
    (await logIn(app)).access_token, (await sessionThrough(t, app, other.form)).access_token,
    (await postForm(app, '/token', { grant_type: 'client_credentials', ...other.form })).json().access_token
  ]
  for (const token of [own.access_token, session.access_token]) t.equal(await statusOf(elsewhere, token), 200)

  await app.latchkey.clients.remove(client.id)
  for (const one of [app, elsewhere]) {
    for (const token of [own.access_token, session.access_token]) t.equal(await statusOf(one, token), 401)
    t.equal(
      (await postForm(
        one, '/token', { grant_type: 'refresh_token', refresh_token: session.refresh_token, ...client.form }
      )).statusCode,
      401
    )
    t.equal(
      (await postForm(one, '/token', { grant_type: 'refresh_token', refresh_token: session.refresh_token })).statusCode,
      400
    )
    for (const token of survivors) t.equal(await statusOf(one, token), 200)
  }
  t.equal(query(file, 'select id from latchkey_sessions where client_id = ? and ended_at is null', client.id).length, 0)
})

t.test('a new secret ends the old one and the access tokens made with it; sessions go on with the new one', async t => {
  const { app } = await build(t)
  const client = await addClient(app, { grants: ['client_credentials', 'password'] })
  const own: TokenBody = (await postForm(app, '/token', { grant_type: 'client_credentials', ...client.form })).json()
  const session = await sessionThrough(t, app, client.form)
  const { secret } = await app.latchkey.clients.rotateSecret(client.id)
  for (const token of [own.access_token, session.access_token]) t.equal(await statusOf(app, token), 401)
  const refresh = { grant_type: 'refresh_token', refresh_token: session.refresh_token, client_id: client.id }
  t.equal((await postForm(app, '/token', { ...refresh, client_secret: client.secret })).statusCode, 401)
  const next = await postForm(app, '/token', { ...refresh, client_secret: secret })
  t.equal(next.statusCode, 200)
  t.equal(await statusOf(app, next.json().access_token), 200, 'in the same millisecond')
})

t.test('what was under way with the old secret, or with a client that is gone, comes to nothing', async t => {
  const { app } = await build(t)
  const { clients, sessions, users } = app.latchkey
  const alice = await users.findByName('alice') ?? t.bailout('no alice') as never
  for (const change of ['rotateSecret', 'remove'] as const) {
    const { client, secret } = await clients.add({ name: 'x', scopes: ['items:read'], grants: ['password'] })
    const authenticated = await clients.authenticate(client.id, secret) ?? t.bailout('no client') as never
    const session = await sessions.start(alice, { client: authenticated })
    await clients[change](client.id)
    await t.rejects(sessions.start(alice, { client: authenticated }), { code: 'invalid_client' }, `${change}: a login`)
    await t.rejects(clients.issue(authenticated), { code: 'invalid_client' }, `${change}: an own token`)
    await t.rejects(
      sessions.refresh(session.refreshToken, { client: authenticated }),
      { code: change === 'remove' ? 'invalid_refresh_token' : 'invalid_client' }, `${change}: a refresh`
    )
  }
})

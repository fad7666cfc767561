import type { LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { bearer, build, logIn, ON_POSTGRES, PASSWORD, postForm } from '../helper.js'
import { assertOAuthError, assertProblem, buildHost, databaseFile, query, SECRET } from '../routes/support.js'

t.test('RFC 9457 3: an error of our routes is a problem document, whatever handler the host has', async t => {
  const { app } = await buildHost(t, {}, app => {
    app.setErrorHandler((_error, _request, reply) => { reply.code(418).send('mine') })
    app.get('/broken', async () => { throw new Error('mine') })
  })
  assertProblem(t, await app.inject({ url: '/users/me' }), 401, 'unauthenticated')
  assertProblem(t, await app.inject({ method: 'POST', url: '/login', payload: {} }), 400, 'invalid_request')
  assertOAuthError(t, await app.inject({ method: 'POST', url: '/token', payload: {} }), 400, 'invalid_request')
  t.equal((await app.inject({ url: '/broken' })).statusCode, 418)
})

t.test('RFC 9457 5: what nobody expected is a 500 that tells nothing, and the log has the reason', async t => {
  const lines: string[] = []
  const { app } = await build(
    t,
    {
      users: {
        authenticate: async () => { throw new TypeError('select * from secret_table where password = hunter2') },
        find: async () => null
      }
    },
    { logger: { level: 'error', stream: { write: (line: string) => { lines.push(line) } } } }
  )
  assertProblem(
    t, await app.inject({ method: 'POST', url: '/login', payload: { username: 'alice', password: PASSWORD } }), 500,
    'internal_error'
  )
  assertOAuthError(t, await postForm(app, '/token', { username: 'alice', password: PASSWORD }), 500, 'server_error')
  t.match(lines.join(''), /secret_table/)
})

t.test("an error of the host's users with a status of its own does not show its sentence", async t => {
  const { app } = await build(
    t,
    {
      users: {
        authenticate: async () => {
          throw Object.assign(
            new Error('user harriet is in table x'), { statusCode: 404, code: 'X' }
          )
        },
        find: async () => null
      }
    }
  )
  for (const response of [
    await app.inject({ method: 'POST', url: '/login', payload: { username: 'alice', password: PASSWORD } }),
    await postForm(app, '/token', { username: 'alice', password: PASSWORD })
  ]) {
    t.ok(response.statusCode >= 400)
    t.notMatch(response.body, /harriet/)
  }
})

t.test('things thrown that are no errors are a 500 too', async t => {
  for (const thrown of [undefined, null, 'text', 0, {}, { statusCode: 200 }, { validation: [] }]) {
    const { app } = await build(t, { users: { authenticate: async () => { throw thrown }, find: async () => null } })
    const response = await app.inject({
      method: 'POST', url: '/login', payload: { username: 'alice', password: PASSWORD }
    })
    assertProblem(t, response, 500, 'internal_error', JSON.stringify(thrown) ?? 'undefined')
  }
})

t.test('no token, password or cookie is in the log, whatever goes wrong', async t => {
  const lines: string[] = []
  const { app } = await build(
    t, {}, { logger: { level: 'trace', stream: { write: (line: string) => { lines.push(line) } } } }
  )
  const tokens = await logIn(app)
  const secret = 'hunter2 hunter2 hunter2'
  await app.inject({ method: 'POST', url: '/login', payload: { username: 'alice', password: secret } })
  await app.inject({ method: 'POST', url: '/login', payload: { username: 'alice', password: [secret] } })
  await app.inject({
    method: 'POST', url: '/token', headers: { 'content-type': 'application/json' }, payload: `{"password":"${secret}"`
  })
  await app.inject({
    method: 'PUT',
    url: '/users/me/password',
    headers: bearer(tokens.access_token),
    payload: { current_password: PASSWORD, new_password: `${secret} new` }
  })
  await app.inject({ method: 'POST', url: '/refresh', payload: { refresh_token: `${tokens.refresh_token}x` } })
  await app.inject({ url: '/users/me', headers: { cookie: `__Host-access_token=${tokens.access_token}x` } })
  await app.inject({ method: 'POST', url: '/revoke', payload: { token: tokens.refresh_token } })
  const log = lines.join('')
  t.not(log, '')
  for (const text of [
    secret, PASSWORD, tokens.access_token, tokens.refresh_token, '$2b$'
  ]) t.notOk(log.includes(text), text.slice(0, 10))
})

t.test('what the engine says never reaches the client, and a lock of another process stops writers only for as long as it lasts', {
  skip: ON_POSTGRES && 'locks and codes of SQLite'
}, async t => {
  const file = databaseFile(t)
  const { app, store } = await buildHost(t, { database: file, secret: SECRET })
  const tokens = await logIn(app)
  const { default: Database } = await import('better-sqlite3')
  const { transaction } = store
  for (const code of [
    'SQLITE_FULL', 'SQLITE_READONLY', 'SQLITE_IOERR_WRITE', 'SQLITE_CORRUPT', 'SQLITE_NOTADB', 'SQLITE_CANTOPEN'
  ]) {
    store.transaction = async () => { throw Object.assign(new Database.SqliteError('the inside of it', code)) }
    const response = await app.inject({ method: 'POST', url: '/revoke', payload: { token: tokens.access_token } })
    t.ok(response.statusCode >= 500, code)
    t.notMatch(response.body, /inside|SQLITE/)
    store.transaction = transaction
  }
  const lock = new Database(file)
  lock.exec('begin immediate')
  const waiting = postForm(app, '/revoke', { token: tokens.access_token })
  t.equal(
    (await app.inject({ url: '/users/me', headers: bearer(tokens.access_token) })).statusCode, 200,
    'a foreign lock does not stop readers'
  )
  lock.exec('rollback')
  lock.close()
  t.equal((await waiting).statusCode, 200, 'and the writer waits for its turn')
  t.equal((await app.inject({ url: '/users/me', headers: bearer(tokens.access_token) })).statusCode, 401)
  t.equal(query(file, 'select * from latchkey_rules').length, 1)
})

t.test('nothing is acknowledged that a trigger of the database has refused', async t => {
  const file = databaseFile(t)
  const { app } = await build(t, { database: file, secret: SECRET })
  const tokens = await logIn(app)
  if (ON_POSTGRES) {
    query(
      file,
      "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'disk is full' using errcode = '53100'; end $$"
    )
    query(file, 'create trigger full_disk before insert on latchkey_rules execute function refuse()')
  } else {
    query(file, "create trigger full_disk before insert on latchkey_rules begin select raise(abort, 'disk is full'); end")
  }
  for (const token of [tokens.access_token, tokens.refresh_token]) {
    const response = await postForm(app, '/revoke', { token })
    t.ok(response.statusCode >= 500)
    t.notMatch(response.body, /disk is full/)
  }
  t.equal((await app.inject({ url: '/users/me', headers: bearer(tokens.access_token) })).statusCode, 200)
  t.equal(query(file, 'select * from latchkey_sessions where ended_at is not null').length, 0, 'all of it or nothing')
  query(file, ON_POSTGRES ? 'drop trigger full_disk on latchkey_rules' : 'drop trigger full_disk')
  t.equal((await postForm(app, '/revoke', { token: tokens.refresh_token })).statusCode, 200)
  t.equal((await app.inject({ url: '/users/me', headers: bearer(tokens.access_token) })).statusCode, 401)
})

t.test('if a node cannot find out what has changed, every route that issues tokens responds 503 with Retry-After', async t => {
  const { app, store } = await buildHost(t, {}, async app => {
    app.post('/again', async request => await app.latchkey.reissue(request))
    app.post('/as', async request => await app.latchkey.logInAs(request, { id: 'nobody' }, { method: 'test' }))
  })
  const { access_token: accessToken, refresh_token: refreshToken } = await logIn(app)
  const credentials = { username: 'alice', password: PASSWORD }
  const asks: Record<string, () => Promise<LightMyRequestResponse>> = {
    'the password grant': () => postForm(app, '/token', credentials),
    'the refresh grant': () => postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: refreshToken }),
    'a login': () => app.inject({ method: 'POST', url: '/login', payload: credentials }),
    'a refresh by cookie': () =>
      app.inject({ method: 'POST', url: '/refresh', headers: { cookie: `__Host-refresh_token=${refreshToken}` } }),
    'a login by the host': () => app.inject({ method: 'POST', url: '/as' }),
    'a reissue by the host': () => app.inject({ method: 'POST', url: '/again', headers: bearer(accessToken) })
  }
  const { changed } = store
  for (const fail of [
    () => { throw new Error('it hangs') },
    // It does not know, and then asks in vain.
    () => undefined
  ]) {
    store.changed = fail
    for (const [name, ask] of Object.entries(asks)) {
      const response = await ask()
      t.equal(response.statusCode, 503, name)
      t.match(response.json(), response.json().code === undefined
        ? { error: 'temporarily_unavailable' }
        : { code: /^(store_unavailable|revocation_unknown)$/ }, name)
      t.notMatch(response.body, /hangs|slowly/)
    }
  }
  store.changed = changed
  t.equal((await asks['the password grant']?.())?.statusCode, 200)
})

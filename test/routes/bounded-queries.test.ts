import Database from 'better-sqlite3'
import t from 'tap'
import type { Test } from 'tap'
import { bearer, build, logIn, ON_POSTGRES, PASSWORD, postForm, SECRET } from '../helper.js'
import type { TokenBody } from '../helper.js'
import { addClient, basic, databaseFile, query } from './support.js'

// With SQLite, a query runs on the event loop. Whatever the database contains, no query of a request may read or change
// more rows than a step has, or read a large table from its first row to its last.

/** Rows that one statement may read or change: a page of the feed, the longest list of sessions. */
const MOST = 1_001

const SESSIONS = 3_000

interface Ran { sql: string, rows: number }

/** Records what each statement reads or changes. */
function watch (t: Test): Ran[] {
  const ran: Ran[] = []
  const { prepare } = Database.prototype
  Database.prototype.prepare = function watched (this: Database.Database, sql: string) {
    const statement: Database.Statement = prepare.call(this, sql)
    // Kysely quotes every name, but a test does not.
    if (!sql.includes('"')) return statement
    const { all, run } = statement
    statement.all = (...parameters) => {
      const rows = all.apply(statement, parameters)
      ran.push({ sql, rows: rows.length })
      return rows
    }
    statement.run = (...parameters) => {
      const result = run.apply(statement, parameters)
      ran.push({ sql, rows: result.changes })
      return result
    }
    return statement
  } as typeof prepare
  t.teardown(() => { Database.prototype.prepare = prepare })
  return ran
}

/** Gives a user or a client many live sessions. */
function fill (
  file: string, { userId, clientId = 'latchkey', at }: { userId: string, clientId?: string, at: number }
): void {
  query(file, `with recursive n(i) as (select 1 union all select i + 1 from n where i < ${SESSIONS})
    insert into latchkey_sessions (id, user_id, client_id, scope, nonce, generation, rotated_at, created_at, last_used_at,
      idle_expires_at, expires_at, account, network, seen_generation, auth_time, amr)
    select ? || ? || i, ?, ?, 'items:read', 'n', 1, ?, ?, ?, ?, ?, 'account', 'network', 0, 0, '' from n`,
  userId, clientId, userId, clientId, at, at, at, at + 86_400_000, at + 86_400_000)
}

/** A plan that scans a large table or its index from the first row, or that sorts what it finds. */
const UNBOUNDED = /^SCAN latchkey_(sessions|rules|users|events|attempts)\b|TEMP B-TREE/

/** The one table that has few rows in any database. */
const FEW = 'from "latchkey_keys"'

t.test('no request reads or changes an unbounded number of rows', { skip: ON_POSTGRES }, async t => {
  const ran = watch(t)
  const file = databaseFile(t)
  const { app, clock } = await build(t, { database: file, secret: SECRET, rateLimit: true, registration: true })
  const scopes = ['users:read', 'users:write', 'clients:write', 'audit:read', 'revocations:read', 'items:read']
  await app.latchkey.users.add({ username: 'root', password: PASSWORD, scopes })
  const root = bearer((await logIn(app, 'root')).access_token)
  const client = await addClient(app, { grants: ['password', 'client_credentials'] })
  const at = clock()
  query(file, `with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000)
    insert into latchkey_events (at, type, outcome, actor_kind, actor_id, subject, details)
    select ${at} + i, 'login', 'success', 'user', 'a' || (i % 7), 's' || (i % 5), '{}' from n`)
  query(file, `with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000)
    insert into latchkey_users (id, username, username_key, password_hash, password_changed_at, scope, created_at, updated_at)
    select 'u' || i, 'name' || i, 'name' || i, '', 1, '', 1, 1 from n`)
  fill(file, { userId: 'somebody', clientId: client.id, at })
  ran.length = 0

  type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  async function ask (method: Method, url: string, headers: object, payload?: object): Promise<number> {
    const body = payload === undefined ? {} : { payload }
    const { statusCode } = await app.inject({ method, url, headers: { ...headers }, ...body })
    return statusCode
  }
  /** Logs in a new user who has many other sessions. */
  async function beginAmongMany (username: string): Promise<{ id: string, tokens: TokenBody, headers: object }> {
    const { id } = await app.latchkey.users.add({ username, password: PASSWORD, scopes: ['items:read'] })
    const tokens = await logIn(app, username)
    fill(file, { userId: id, at: clock() })
    return { id, tokens, headers: bearer(tokens.access_token) }
  }

  const others = await beginAmongMany('others')
  t.equal(await ask('GET', '/sessions', others.headers), 200)
  t.equal(await ask('POST', '/refresh', {}, { refresh_token: others.tokens.refresh_token }), 200)
  t.equal(await ask('POST', '/refresh', {}, { refresh_token: others.tokens.refresh_token }), 200, 'a retry')
  t.equal(await ask('POST', '/logout', others.headers, { target: 'others' }), 204)
  t.equal(await ask('GET', '/users/me', others.headers), 200, 'the token of the kept session lives')
  const all = await beginAmongMany('all')
  t.equal(await ask('POST', '/logout', all.headers, { target: 'all' }), 204)
  t.equal(await ask('GET', '/users/me', all.headers), 401)
  const password = await beginAmongMany('password')
  const change = { current_password: PASSWORD, new_password: 'seven green lamps upstairs' }
  t.equal(await ask('PUT', '/users/me/password', password.headers, change), 204)
  t.equal(await ask('GET', '/users/me', password.headers), 200, 'the token of the kept session lives')
  const set = await beginAmongMany('set')
  t.equal(await ask('PATCH', `/users/${set.id}`, root, { password: 'seven green lamps upstairs' }), 200)
  const disabled = await beginAmongMany('disabled')
  t.equal(await ask('PATCH', `/users/${disabled.id}`, root, { disabled: true }), 200)
  const removed = await beginAmongMany('removed')
  t.equal(await ask('DELETE', `/users/${removed.id}`, root), 204)
  const everywhere = await beginAmongMany('everywhere')
  t.equal(await ask('DELETE', `/users/${everywhere.id}/sessions`, root), 204)
  const again = await beginAmongMany('again')
  await logIn(app, 'again')
  t.equal(query(file, 'select 1 from latchkey_sessions where user_id = ? and ended_at is null', again.id).length, 100)
  for (const { id } of [all, set, disabled, removed, everywhere]) {
    t.strictSame(query(file, 'select 1 from latchkey_sessions where user_id = ? and ended_at is null', id), [])
  }
  const live = 'select 1 from latchkey_sessions where user_id in (?, ?) and ended_at is null'
  t.equal(query(file, live, others.id, password.id).length, 2)

  const ends = await beginAmongMany('ends')
  t.equal((await postForm(app, '/revoke', { token: ends.tokens.access_token })).statusCode, 200)
  t.equal((await postForm(app, '/introspect', { token: ends.tokens.refresh_token }, client.basic)).statusCode, 200)
  t.equal((await postForm(app, '/revoke', { token: ends.tokens.refresh_token })).statusCode, 200)
  t.equal((await postForm(app, '/introspect', { token: 'x' }, basic('nobody', 'x'))).statusCode, 401)
  t.equal((await postForm(app, '/token', { grant_type: 'client_credentials' }, client.basic)).statusCode, 200)
  t.equal(await ask('POST', '/login', {}, { username: 'others', password: 'x' }), 401)
  t.equal(await ask('POST', '/register', {}, { username: 'new', password: 'seven green lamps upstairs' }), 201)
  for (const path of ['users', 'users?search=name1', 'users?limit=1000', `users/${all.id}`, 'clients', 'revocations']) {
    t.equal(await ask('GET', `/${path}`, root), 200, path)
  }
  for (const filter of ['', '?outcome=failure', '?actor=a1&outcome=failure', '?subject=s1&type=login_failed',
    '?type=user_removed', '?until=2000-01-01T00:00:00Z', '?since=2000-01-01T00:00:00Z&actor=zzz', '?limit=1000']) {
    t.equal(await ask('GET', `/audit${filter}`, root), 200, filter)
  }
  t.equal(await ask('PATCH', `/users/${all.id}`, root, { scopes: [] }), 200)
  t.equal(await ask('DELETE', `/clients/${client.id}`, root), 204)
  t.strictSame(query(file, 'select 1 from latchkey_sessions where client_id = ? and ended_at is null', client.id), [])

  const most = ran.reduce((most, next) => next.rows > most.rows ? next : most)
  t.ok(most.rows <= MOST, `${most.rows} rows: ${most.sql}`)
  const isPlanned = (sql: string): boolean => /^(select|update|delete)\b/.test(sql) && !sql.includes(FEW)
  const texts = new Set(ran.map(({ sql }) => sql).filter(isPlanned))
  t.ok(texts.size > 40, `${texts.size} statements`)
  for (const sql of texts) {
    const parameters = Array.from({ length: sql.split('?').length - 1 }, () => null)
    const plan = query<{ detail: string }>(file, `explain query plan ${sql}`, ...parameters)
    for (const { detail } of plan) t.notMatch(detail, UNBOUNDED, sql)
  }
})

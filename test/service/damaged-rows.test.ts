import { copyFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import Database from 'better-sqlite3'
import t from 'tap'
import type { Test } from 'tap'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { RULE_RETENTION } from '../../lib/revocation/rule-index.js'
import { run } from '../commands/support.js'
import { bearer, build, createTestClock, logIn, ON_POSTGRES, PASSWORD, postForm } from '../helper.js'
import type { TestClock, TokenBody } from '../helper.js'
import { revokeToken } from '../revoke-token.js'

// SQLite stores any value in any column. A damaged row may affect its own owner, but must not affect anyone else.

t.setTimeout(600_000)

const SECRET = 'a secret of the tests of more than 32 bytes'

/** Values that a column can hold but must not: text, bytes, a fraction, numbers that are too small and too large. */
const WRONG_NUMBERS = ["'yesterday'", "x'00ff'", '1.5', '-1', '9e15', '-9e15', '9007199254740993', "''"]
const WRONG_TEXTS = ["x'00ff'", "''", "'\u0001 \"garbage\" \uFFFD'", "'null'", "'{}'"]

/** The columns of a row that belongs to bob or to no account. `where` finds the row. */
const COLUMNS: Record<string, { where: string, numbers: string[], texts: string[], nullable: string[] }> = {
  latchkey_users: {
    where: "username_key = 'bob'",
    numbers: ['password_changed_at', 'disabled_at', 'administrator', 'created_at', 'updated_at'],
    texts: ['id', 'username', 'username_key', 'password_hash', 'scope', 'roles'],
    nullable: ['id']
  },
  latchkey_sessions: {
    where: "user_id = (select id from latchkey_users where username = 'bob')",
    numbers: ['generation', 'seen_generation', 'rotated_at', 'auth_time', 'created_at', 'last_used_at', 'idle_expires_at', 'expires_at',
      'ended_at', 'status_index'],
    texts: ['id', 'user_id', 'client_id', 'scope', 'nonce', 'user_agent', 'address', 'account', 'network',
      'status_list', 'end_reason', 'amr'],
    nullable: ['id']
  },
  latchkey_clients: {
    where: "name = 'damaged'",
    numbers: ['secret_changed_at', 'created_at', 'updated_at'],
    texts: ['id', 'name', 'secret_hash', 'scope', 'grants'],
    nullable: ['id']
  },
  latchkey_rules: {
    where: "value = 'damaged'",
    numbers: ['issued_before', 'expires_at'],
    texts: ['kind', 'value', 'session_id'],
    nullable: []
  },
  latchkey_keys: {
    where: "kid = 'damaged'",
    numbers: ['created_at', 'activates_at', 'retires_at', 'expires_at', 'revoked_at'],
    texts: ['kid', 'algorithm', 'sealed', 'issuer', 'audience', 'scope'],
    nullable: ['kid']
  },
  latchkey_attempts: {
    where: 'true',
    numbers: ['failures', 'last_attempt_at', 'blocked_until', 'expires_at'],
    texts: ['key', 'account', 'pending'],
    nullable: ['key']
  },
  latchkey_events: {
    where: "type = 'login_failed'",
    numbers: ['at'],
    texts: ['type', 'outcome', 'actor_kind', 'actor_id', 'address', 'subject', 'session_id', 'client_id', 'details'],
    nullable: []
  },
  latchkey_status_lists: { where: 'true', numbers: ['created_at', 'given', 'open'], texts: ['id'], nullable: ['id'] },
  latchkey_roles: { where: 'true', numbers: [], texts: ['name', 'scope'], nullable: ['name'] },
  latchkey_meta: { where: 'true', numbers: ['value'], texts: [], nullable: [] }
}

/**
 * Returns one statement for each column that damages it, with each kind of damage in turn. All kinds in all columns
 * would take two minutes.
 */
function damagesOf (table: string): string[] {
  const { where, numbers, texts, nullable } = COLUMNS[table] as typeof COLUMNS[string]
  const set = (column: string, value: string): string => `update ${table} set ${column} = ${value} where ${where}`
  const inTurn = (columns: string[], values: string[]): string[] =>
    columns.map((column, index) => set(column, values[index % values.length] as string))
  const damages = [
    ...inTurn(numbers, WRONG_NUMBERS),
    ...inTurn(texts, WRONG_TEXTS),
    ...nullable.map(column => set(column, 'null'))
  ]
  return table === 'latchkey_meta'
    ? [
        ...WRONG_NUMBERS.map(value => set('value', value)),
        set('value', '4102444800000 + 3e11'),
        "delete from latchkey_meta where name != 'store_id'",
        'delete from latchkey_meta'
      ]
    : damages
}

interface World {
  file: string
  clock: TestClock
  alice: TokenBody
  bob: TokenBody
  client: { id: string, secret: string }
}

const OPTIONS = { secret: SECRET, statusList: true, rateLimit: true, roles: { editor: ['items:write'] } }

/** Makes a database in which everything is used, and closes it. */
async function makeWorld (t: Test): Promise<World> {
  const file = join(t.testdir({}), 'template.db')
  const clock = createTestClock()
  const { app } = await build(t, { ...OPTIONS, database: file, now: clock })
  const { users, clients, keys, revocations } = app.latchkey
  const alice = await users.findByName('alice')
  await users.setScopes(String(alice?.id), Object.keys(app.latchkey.scopes))
  const { client, secret } = await clients.add({ name: 'good', scopes: ['tokens:introspect'] })
  await clients.add({ name: 'damaged', scopes: ['items:read'], grants: ['client_credentials', 'password'] })
  await keys.importVerifyOnlyKey(Buffer.from('a secret of an older system, long enough'), {
    algorithm: 'HS256',
    kid: 'damaged'
  })
  await revokeToken(revocations, 'damaged', clock() + RULE_RETENTION)
  await revocations.revokeUser('somebody else')
  await postForm(app, '/token', { grant_type: 'password', username: 'bob', password: 'not the password of bob' })
  const world = {
    file,
    clock,
    alice: await logIn(app),
    bob: await logIn(app, 'bob'),
    client: { id: client.id, secret }
  }
  await postForm(app, '/token', { grant_type: 'password', username: 'bob', password: 'not the password of bob' })
  await app.close()
  const database = new Database(file)
  database.pragma('wal_checkpoint(TRUNCATE)')
  database.close()
  return world
}

/** Checks that everything works that does not belong to the owner of the damaged row. Returns the failures. */
async function driveOthers (app: FastifyInstance, { alice, client }: World): Promise<string[]> {
  const failures: string[] = []
  async function expect (
    name: string,
    request: Promise<LightMyRequestResponse>,
    status = 200
  ): Promise<LightMyRequestResponse> {
    const response = await request
    if (response.statusCode !== status) failures.push(`${name}: ${response.statusCode} ${response.body.slice(0, 200)}`)
    return response
  }
  const headers = bearer(alice.access_token)
  await expect('ready', app.inject('/health/ready'))
  await expect('a protected call', app.inject({ url: '/protected-route', headers }))
  const login = await expect(
    'a login',
    postForm(app, '/token', { grant_type: 'password', username: 'alice', password: PASSWORD })
  )
  await expect(
    'a refresh',
    postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: alice.refresh_token })
  )
  for (const url of [
    '/users',
    '/users/me',
    '/clients',
    '/sessions',
    '/audit',
    '/revocations',
    '/.well-known/jwks.json'
  ]) { await expect(url, app.inject({ url, headers })) }
  const token = await expect(
    'client credentials',
    postForm(app, '/token', { grant_type: 'client_credentials', client_id: client.id, client_secret: client.secret })
  )
  await expect(
    'introspection',
    postForm(app, '/introspect', { token: alice.access_token }, bearer(token.json().access_token))
  )
  const uri = JSON.parse(Buffer.from(String(login.json().access_token).split('.')[1] ?? '', 'base64url').toString())
    .status?.status_list.uri
  await expect('a status list', app.inject({ url: new URL(uri ?? 'http://x/none').pathname, headers }))
  await expect(
    'a log-out of the others',
    app.inject({ method: 'POST', url: '/logout', headers, payload: { target: 'others' } }),
    204
  )
  await expect('a call after it', app.inject({ url: '/protected-route', headers }))
  await expect(
    'a log-out that is late',
    app.inject({
      method: 'POST',
      url: '/logout',
      headers: bearer(login.json().access_token),
      payload: { target: 'all' }
    }),
    204
  )
  await expect(
    'an end of all',
    app.inject({ method: 'POST', url: '/logout', headers, payload: { target: 'all' } }),
    204
  )
  await expect('a call after all', app.inject({ url: '/protected-route', headers }), 401)
  return failures
}

/** Checks that the owner of the row gets no server error. Refusals are allowed. Returns the failures. */
async function driveOwner (app: FastifyInstance, { bob }: World): Promise<string[]> {
  const headers = bearer(bob.access_token)
  const responses = [
    await app.inject({ url: '/protected-route', headers }),
    await app.inject({ url: '/users/me', headers }),
    await app.inject({ url: '/sessions', headers }),
    await postForm(app, '/token', { grant_type: 'password', username: 'bob', password: PASSWORD }),
    await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: bob.refresh_token }),
    await app.inject({ method: 'POST', url: '/logout', headers, payload: { target: 'all' } })
  ]
  return responses
    .filter(({ statusCode }) => statusCode >= 500)
    .map(({ raw, statusCode, body }) => `${raw.req.url} of the owner: ${statusCode} ${body}`)
}

/** Damages the database before the service starts, or while it runs. */
async function check (t: Test, world: World, sql: string, { isLive }: { isLive: boolean }): Promise<void> {
  const file = join(t.testdir({}), 'auth.db')
  copyFileSync(world.file, file)
  const damage = (): void => {
    const database = new Database(file)
    try {
      database.exec(sql)
    } catch (error) {
      // Damage that the schema itself refuses needs no check.
      if (!/constraint/.test((error as Error).message)) throw error
    } finally {
      database.close()
    }
  }
  if (!isLive) damage()
  const { app } = await build(t, { ...OPTIONS, database: file, now: world.clock })
  if (isLive) damage()
  const failures = [...await driveOwner(app, world), ...await driveOthers(app, world)]
  t.strictSame(failures, [], `${sql}${isLive ? ', while the service runs' : ''}`)
  await app.close()
}

if (ON_POSTGRES) {
  t.pass('its columns have types')
} else {
  for (const table of Object.keys(COLUMNS)) {
    t.test(`a damaged row of ${table}`, { timeout: 300_000 }, async t => {
      const world = await makeWorld(t)
      for (const [index, sql] of damagesOf(table).entries()) {
        await t.test(sql, t => check(t, world, sql, { isLive: index % 3 === 1 }))
      }
    })
  }

  t.test('the command line, on a database in which a row of each table is damaged', async t => {
    const world = await makeWorld(t)
    const { file } = world
    const directory = dirname(file)
    const database = new Database(file)
    database.exec(`
      update latchkey_users set scope = x'00', created_at = 'x', disabled_at = 'x', username = x'00' where username_key = 'bob';
      update latchkey_clients set grants = x'00', created_at = 'x', secret_hash = 'x' where name = 'damaged';
      update latchkey_keys set created_at = 'x', algorithm = 'XX' where kid = 'damaged';
      insert into latchkey_keys (kid, algorithm, sealed, created_at, activates_at)
      values ('other', 'ES256', '${'A'.repeat(200)}', 1, 1);
      update latchkey_rules set kind = 'what', expires_at = 'x' where value = 'damaged';
      update latchkey_events set details = 'x', at = 'x' where type = 'login_failed';
      update latchkey_sessions set scope = x'00', expires_at = 'x'
      where user_id = (select id from latchkey_users where username_key = 'bob');
      update latchkey_meta set value = 'x'`)
    database.close()
    const env = { LATCHKEY_DATABASE: file, LATCHKEY_SECRET: SECRET, LATCHKEY_SCOPES: 'admin,items:read,items:write' }
    for (const verb of [
      ['users', 'list'],
      ['clients', 'list'],
      ['keys', 'list'],
      ['audit'],
      ['users', 'export', 'users.ndjson'],
      ['keys', 'rotate'],
      ['secret', 'reseal'],
      ['sessions', 'revoke', 'alice']
    ]) {
      t.match(await run(directory, verb, { env }), { code: 0, stderr: '' }, verb.join(' '))
    }
    t.match(
      (await run(directory, ['keys', 'list'], { env })).stdout,
      /damaged +XX +unusable .*'keys revoke' removes it\n/
    )
    for (const kid of ['damaged', 'other']) {
      t.match(await run(directory, ['keys', 'revoke', kid, '--yes'], { env }), { code: 0, stderr: '' }, kid)
    }
    t.notMatch((await run(directory, ['keys', 'list'], { env })).stdout, /unusable/)
  })
}

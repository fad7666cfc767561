import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, linkSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { bearer, build, logIn, postForm } from '../helper.js'
import type { TokenBody } from '../helper.js'
import { addUser, change, countUsers, createDatabase, createSource, query, read } from './copy-support.js'
import { run } from './support.js'

// `latchkey copy` between a real file and a real server.

/** The app of these tests on some database, with the secret that was made beside the first one. */
async function open (t: Test, database: string, secret?: string) {
  const { app } = await build(t, { database, secret, rateLimit: true })
  return app
}

type App = Awaited<ReturnType<typeof open>>

const statusOf = async (app: App, { access_token: token }: TokenBody): Promise<number> => (await app.inject({
  url: '/protected-route', headers: bearer(token)
})).statusCode

t.test('from SQLite to PostgreSQL and back: tokens and sessions go on, the dead stay dead, numbers go on', async t => {
  const directory = t.testdir()
  const file = join(directory, 'my auth.db')
  let app = await open(t, file)
  const ofFirstKey = await logIn(app)
  await app.latchkey.keys.rotate({ immediately: true })
  let tokens = await logIn(app)
  const used = await logIn(app)
  await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: used.refresh_token })
  const revoked = await logIn(app, 'bob')
  await postForm(app, '/revoke', { token: revoked.access_token })
  const ended = await logIn(app, 'bob')
  await postForm(app, '/revoke', { token: ended.refresh_token })
  const { client, secret: clientSecret } = await app.latchkey.clients.add({
    name: 'worker', scopes: ['items:read'], grants: ['client_credentials']
  })
  t.equal(
    (await postForm(
      app, '/token', { grant_type: 'password', username: 'bob', password: 'a wrong password' }
    )).statusCode,
    400
  )
  await app.close()
  // Purged: their numbers were given all the same.
  change(
    file,
    "insert into latchkey_rules (seq, kind, value, expires_at) values (1000, 'token', 'x', 1); delete from latchkey_rules where seq = 1000"
  )
  change(
    file,
    "insert into latchkey_events (seq, at, type, outcome, actor_kind, details) values (5000, 1, 'x', 'success', 'host', '{}'); delete from latchkey_events where seq = 5000"
  )
  for (const name of ['users', 'sessions', 'rules', 'clients', 'keys', 'attempts', 'events', 'meta']) {
    const table = `latchkey_${name}`
    t.ok(
      read<number>(file, `select count(*) from ${table}`) > 0, `${table} is copied with something in it`
    )
  }

  const url = await createDatabase()
  const there = await run(directory, ['copy', '--from', 'my auth.db', '--to', url])
  t.match(
    there,
    {
      code: 0,
      stdout: new RegExp(
        `^TABLE +ROWS +SHA-256\\nlatchkey_users +2 +[0-9a-f]{64}\\nlatchkey_sessions +5 [\\s\\S]*\\nlatchkey_keys +[23] [\\s\\S]*\\nCopied \\d+ rows from my auth\\.db to ${url}, read them back`
      ),
      stderr: /^latchkey: copying \d+ rows\nlatchkey: reading \d+ rows back and comparing them\n$/
    }
  )
  const secret = readFileSync(join(directory, 'my auth.secret'), 'utf8').trim()
  t.notMatch(there.stdout, secret)
  const command = / {2}(LATCHKEY_SECRET="\$\(cat .*\)") /.exec(there.stdout)?.[1]
  const shell = spawn('sh', ['-c', `${command ?? ''}; printf %s "$LATCHKEY_SECRET"`], { cwd: directory })
  t.equal(String((await once(shell.stdout, 'data'))[0]), secret, 'the command that is printed reads the secret')

  async function assertGoesOn (app: App): Promise<void> {
    for (const living of [ofFirstKey, tokens, used]) t.equal(await statusOf(app, living), 200)
    for (const dead of [revoked, ended]) t.equal(await statusOf(app, dead), 401)
    t.match(
      (await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: ended.refresh_token })).json(),
      { error: 'invalid_grant' }
    )
    const refreshed = await postForm(
      app, '/token', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token }
    )
    t.equal(refreshed.statusCode, 200)
    tokens = refreshed.json()
    t.equal(
      (await postForm(
        app, '/token', { grant_type: 'client_credentials', client_id: client.id, client_secret: clientSecret }
      )).statusCode,
      200
    )
    await logIn(app, 'bob')
    const another = await logIn(app)
    await postForm(app, '/revoke', { token: another.access_token })
    t.equal(await statusOf(app, another), 401)
  }

  app = await open(t, url, secret)
  await assertGoesOn(app)
  await app.close()
  const numbers = await query<{ rule: string, event: string }>(
    url, 'select (select max(seq) from latchkey_rules) as rule, (select min(seq) from latchkey_events where seq > 4000) as event'
  )
  t.match(numbers, [{ rule: '1001', event: '5001' }])
  await query(url, 'delete from latchkey_rules where seq = 1001')

  const back = await run(directory, ['copy', '--from', url, '--to', 'back.db', '--json'])
  t.equal(back.code, 0, back.stderr)
  t.equal(back.stderr, '')
  t.match(
    JSON.parse(back.stdout),
    { from: url, to: 'back.db', tables: [{ table: 'latchkey_users', rows: 2, sha256: /^[0-9a-f]{64}$/ }] }
  )
  app = await open(t, join(directory, 'back.db'), secret)
  await assertGoesOn(app)
  await app.close()
  t.equal(read<number>(join(directory, 'back.db'), 'select max(seq) from latchkey_rules'), 1002)
})

t.test('more rows than a page, with keys in the order of bytes, have one hash on every engine', async t => {
  // UTF-16 has the last two the other way round; most locales have the first ones so.
  const odd = ['z', 'B', 'a', 'é', '\u{ff5e}', '\u{1f600}'].map(addUser).join('')
  const { directory, file } = await createSource(
    t, odd + Array.from({ length: 2_200 }, (_, number) => addUser(`user-${number}`)).join('')
  )
  const url = await createDatabase()
  const hashes: string[] = []
  for (const [from, to] of [
    [file, url], [url, await createDatabase()], [url, 'back.db'], ['back.db', 'other.db']
  ] as const) {
    const { code, stdout, stderr } = await run(directory, ['copy', '--from', from, '--to', to, '--json'])
    t.equal(code, 0, stderr)
    t.match(JSON.parse(stdout), { tables: [{ rows: 2_206 }] })
    hashes.push(JSON.stringify(JSON.parse(stdout).tables))
  }
  t.equal(new Set(hashes).size, 1)
  t.equal(await countUsers(url), 2_206)
})

t.test('what is refused is left as it is, and said in one sentence', async t => {
  const { directory, file } = await createSource(t, addUser('alice'))
  const [full, fresh, foreign] = [await createDatabase(), await createDatabase(), await createDatabase()]
  await run(directory, ['copy', '--from', file, '--to', full])
  await run(directory, ['copy', '--from', file, '--to', 'full.db'])
  symlinkSync('auth.db', join(directory, 'symbolic.db'))
  linkSync(file, join(directory, 'hard.db'))
  const withPassword = (url: string): string => url.replace('latchkey@', 'latchkey:hunter2@')
  const cases: Array<[string, string, number, RegExp]> = [
    [
      'auth.db', withPassword(full), 1,
      /--to postgres:.* is not empty \(rows: 1 in latchkey_users, 1 in latchkey_keys, 1 in latchkey_events\): give a new database/
    ],
    [full, 'full.db', 1, /--to full\.db is not empty \(rows: 1 in latchkey_users, /],
    ['auth.db', './auth.db', 2, /--to \.\/auth\.db is the database of --from/],
    ['auth.db', 'symbolic.db', 2, /is the database of --from/],
    ['hard.db', 'auth.db', 2, /is the database of --from/],
    [
      full, withPassword(full).replace('127.0.0.1', 'localhost'), 2,
      /--to postgres:.* is the database of --from under another name/
    ],
    [
      'nope.db', fresh, 1,
      /--from names 'nope\.db', which cannot be opened: .*give the path of the database of a service/
    ],
    [withPassword(foreign), 'new.db', 1, /--from names postgres:.*no tables of Latchkey/],
    [
      'postgres://latchkey:hunter2@127.0.0.1:1/x', 'new.db', 4,
      /--from names postgres:\/\/latchkey@127\.0\.0\.1:1\/x, which cannot be opened: .*ECONNREFUSED/
    ],
    [
      'auth.db', 'postgres://latchkey:hunter2@127.0.0.1:1/x', 4,
      /--to names postgres:\/\/latchkey@127\.0\.0\.1:1\/x, which cannot be opened: .*ECONNREFUSED/
    ],
    ['auth.db', 'no/such/folder.db', 1, /--to names 'no\/such\/folder\.db', which cannot be opened/]
  ]
  for (const [from, to, expected, says] of cases) {
    const { code, stdout, stderr } = await run(directory, ['copy', '--from', from, '--to', to])
    t.equal(code, expected, `${from} ${to}: ${stderr}`)
    t.equal(stdout, '')
    t.match(stderr, new RegExp(`^latchkey: .*${says.source}.*\\n$`))
    t.notMatch(stderr, /hunter2/)
  }
  const failed = await run(directory, ['copy', '--from', 'auth.db', '--to', full, '--json'])
  t.match(JSON.parse(failed.stderr), { error: 'target_not_empty' })
  t.notOk(existsSync(join(directory, 'nope.db')))
  t.notOk(existsSync(join(directory, 'new.db')), 'nothing is made where there is no source')
  t.same(
    await query(foreign, "select tablename from pg_tables where schemaname = 'public'"), [],
    'no tables are made in a source'
  )
  t.equal(read<number>(file, 'select count(*) from latchkey_users'), 1)
})

t.test('a row that the target cannot hold, or changes, is named, and nothing is copied', async t => {
  const url = await createDatabase()
  async function assertRefused (text: string, says: RegExp): Promise<void> {
    const { directory, file } = await createSource(t, addUser('alice') + text)
    t.match(
      await run(directory, ['copy', '--from', file, '--to', url]),
      { code: 1, stdout: '', stderr: new RegExp(`\\nlatchkey: ${says.source}.*\\n$`) }
    )
    for (const table of ['latchkey_users', 'latchkey_keys', 'latchkey_meta']) {
      t.same(
        await query(url, `select count(*)::int from ${table}`), [{ count: 0 }], table
      )
    }
  }
  await assertRefused(
    "update latchkey_users set scope = 'a' || char(0)",
    /--to .* cannot store the scope of the row of latchkey_users with id "alice", because its engine supports no NUL in a text/
  )
  await assertRefused(
    "update latchkey_keys set kid = 'one', created_at = 1.5",
    /--to .* refuses a row of latchkey_keys between kid "one" and kid "one" \(.*bigint.*correct or remove the row/
  )
  await query(
    url,
    "create function spoil() returns trigger language plpgsql as $$ begin new.scope = 'admin'; return new; end $$; create trigger spoil before insert on latchkey_users for each row execute function spoil()"
  )
  await assertRefused('', /--to .* stores other rows in latchkey_users \(1 rows\) than the source/)
  await query(url, 'drop trigger spoil on latchkey_users')
  // SQLite holds what PostgreSQL does not.
  const { directory, file } = await createSource(t, addUser('alice') + "update latchkey_users set scope = 'a' || char(0)")
  t.match(await run(directory, ['copy', '--from', file, '--to', 'copy.db']), { code: 0 })
})

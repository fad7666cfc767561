import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { hashPassword } from '../../lib/passwords/hashing.js'
import { build, logIn, PASSWORD } from '../helper.js'
import { isPending } from '../lib/support.js'
import { run } from './support.js'

const HASH = hashPassword(PASSWORD, 4)
const line = (value: object): string => `${JSON.stringify(value)}\n`

t.test('import: bad rows are told with their lines and stop nothing; again, nothing changes; update, strict and dry run', async t => {
  const directory = t.testdir({
    'users.ndjson': line({
      username: 'alice', password_hash: HASH, scopes: ['users:read'], id: 'old-1'
    }) + 'nonsense\n' + line({
      username: 'bob', password: 'a bad one'
    }) + line({ username: 'carol', password: PASSWORD }),
    'more.csv':
      `username,password_hash,scopes,disabled\r\nalice,${HASH},users:read audit:read,\r\n"dave"x,${HASH},,\r\nerin,${HASH.replace('$04$', '$12$')},,true\r\n`,
    'bad.csv': `alice,${HASH}\n`
  })
  const dry = await run(directory, ['users', 'import', 'users.ndjson', '--dry-run'])
  t.match(dry, { code: 1, stdout: 'Nothing was written. The result would be: 2 added, 0 updated, 0 unchanged, 2 refused.\n' })
  const first = await run(directory, ['users', 'import', 'users.ndjson'])
  t.match(first, { code: 1, stdout: '2 added, 0 updated, 0 unchanged, 2 refused.\n' })
  t.equal(first.stderr, 'latchkey: line 2: it is not JSON\nlatchkey: line 3: its password was rejected: it is shorter than 15 characters\nlatchkey: 2 rows were refused: fix them and import the file again. Existing users are left unchanged\n')
  t.equal(dry.stderr, first.stderr)
  const again = await run(directory, ['users', 'import', 'users.ndjson', '--json'])
  t.same(JSON.parse(again.stdout), { added: 0, updated: 0, unchanged: 2, kept: 0, refused: 2, dry_run: false })
  t.same(again.stderr.trim().split('\n').map(text => JSON.parse(text).error), ['row_refused', 'row_refused', 'rows_refused'])

  const csv = await run(directory, ['users', 'import', 'more.csv'])
  t.match(csv, { code: 1, stdout: /^1 added, 0 updated, 1 left unchanged although their rows differ \(--update changes them\), 0 unchanged, 1 refused\.\n$/ })
  t.match(csv.stderr, /^latchkey: line 3: its quotes are not valid CSV\nlatchkey: warning: hashes with a higher cost than LATCHKEY_BCRYPT_COST \(4\): 1.*\n/)
  const strict = await run(directory, ['users', 'import', '-', '--format', 'csv', '--update', '--strict'], { input: await readFile(join(directory, 'more.csv')) })
  t.match(strict, { code: 1, stdout: /^0 added, 1 updated, 0 unchanged, 1 refused/, stderr: /Stopped at a bad row/ })
  t.match(JSON.parse((await run(directory, ['users', 'list', '--json'])).stdout), [{ id: 'old-1', username: 'alice', scopes: ['audit:read', 'users:read'] }, { username: 'carol' }, { username: 'erin', disabled: true }])

  for (const [args, code, says] of [
    [['import', 'bad.csv'], 1, /name 1 is not a known column\. Use these names: id, username/],
    [['import', 'nothing.csv'], 1, /cannot be read .*use the path/],
    [['import', 'users.txt'], 2, /use --format/],
    [['import', '-'], 2, /use --format/],
    [['import', 'users.ndjson', '--format', 'xml'], 2, /ndjson, csv/],
    [['import', '.', '--format', 'csv'], 1, /EISDIR/]
  ] as const) {
    const outcome = await run(directory, ['users', ...args])
    t.match(outcome, { code, stdout: '', stderr: says }, args.join(' '))
    t.notMatch(outcome.stderr, HASH)
  }
})

t.test('export: a file that only its owner reads, not over another one; standard output only on purpose; import reads both', async t => {
  const both = t.testdir({ there: {}, here: { 'users.ndjson': line({ username: '=alice "a", \u{1F600}', password_hash: HASH, scopes: ['users:read', 'users:write'] }) + line({ username: 'bob', password_hash: HASH, disabled: true }) } })
  const [directory, other] = [join(both, 'here'), join(both, 'there')]
  await run(directory, ['migrate'])
  t.match(await run(directory, ['users', 'export', 'none.csv']), { code: 0, stdout: /^Wrote 0 users/ })
  await run(directory, ['users', 'import', 'users.ndjson'])
  t.match(await run(directory, ['users', 'export', 'out.csv', '--json']), { code: 0, stdout: JSON.stringify({ file: 'out.csv', users: 2 }, null, 2), stderr: '' })
  t.equal((await stat(join(directory, 'out.csv'))).mode & 0o777, 0o600)
  t.match(await run(directory, ['users', 'export', 'out.csv']), { code: 1, stdout: '', stderr: /cannot be created \(EEXIST.*: use the path of a new file/ })
  t.match(await run(directory, ['users', 'export']), { code: 2, stdout: '', stderr: /--with-hashes/ })
  const shown = await run(directory, ['users', 'export', '--with-hashes'])
  t.match(shown, { code: 0, stderr: '' })

  const before = JSON.parse((await run(directory, ['users', 'list', '--json'])).stdout)
  t.match(await run(other, ['users', 'import', join(directory, 'out.csv')]), { code: 0, stdout: /^2 added/ })
  t.same(JSON.parse((await run(other, ['users', 'list', '--json'])).stdout), before)
  t.match(await run(other, ['users', 'import', '-', '--format', 'ndjson', '--update'], { input: shown.stdout }), { code: 0, stdout: '0 added, 0 updated, 2 unchanged, 0 refused.\n' })
  const trail = JSON.parse((await run(directory, ['audit', '--json'])).stdout) as Array<{ type: string, actor: object }>
  t.match(trail[0], { type: 'users_exported', actor: { kind: 'command' } })
  t.notMatch(JSON.stringify(trail), HASH)
})

t.test('the service works on the same database meanwhile, and whoever was imported logs in', async t => {
  const directory = t.testdir({})
  const { app } = await build(t, { database: join(directory, 'latchkey.db'), now: Date.now })
  await writeFile(join(directory, 'users.ndjson'), Array.from({ length: 3_000 }, (_none, index) => line({ username: `user${index}`, password_hash: HASH, scopes: ['items:read'] })).join(''))
  const imported = run(directory, ['users', 'import', 'users.ndjson'], { env: { LATCHKEY_SCOPES: 'admin,items:read,items:write' } })
  let logins = 0
  while (await isPending(imported)) {
    await logIn(app)
    logins++
  }
  t.ok(logins > 0)
  t.match(await imported, { code: 0, stdout: '3000 added, 0 updated, 0 unchanged, 0 refused.\n', stderr: '' })
  t.equal((await logIn(app, 'USER2999')).scope, 'items:read')
})

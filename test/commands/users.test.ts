import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { hashPassword } from '../../lib/passwords/hashing.js'
import { PASSWORD } from '../helper.js'
import { run } from './support.js'

// The verbs that change and show what is in the database, with no service running.

t.jobs = 2

const HASH = hashPassword(PASSWORD, 4)

t.test('users are added, listed, changed and removed', async t => {
  const directory = t.testdir()
  t.match(await run(
    directory, ['users', 'add', 'alice', '--scope', 'users:write', '--scope', 'users:read'],
    { input: `${PASSWORD}\r\nnot part of it\n` }
  ),
  { code: 0, stdout: 'Added alice with the scopes users:read, users:write.\n', stderr: '' })
  const bob = await run(directory, ['users', 'add', 'bob', '--json'], { input: PASSWORD })
  t.match(bob, { code: 0, stderr: '' })
  t.match(
    JSON.parse(bob.stdout), { id: String, username: 'bob', scopes: [], disabled: false, created_at: /^\d{4}-.*Z$/ }
  )

  const list = await run(directory, ['users', 'list', '--json'])
  const users = JSON.parse(list.stdout) as object[]
  t.match(users, [{ username: 'alice', scopes: ['users:read', 'users:write'] }, { username: 'bob' }])
  t.same(
    Object.keys(users[0] ?? {}), ['id', 'username', 'scopes', 'roles', 'disabled', 'created_at'], 'and no password, no hash'
  )
  t.equal(JSON.parse((await run(directory, ['users', 'list', '--json', '--limit', '1'])).stdout).length, 1)

  t.match(
    await run(directory, ['users', 'set-scopes', 'ALICE', 'audit:read']),
    { code: 0, stdout: 'alice now has the scopes audit:read.\n' }
  )
  t.match(await run(directory, ['users', 'disable', 'bob']), { code: 0, stdout: /^Disabled bob/ })
  const columns = await run(directory, ['users', 'list'])
  t.match(columns.stdout, /^NAME {3}STATE {5}CREATED .*SCOPES\nalice {2}enabled .*audit:read\nbob {4}disabled .*\n$/)
  t.match(JSON.parse((await run(directory, ['users', 'enable', 'bob', '--json'])).stdout), { disabled: false })
  t.match(
    await run(directory, ['users', 'set-password', 'bob'], { input: 'another walrus cobalt lantern\n' }),
    { code: 0, stdout: /^Set the password of bob/ }
  )
  t.match(JSON.parse((await run(directory, ['users', 'remove', 'bob', '--yes', '--json'])).stdout), { username: 'bob' })
  t.match(
    await run(directory, ['users', 'enable', 'bob']),
    { code: 3, stdout: '', stderr: /^latchkey: There is no user 'bob' in \.\/latchkey\.db: .*\n$/ }
  )
})

t.test('users have roles: add, set-roles, list, export and import', async t => {
  const directory = t.testdir({
    'old.ndjson': `${JSON.stringify({ username: 'carol', password_hash: HASH, roles: ['editor'] })}\n` +
      `${JSON.stringify({ username: 'dave', password_hash: HASH, roles: ['editor', 'gone'] })}\n`
  })
  const env = { LATCHKEY_ROLES: 'editor=users:read audit:read,viewer=users:read' }
  const added = await run(
    directory, ['users', 'add', 'alice', '--role', 'viewer', '--role', 'editor', '--scope', 'users:write'],
    { input: PASSWORD, env }
  )
  t.match(added, { code: 0, stdout: 'Added alice with the scopes users:write and the roles editor, viewer.\n' })
  t.match(await run(directory, ['users', 'set-roles', 'alice', 'viewer', '--json'], { env }), {
    code: 0, stdout: /"scopes": \[\s+"users:write"\s+\],\s+"roles": \[\s+"viewer"\s+\]/
  })
  t.match(await run(directory, ['users', 'set-roles', 'alice', 'writer'], { env }), {
    code: 1, stdout: '', stderr: /^latchkey: Unknown role 'writer': the roles are editor, viewer; .*LATCHKEY_ROLES\)/
  })
  t.match(await run(directory, ['users', 'add', 'bob', '--role', 'editor'], { input: PASSWORD }), {
    code: 1, stderr: /Unknown role 'editor': there are no roles; add it through the option roles/
  })
  t.match(await run(directory, ['users', 'import', 'old.ndjson'], { env }), {
    code: 1, stdout: /^1 added, .* 1 refused/, stderr: /line 2: unknown role 'gone': the roles are editor, viewer/
  })
  const list = await run(directory, ['users', 'list'])
  t.match(list, { code: 0, stdout: /ROLES +SCOPES\nalice .* viewer +users:write\ncarol .* editor *\n$/ }, 'without the option')

  t.match(await run(directory, ['users', 'export', 'out.csv']), { code: 0 })
  t.match(await readFile(join(directory, 'out.csv'), 'utf8'), /,scopes,roles,disabled,.*\n.*,users:write,viewer,false,/)
  await run(directory, ['users', 'set-roles', 'alice'], { env })
  t.match(await run(directory, ['users', 'import', 'out.csv', '--update'], { env }), {
    code: 0, stdout: '0 added, 1 updated, 1 unchanged, 0 refused.\n'
  })
  const users = JSON.parse((await run(directory, ['users', 'list', '--json'])).stdout)
  t.match(users, [{ username: 'alice', roles: ['viewer'] }, { username: 'carol', roles: ['editor'] }])
})

t.test('what is refused says why and what to do, and changes nothing', async t => {
  const directory = t.testdir()
  await run(directory, ['users', 'add', 'alice'], { input: PASSWORD })
  const cases: Array<[string, string[], string | Buffer, number, RegExp]> = [
    ['username_taken', ['users', 'add', 'Alice'], PASSWORD, 1, /taken: choose another/],
    ['unknown_scope', ['users', 'add', 'bob', '--scope', 'admin'], PASSWORD, 1, /'admin'.*LATCHKEY_SCOPES/],
    ['password_rejected', ['users', 'add', 'bob'], 'short\n', 1, /rejected: it is shorter than 15 characters; choose/],
    [
      'password_rejected',
      ['users', 'add', 'bob'],
      'abcdefghijklmnopqrst\n',
      1,
      /rejected: it is too easy to guess: it contains a simple sequence of characters\. Choose a longer one, or several unrelated words\.$/m
    ],
    [
      'invalid_username', ['users', 'add', 'bob\uFE0F'], PASSWORD, 2,
      /cannot contain U\+FE0F \(a variation selector\): choose another one/
    ],
    ['no_password', ['users', 'add', 'bob'], '\nsecond line is no password\n', 1, /standard input/],
    ['invalid_input', ['users', 'add', 'bob'], Buffer.from([0xff, 0xfe, 0x0a]), 1, /UTF-8/],
    ['not_found', ['users', 'set-password', 'nobody'], PASSWORD, 3, /nobody/],
    ['not_found', ['sessions', 'revoke', 'alice', '--session', 'none'], '', 3, /'none'/]
  ]
  for (const [error, args, input, exitCode, sentence] of cases) {
    const { code, stdout, stderr } = await run(directory, [...args, '--json'], { input })
    t.equal(code, exitCode, args.join(' '))
    t.equal(stdout, '')
    t.match(JSON.parse(stderr), { error, message: sentence })
  }
  t.match(
    JSON.parse(
      (await run(directory, ['users', 'list', '--json'])).stdout
    ).map(({ username }: { username: string }) => username),
    ['alice']
  )
})

t.test('a database that cannot be used is exit code 1', async t => {
  t.match(await run(
    t.testdir({ 'latchkey.db': 'this is no database, however long one looks at it' }), ['users', 'list']
  ),
  { code: 1, stdout: '', stderr: /^latchkey: .*LATCHKEY_DATABASE.*not a database.*\n$/ })
})

t.test('users rename', async t => {
  const directory = t.testdir()
  for (const name of ['alice', 'bob']) await run(directory, ['users', 'add', name], { input: PASSWORD })
  t.match(
    await run(directory, ['users', 'rename', 'ALICE', 'carol@example.com']),
    { code: 0, stdout: 'Renamed alice to carol@example.com.\n', stderr: '' }
  )
  const shown = await run(directory, ['users', 'rename', 'carol@example.com', 'Carol', '--json'])
  t.match(JSON.parse(shown.stdout), { username: 'Carol', scopes: [] })
  t.match(await run(directory, ['users', 'rename', 'carol', 'BOB']), { code: 1, stderr: /taken: choose another/ })
  t.match(await run(directory, ['users', 'rename', 'carol', ' x']), { code: 2, stderr: /A username cannot begin/ })
  t.match(await run(directory, ['users', 'rename', 'alice', 'dave']), { code: 3, stderr: /no user 'alice'/ })
})

t.test('a command that only reads or changes creates no database', async t => {
  const directory = t.testdir()
  for (const args of [
    ['users', 'list'], ['users', 'export', 'users.csv'], ['users', 'disable', 'alice'], ['clients', 'list'],
    ['keys', 'list'], ['keys', 'rotate'], ['sessions', 'revoke', 'alice'], ['audit'], ['secret', 'reseal']
  ]) {
    t.match(
      await run(directory, args), { code: 1, stdout: '', stderr: /^latchkey: .*LATCHKEY_DATABASE.*latchkey\.db.*\n$/ },
      args.join(' ')
    )
  }
  t.same(await readdir(directory), [])
})

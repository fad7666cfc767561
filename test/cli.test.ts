import { readFile } from 'node:fs/promises'
import t from 'tap'
import { run, start } from './commands/support.js'

// What the command line itself does, whatever the verb: arguments, help, environment, errors, exit codes.

const SECRET = 'a secret too short'

t.jobs = 2

t.test('as a process of its own: the exit code, both outputs, and what is piped in', async t => {
  const directory = t.testdir({ '.env': 'LATCHKEY_DATABASE=./piped.db\n' })
  t.match(
    await start(directory, ['users', 'add', 'alice', '--json'], { input: 'marble otter sings at noon\n' }),
    { code: 0, stdout: /"username": "alice"/, stderr: '' }
  )
  t.match(
    await start(directory, ['users', 'add', 'alice'], { input: 'marble otter sings at noon\n' }),
    { code: 1, stdout: '', stderr: /^latchkey: This username is taken.*\n$/ }
  )
  t.match(
    await start(directory, ['users', 'lst']), { code: 2, stdout: '', stderr: /^latchkey: .*Did you mean list\?.*\n$/ }
  )
  t.match(
    await run(directory, ['users', 'list', '--json']), { code: 0, stdout: /"username": "alice"/ },
    'and as all other tests run it'
  )
})

t.test('shows its version, and help with the exit codes', async t => {
  const directory = t.testdir()
  const { version } = JSON.parse(
    await readFile(new URL('../../package.json', import.meta.url), 'utf8')
  ) as { version: string }
  t.match(await run(directory, ['--version']), { code: 0, stdout: `${version}\n`, stderr: '' })
  t.match(
    await run(directory, ['--help']),
    {
      code: 0,
      stdout:
        /serve[\s\S]*users[\s\S]*sessions[\s\S]*keys[\s\S]*migrate[\s\S]*Exit codes:\n {2}0 .*\n {2}1 .*\n {2}2 .*\n {2}3 .*\n {2}4 /,
      stderr: ''
    }
  )
})

const VERBS = [
  ['serve'], ['users', 'add'], ['users', 'list'], ['users', 'rename'], ['users', 'set-scopes'], ['users', 'set-password'], ['users', 'disable'],
  ['users', 'enable'], ['users', 'remove'], ['users', 'import'], ['users', 'export'], ['clients', 'add'], ['clients', 'list'], ['clients', 'rotate-secret'], ['clients', 'remove'], ['sessions', 'revoke'],
  ['keys', 'list'], ['keys', 'rotate'], ['keys', 'revoke'], ['keys', 'import'], ['secret', 'reseal'], ['audit'], ['migrate'], ['copy'], ['openapi']
]

t.test('every verb has help with an example', async t => {
  const directory = t.testdir()
  for (const verb of VERBS) {
    t.match(await run(directory, [...verb, '--help']), { code: 0, stdout: new RegExp(`Usage: latchkey ${verb.join(' ')}[\\s\\S]*Example:\\n.*latchkey ${verb.join(' ')}`), stderr: '' }, verb.join(' '))
  }
})

t.test('wrong usage is one sentence and exit code 2', async t => {
  const directory = t.testdir()
  const cases: Array<[string[], RegExp]> = [
    [[], /the command is missing/],
    [['frob'], /unknown command 'frob'/],
    [['users', 'lst'], /Did you mean list\?/],
    [['users', 'add'], /missing required argument 'name'/],
    [['users', 'add', ' alice'], /A username cannot begin or end with a space, .*: choose another one/],
    [['users', 'add', 'alice', '--password', 'x'], /unknown option '--password'/],
    [['users', 'list', '--limit', '0'], /a whole number of at least 1/],
    [['users', 'import', 'users.txt'], /use --format/],
    [['copy', '--from', 'a.db'], /required option '--to <database>'/],
    [['copy', '--from', ':memory:', '--to', 'a.db'], /--from ':memory:' is not a stored database/],
    [['users', 'export'], /--with-hashes/],
    [['keys', 'import', 'x', '--issuer', 'y'], /--issuer can only be used with --verify-only/],
    [['keys', 'import', 'x', '--now', '--verify-only'], /--now cannot be used with --verify-only/],
    [['keys', 'import', 'x', '--verify-only', '--until', 'soon'], /--until must be a duration/]
  ]
  for (const [args, sentence] of cases) {
    const { code, stdout, stderr } = await run(directory, args)
    t.equal(code, 2, args.join(' '))
    t.equal(stdout, '')
    t.match(stderr.trimEnd().split('\n').at(-1), new RegExp(`^latchkey: .*${sentence.source}`))
  }
})

t.test('with --json errors and warnings are JSON too', async t => {
  const directory = t.testdir()
  const usage = await run(directory, ['users', 'list', '--json', '--frob'])
  t.equal(usage.code, 2)
  t.match(JSON.parse(usage.stderr), { error: 'usage', message: /unknown option '--frob'/ })
  const option = await run(directory, ['migrate', '--json'], { env: { LATCHKEY_PREFIX: 'auth' } })
  t.equal(option.code, 1)
  t.match(JSON.parse(option.stderr), { error: 'invalid_option', message: /LATCHKEY_PREFIX/ })
  const warned = await run(directory, ['migrate', '--json'], { env: { LATCHKEY_DATABSE: './other.db' } })
  t.equal(warned.code, 0)
  t.match(JSON.parse(warned.stderr), { warning: 'unread_variable', message: /LATCHKEY_DATABSE/ })
  t.same(JSON.parse(warned.stdout), { database: './latchkey.db', schema: 'current' })
})

t.test('a wrong value in the environment stops it with one sentence that names the variable', async t => {
  const directory = t.testdir({ 'junk.db': 'this is no database, however long one looks at it' })
  const cases: Array<[string, string]> = [
    ['PORT', 'abc'],
    ['HOST', '203.0.113.1'],
    ['LATCHKEY_LOG_LEVEL', 'loud'],
    ['LATCHKEY_SECRET', SECRET],
    ['LATCHKEY_ACCESS_TOKEN_TTL', '15 minutes'],
    ['LATCHKEY_BCRYPT_COST', '3'],
    ['LATCHKEY_REGISTRATION', 'yes'],
    ['LATCHKEY_DATABASE', 'no/such/folder/latchkey.db'],
    ['LATCHKEY_DATABASE', 'junk.db']
  ]
  for (const [name, value] of cases) {
    const { code, stdout, stderr } = await run(directory, ['serve'], { env: { [name]: value } })
    t.equal(code, 1, `${name}=${value}`)
    t.match(stderr, new RegExp(`^latchkey: .*\\b${name}\\b.*\\n$`), stderr)
    t.notMatch(stdout, /password/)
    t.notMatch(stderr, SECRET)
  }
})

t.test('reads .env; what is set already wins; misspelt names are warned about', async t => {
  const directory = t.testdir({ '.env': 'LATCHKEY_DATABASE=./from-env-file.db\nLATCHKEY_TEST_THING=1\nLATCHKEY_ISSUR=x\n' })
  const fromFile = await run(directory, ['migrate'])
  t.match(fromFile, { code: 0, stdout: /\.\/from-env-file\.db/ })
  t.equal(fromFile.stderr, 'latchkey: warning: the variable LATCHKEY_ISSUR is unknown and has no effect: check its spelling\n')
  t.match(await run(directory, ['migrate'], { env: { LATCHKEY_DATABASE: './set.db' } }), { code: 0, stdout: /\.\/set\.db/ })

  const unreadable = t.testdir({ '.env': {} })
  t.match(await run(unreadable, ['migrate']), { code: 1, stderr: /^latchkey: The file \.env .*\n$/ })
})

t.test('a database that nobody else sees is refused', async t => {
  t.match(await run(t.testdir(), ['users', 'list'], { env: { LATCHKEY_DATABASE: ':memory:' } }), { code: 1, stderr: /^latchkey: .*:memory:.*\n$/ })
})

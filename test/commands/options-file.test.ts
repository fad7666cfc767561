import { chmodSync, chownSync, existsSync, lchownSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { PASSWORD } from '../helper.js'
import { run, start } from './support.js'

// latchkey.config.js: where it is looked for, what takes precedence, and what is wrong with it.

t.jobs = 2

/** Lists the scopes of the OpenAPI document that the command line prints. */
async function scopesOf (directory: string, args: string[] = [], env: Record<string, string> = {}): Promise<string[]> {
  const { code, stdout, stderr } = await run(directory, ['openapi', ...args], { env })
  if (code !== 0) throw new Error(stderr)
  const document = JSON.parse(stdout) as {
    components: { securitySchemes: { oauth2: { flows: { password: { scopes: Record<string, string> } } } } }
  }
  return Object.keys(document.components.securitySchemes.oauth2.flows.password.scopes)
    .filter(name => name.startsWith('from:'))
}

/** An options file whose scope tells it from others. */
function withScope (name: string): string {
  return `export default { scopes: { 'from:${name}': 'A scope' } }`
}

t.test('a scope that only the file declares can be granted', async t => {
  const directory = t.testdir({
    'latchkey.config.mjs': `export default {
      database: './app.db',
      scopes: { 'todos:read': 'Read todos' },
      onEvent: event => { process.stderr.write('heard ' + event.type + '\\n') }
    }`
  })
  const added = await start(directory, ['users', 'add', 'alice', '--scope', 'todos:read'], { input: PASSWORD })
  t.match(added, { code: 0, stdout: 'Added alice with the scopes todos:read.\n', stderr: /heard user_added\n/ })
  t.match(
    await run(directory, ['migrate']), { code: 0, stdout: 'The schema of ./app.db is up to date.\n', stderr: '' },
    'the database is relative to the working directory'
  )
  t.match(
    await run(directory, ['users', 'set-scopes', 'alice', 'todos:write']),
    { code: 1, stderr: /Unknown scope 'todos:write': the catalogue has .*todos:read/ }
  )
  const { stderr } = await run(directory, ['openapi'])
  t.equal(stderr, '', 'a document is no event')
})

t.test('it is found in the working directory, by --config or by the variable; flag, variable, then folder', async t => {
  const directory = t.testdir({
    js: { 'package.json': '{"type":"module"}', 'latchkey.config.js': withScope('js') },
    compiled: {
      'latchkey.config.cjs': "exports.__esModule = true; exports.default = { scopes: { 'from:compiled': 'A scope' } }"
    },
    two: { 'latchkey.config.mjs': withScope('a'), 'latchkey.config.cjs': '' },
    'latchkey.config.mjs': withScope('folder'),
    other: {
      'flag.mjs': withScope('flag'),
      'variable.mjs': "export default Promise.resolve({ scopes: { 'from:variable': 'A scope' } })"
    }
  })
  for (const name of ['js', 'compiled']) t.same(await scopesOf(join(directory, name)), [`from:${name}`])
  const env = { LATCHKEY_CONFIG: 'other/variable.mjs' }
  t.same(await scopesOf(directory), ['from:folder'])
  t.same(await scopesOf(directory, [], { LATCHKEY_CONFIG: '' }), ['from:folder'])
  t.same(await scopesOf(directory, [], env), ['from:variable'], 'also a promise')
  t.same(await scopesOf(directory, ['--config', './other/flag.mjs'], env), ['from:flag'])
  const { stdout } = await run(directory, ['--config', 'other/flag.mjs', 'openapi'])
  t.match(stdout, 'from:flag', 'the flag may stand before the command')

  t.match(
    await run(join(directory, 'two'), ['openapi']),
    { code: 1, stderr: /latchkey\.config\.mjs and latchkey\.config\.cjs: remove all but one, or choose one/ }
  )
})

t.test('a variable takes precedence over the file, option by option', async t => {
  const directory = t.testdir({
    'latchkey.config.mjs': `export default {
      database: './file.db', scopes: { 'from:file': 'A scope' }, cookies: { secure: 'wrong', accessName: 'shop' },
      issuer: undefined
    }`
  })
  const env = { LATCHKEY_SCOPES: 'from:env', LATCHKEY_COOKIES_SECURE: 'false' }
  t.same(await scopesOf(directory, [], env), ['from:env'])
  t.match(await run(directory, ['migrate'], { env: { ...env, LATCHKEY_DATABASE: './env.db' } }), { stdout: /env\.db/ })
  const wrong = { ...env, LATCHKEY_COOKIES_ACCESS_NAME: 'a b' }
  t.match(
    (await run(directory, ['migrate'], { env: wrong })).stderr, /^latchkey: the option cookies\.accessName /,
    'the value of the variable is wrong, and the file is not named'
  )
  t.match((await run(directory, ['migrate'])).stderr, /^latchkey: In latchkey\.config\.mjs, the option cookies\.secure /)
})

t.test('what is wrong with a file is one sentence that names the file', async t => {
  const table: Array<[text: string, message: RegExp]> = [
    ['export default { maxSessions: 0 }', /^In f\d+\.mjs, the option maxSessions \(LATCHKEY_MAX_SESSIONS\) is 0: it must be/],
    ['export default { bcryptcost: 9 }', /^In f\d+\.mjs, there is no option bcryptcost; the options are issuer, audience/],
    ['export default { cookies: { scure: true } }', /^In f\d+\.mjs, there is no option cookies\.scure; the options are/],
    ['export default { docs: 5 }', /^In f\d+\.mjs, the option docs is 5: it must be true or false$/],
    ['export default { port: 80 }', /^In f\d+\.mjs, the option port has no effect: set the variable PORT instead$/],
    ['export default { trustProxy: [] }', /^In f\d+\.mjs, .*LATCHKEY_TRUST_PROXY instead$/],
    ["export default { secret: 'short and secret' }", /^In f\d+\.mjs, the option secret \(LATCHKEY_SECRET\) has 16 bytes/],
    ['export const options = {}', /^The options file f\d+\.mjs has no default export: export the plugin's options/],
    ['export default () => ({})', /^The options file f\d+\.mjs exports a function as its default/],
    ['export default []', /^The options file f\d+\.mjs exports a list as its default/],
    ['export default null', /^The options file f\d+\.mjs exports null as its default/],
    ['export default {\n  scopes: ,\n}', /^The options file f\d+\.mjs cannot be loaded \(Unexpected token ',', line 2\)/],
    ['\nthrow new Error("boom")', /^The options file f\d+\.mjs cannot be loaded \(boom, line 2\)/],
    ['throw new Error("\\x1b[2Ja\\n  b")', /cannot be loaded \(\?\[2Ja b, line 1\): correct it$/],
    ['throw "boom"', /^The options file f\d+\.mjs cannot be loaded \(boom\)/],
    ['export default Promise.reject(new Error("late"))', /^The options file f\d+\.mjs cannot be loaded \(late, line 1\)/],
    ['import "no-such-package"', /^The options file f\d+\.mjs cannot be loaded \(Cannot find package 'no-such-package'/]
  ]
  const directory = t.testdir({ ...Object.fromEntries(table.map(([text], index) => [`f${index}.mjs`, text])) })
  for (const [index, [, message]] of table.entries()) await refuses(t, directory, `f${index}.mjs`, message)
  await refuses(t, directory, 'f99.mjs', /^There is no options file f\d+\.mjs \(--config or LATCHKEY_CONFIG\): correct its path$/)
  await refuses(t, directory, '.', /^The options file \. cannot be loaded /)
})

async function refuses (t: Test, directory: string, file: string, message: RegExp): Promise<void> {
  const { code, stdout, stderr } = await run(directory, ['users', 'list', '--json', '--config', file])
  t.match({ code, stdout }, { code: 1, stdout: '' })
  const failure = JSON.parse(stderr) as { error: string, message: string }
  t.match(failure, { error: /^invalid_option(s_file)?$/, message })
  t.notMatch(failure.message, /short and secret|\n|undefined/)
}

t.test('TypeScript works if Node.js can load it, otherwise the message says what to do', async t => {
  const directory = t.testdir({
    'latchkey.config.ts': "export default { scopes: { 'from:ts': 'A scope' } } as { scopes: Record<string, string> }"
  })
  const canLoad = 'typescript' in process.features && process.features.typescript !== false
  if (canLoad) t.same(await scopesOf(directory), ['from:ts'])
  else {
    t.match(await run(directory, ['openapi']), {
      code: 1,
      stderr: /^latchkey: Node\.js \S+ cannot load the options file latchkey\.config\.ts, .*use Node\.js 22\.18 or later/
    })
  }
})

t.test('the service refuses what only an app can use', async t => {
  const directory = t.testdir({ 'latchkey.config.mjs': 'export default { decorators: false }' })
  t.match(
    await run(directory, ['serve']),
    { code: 1, stderr: /^latchkey: In latchkey\.config\.mjs, the option decorators .*remove the option\n$/ }
  )
  t.match(await run(directory, ['migrate']), { code: 0 }, 'commands work for an app that has decorators')
})

t.test('the name of a file does not move the terminal', async t => {
  const name = 'e\x1b[2Jvil$&.mjs'
  const directory = t.testdir({
    [name]: 'export default { port: 5 }',
    [`b${name}`]: 'export default { maxSessions: 0 }',
    [`c${name}`]: 'export default { decorators: false }'
  })
  await refuses(t, directory, name, /^In e\?\[2Jvil\$&\.mjs, the option port has no effect/)
  await refuses(t, directory, `b${name}`, /^In be\?\[2Jvil\$&\.mjs, the option maxSessions /)
  t.match(
    (await run(directory, ['serve', '--config', `c${name}`])).stderr,
    /^latchkey: In ce\?\[2Jvil\$&\.mjs, the option decorators/
  )
})

const noModes = process.geteuid === undefined && 'there are no owners or modes'
const notRoot = process.geteuid?.() !== 0 && 'only root can give a file away'
const STRANGER = 65_534

const RUNS = withScope('file')

/** Returns 'it runs' if the options file with the scope runs, otherwise the error. */
async function outcomeIn (directory: string, args: string[] = [], env: Record<string, string> = {}): Promise<string> {
  const { code, stdout, stderr } = await run(directory, ['openapi', ...args], { env })
  return code === 0 && stdout.includes('from:file') ? 'it runs' : stderr
}

t.test('a file that was only found runs only if no other user can write to it', { skip: noModes }, async t => {
  const directory = t.testdir({ 'latchkey.config.mjs': RUNS })
  const file = join(directory, 'latchkey.config.mjs')
  chmodSync(file, 0o646)
  t.equal(
    await outcomeIn(directory),
    'latchkey: The options file latchkey.config.mjs in the working directory can be changed by other users ' +
      '(mode 0646), whose code would run as you: run `chmod go-w latchkey.config.mjs`, or name the file with --config\n'
  )
  t.equal(await outcomeIn(directory, ['--config', 'latchkey.config.mjs']), 'it runs')
  chmodSync(file, 0o664)
  chownSync(file, process.geteuid?.() ?? -1, process.getegid?.() ?? -1)
  t.equal(await outcomeIn(directory), 'it runs', 'the group is that of this user')
})

t.test('a file that was only found runs only if it belongs to this user or root', { skip: notRoot }, async t => {
  const directory = t.testdir({ 'latchkey.config.mjs': RUNS, link: {}, 'good.mjs': RUNS })
  const file = join(directory, 'latchkey.config.mjs')
  chmodSync(file, 0o664)
  chownSync(file, 0, STRANGER)
  t.match(await outcomeIn(directory), /can be changed by other users \(mode 0664\)/)
  chmodSync(file, 0o644)
  chownSync(file, STRANGER, STRANGER)
  t.match(await outcomeIn(directory), /belongs to another user \(65534\), .* run `chown root latchkey\.config\.mjs` as root, or/)
  t.equal(await outcomeIn(directory, ['--config', 'latchkey.config.mjs']), 'it runs')

  const link = join(directory, 'link', 'latchkey.config.mjs')
  symlinkSync('../good.mjs', link)
  t.equal(await outcomeIn(join(directory, 'link')), 'it runs')
  lchownSync(link, STRANGER, STRANGER)
  t.match(await outcomeIn(join(directory, 'link')), /belongs to another user .* run `chown -h root latchkey/)
})

t.test('.env names an options file only if no other user can write to it', { skip: noModes }, async t => {
  const directory = t.testdir({ '.env': 'LATCHKEY_CONFIG=./named.mjs\n', 'named.mjs': RUNS, 'own.mjs': RUNS })
  t.equal(await outcomeIn(directory), 'it runs')
  chmodSync(join(directory, '.env'), 0o666)
  t.match(
    await outcomeIn(directory),
    /^latchkey: The file \.env in the working directory sets LATCHKEY_CONFIG, but can be .* run `chmod go-w \.env`, or name/
  )
  t.equal(await outcomeIn(directory, ['--config', 'own.mjs']), 'it runs')
  t.equal(await outcomeIn(directory, [], { LATCHKEY_CONFIG: 'own.mjs' }), 'it runs')
})

t.test('NODE_OPTIONS in .env run nothing', async t => {
  const directory = t.testdir({
    '.env': 'NODE_OPTIONS=--import=./evil.mjs\n',
    'evil.mjs': "import { writeFileSync } from 'node:fs'; writeFileSync('ran', '')",
    'wrong.mjs': 'export default {\n  scopes: ,\n}'
  })
  await refuses(t, directory, 'wrong.mjs', /line 2/)
  t.notOk(existsSync(join(directory, 'ran')))
})

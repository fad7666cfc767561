import Database from 'better-sqlite3'
import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readlinkSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { fastify } from 'fastify'
import t from 'tap'
import type { Test } from 'tap'
import latchkey from '../../app.js'
import type { LatchkeyOptions } from '../../app.js'

const run = promisify(execFile)

/** Boots a host with these options, and closes it; resolves with the message that stopped it. */
async function boot (options: object): Promise<string | undefined> {
  const app = fastify()
  try {
    await app.register(latchkey, options as LatchkeyOptions)
    await app.ready()
    return undefined
  } catch (error) {
    return (error as Error).message
  } finally {
    await app.close()
  }
}

/** One sentence: one line, and no stack. */
function checkSentence (t: Test, message: string | undefined, says: RegExp, what: string): void {
  t.match(message, says, what)
  t.notMatch(message, /\n/, `${what}: one line`)
}

t.test('a wrong option stops the boot with a sentence that names it and the legal values', async t => {
  const folder = t.testdir()
  const good = { database: join(folder, 'auth.db') }
  const table: Array<[what: string, options: object, says: RegExp]> = [
    ['an unknown key', { databse: 'x' }, /no option databse; the options are issuer, .*database/],
    [
      'an unknown key inside cookies', { cookies: { sceure: false } },
      /no option cookies\.sceure; the options are secure, accessName, refreshName/
    ],
    [
      'a short secret', { secret: 'short' },
      /option secret \(LATCHKEY_SECRET\) has 5 bytes: it must be at least 32 bytes/
    ],
    ['an empty secret', { secret: '' }, /option secret .* 0 bytes/],
    ['a short secret in a list', { secret: ['x'.repeat(32), 'short'] }, /option secret .* 5 bytes/],
    ['a list of no secrets', { secret: [] }, /option secret .*at least 32 bytes/],
    ['a secret that is no text', { secret: 1234567890 }, /option secret .*at least 32 bytes/],
    ...['15 minutes', '15', '', '0m', '-1m', '1.5h', '15M', 'soon', 900, null].map(accessTokenTtl =>
      [
        `the duration ${JSON.stringify(accessTokenTtl)}`, { accessTokenTtl },
        /option accessTokenTtl \(LATCHKEY_ACCESS_TOKEN_TTL\) is .*: it must be a duration such as 900s, 15m or 30d/
      ] as [string, object, RegExp]),
    ['a lifetime below a second', { accessTokenTtl: '900ms' }, /option accessTokenTtl .* at least 1s/],
    ['a bad idle lifetime', { refreshIdleTtl: 'x' }, /option refreshIdleTtl \(LATCHKEY_REFRESH_IDLE_TTL\)/],
    ['a bad session lifetime', { sessionTtl: 'x' }, /option sessionTtl \(LATCHKEY_SESSION_TTL\)/],
    ['a bad grace', { refreshGrace: 'x' }, /option refreshGrace \(LATCHKEY_REFRESH_GRACE\)/],
    ...['HS512', 'none', 'es256', ''].map(algorithm =>
      [
        `the algorithm '${algorithm}'`, { algorithm },
        /option algorithm \(LATCHKEY_ALGORITHM\) is .*: it must be ES256, RS256, PS256, EdDSA, HS256/
      ] as [string, object, RegExp]),
    [
      'an issuer that is no URL', { issuer: 'auth' },
      /option issuer \(LATCHKEY_ISSUER\) is "auth": it must be an http or https URL/
    ],
    ['an empty audience', { audience: [] }, /option audience \(LATCHKEY_AUDIENCE\)/],
    ['a scope with a space', { scopes: { 'a b': '' } }, /option scopes \(LATCHKEY_SCOPES\)/],
    ['scopes as a list', { scopes: ['admin'] }, /option scopes .* names in printable ASCII .* each with a description/],
    [
      'a cost that is too low', { bcryptCost: 3 },
      /option bcryptCost \(LATCHKEY_BCRYPT_COST\) is 3: it must be a whole number from 4 to 20/
    ],
    ['a cost in text', { bcryptCost: '12' }, /option bcryptCost .* whole number/],
    ['a minimum of passwords that is too low', { passwordMinLength: 4 }, /option passwordMinLength .* from 8 to 128/],
    ['a switch that is text', { registration: 'false' }, /option registration .* true or false/],
    ['cookies that are a switch', { cookies: false }, /option cookies .* object with the members secure, accessName or refreshName/],
    [
      'an origin with a path', { trustedOrigins: ['https://app.example.com/'] },
      /option trustedOrigins .* such as https:\/\/app\.example\.com/
    ],
    [
      'a prefix without a slash', { prefix: 'auth' },
      /option prefix \(LATCHKEY_PREFIX\) is "auth": it must be a path such as \/auth/
    ],
    ['a prefix that ends with a slash', { prefix: '/auth/' }, /option prefix/],
    ['users with a method missing', { users: { find () {} } }, /option users .* functions authenticate and find/],
    ['claims that are no function', { claims: {} }, /option claims .* function/],
    [
      'an empty database',
      { database: '' },
      /option database \(LATCHKEY_DATABASE\) is "": it must be the path of a SQLite database, ':memory:', or a URL such as postgres:/
    ],
    [
      'a database of an engine that we do not have', { database: 'mysql://localhost/auth' }, /option database .* SQLite/
    ],
    [
      'PostgreSQL without a secret', { database: 'postgres://localhost/auth', secret: undefined },
      /with PostgreSQL, the option secret \(LATCHKEY_SECRET\) is required/
    ],
    [
      'a bound that is too small', { revocationBound: '50ms' },
      /option revocationBound \(LATCHKEY_REVOCATION_BOUND\) is "50ms": it must be a duration from 100ms to 1h/
    ]
  ]
  for (const [what, options, says] of table) checkSentence(t, await boot({ ...good, ...options }), says, what)
  t.same(readdirSync(folder), [], 'and nothing was made on the disk')

  const secret = await boot({ ...good, secret: ['not so secret', 7] })
  t.notMatch(secret, /not so secret/, 'a secret is never quoted')
})

t.test('options that are there and undefined are as if they were not there', async t => {
  t.equal(
    await boot({
      database: ':memory:',
      secret: undefined,
      audience: undefined,
      cookies: undefined,
      prefix: undefined,
      algorithm: undefined
    }),
    undefined
  )
})

t.test('a database that cannot be opened stops the boot, and no handle stays open', async t => {
  const folder = t.testdir({ 'notes.txt': 'These are notes, no database: ' + 'x'.repeat(4_096), directory: {} })
  const foreign = new Database(join(folder, 'foreign.db'))
  foreign.exec('create table latchkey_users (name text)')
  foreign.close()
  const table: Array<[what: string, database: string]> = [
    ['a folder that is missing', join(folder, 'missing', 'auth.db')],
    ['a directory', join(folder, 'directory')],
    ['a file that is no database', join(folder, 'notes.txt')],
    ['a file where a folder should be', join(folder, 'notes.txt', 'auth.db')],
    ['a database of somebody else', join(folder, 'foreign.db')]
  ]
  const before = openFiles(folder)
  for (const [what, database] of table) {
    const message = await boot({ database })
    checkSentence(
      t,
      message,
      /option database \(LATCHKEY_DATABASE\).*give the path of a SQLite database in a folder that exists and can be written, or ':memory:'/,
      what
    )
    t.ok(message?.includes(database), `${what}: names it`)
  }
  t.same(openFiles(folder), before)
  t.same(readdirSync(folder).sort(), ['directory', 'foreign.db', 'notes.txt'], 'nothing was made beside them')
})

t.test('a database that cannot be written stops the boot', { skip: process.platform === 'win32' }, async t => {
  const folder = t.testdir({ 'auth.db': '' })
  await rm(join(folder, 'auth.db'))
  t.equal(await boot({ database: join(folder, 'auth.db') }), undefined)
  // A root's writes are not refused: a process of another user tries.
  const program = `
    import { fastify } from 'fastify'
    import latchkey from '${new URL('../../app.js', import.meta.url).href}'
    import { chmodSync } from 'node:fs'
    const folder = ${JSON.stringify(folder)}
    chmodSync(folder, 0o555); chmodSync(folder + '/auth.db', 0o444); chmodSync(folder + '/auth.secret', 0o444)
    if (process.getuid() === 0) { process.setgid(65534); process.setuid(65534) }
    const app = fastify()
    try {
      await app.register(latchkey, { database: folder + '/auth.db' })
      console.log(JSON.stringify('booted'))
    } catch (error) {
      console.log(JSON.stringify(error.message))
    }
    await app.close()
  `
  const { stdout } = await run(
    process.execPath, [...process.execArgv, '--input-type=module', '--eval', program],
    { timeout: 30_000, env: { ...process.env, NODE_V8_COVERAGE: '' } }
  )
  await run('chmod', ['-R', 'u+w', folder])
  checkSentence(t, JSON.parse(stdout), /option database \(LATCHKEY_DATABASE\).*can be written/, 'a read-only database')
})

t.test('a wrong or missing secret for a database that is there stops the boot', async t => {
  const folder = t.testdir()
  const database = join(folder, 'auth.db')
  t.equal(await boot({ database }), undefined)
  t.ok(existsSync(join(folder, 'auth.secret')))
  const before = openFiles(folder)

  checkSentence(
    t, await boot({ database, secret: 'another secret, of 32 bytes or more' }),
    /option secret \(LATCHKEY_SECRET.*give the secret that this database was made with/, 'a wrong secret'
  )
  await rm(join(folder, 'auth.secret'))
  checkSentence(
    t, await boot({ database }), /secret file .*auth\.secret is missing.*option secret \(LATCHKEY_SECRET\)/,
    'a secret file that is missing'
  )
  t.notOk(existsSync(join(folder, 'auth.secret')), 'and no new one hides that')
  t.same(openFiles(folder), before)
})

t.test('a boot that fails leaves nothing that keeps the process alive, even when nobody closes the app', async t => {
  const folder = t.testdir({ 'notes.txt': 'no database '.repeat(500) })
  const program = `
    import { fastify } from 'fastify'
    import latchkey from '${new URL('../../app.js', import.meta.url).href}'
    const messages = []
    for (const options of [{ database: ${JSON.stringify(join(
      folder, 'notes.txt'
    ))} }, { database: ':memory:', algorithm: 'x' }, { database: '/missing/folder/auth.db' }]) {
      try { await fastify().register(latchkey, options) } catch (error) { messages.push(error.message) }
    }
    console.log(JSON.stringify(messages.length))
  `
  const { stdout } = await run(
    process.execPath, [...process.execArgv, '--input-type=module', '--eval', program], { timeout: 30_000 }
  )
  t.equal(JSON.parse(stdout), 3)
})

/** The open files of this process in a folder, where the system tells. */
function openFiles (folder: string): string[] {
  if (process.platform !== 'linux') return []
  return readdirSync('/proc/self/fd').map(fd => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return ''
    }
  }).filter(path => path.startsWith(folder))
}

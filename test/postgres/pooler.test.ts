import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import pg from 'pg'
import { openStore } from '../../lib/store/open.js'
import { run } from '../commands/support.js'
import { makeDatabase, until } from './nodes.js'
import { findPort } from './server.js'

// pgbouncer, as Debian installs it.

t.setTimeout(120_000)

const PGBOUNCER = '/usr/sbin/pgbouncer'
const skip = spawnSync(PGBOUNCER, ['--version'], { stdio: 'ignore' }).error !== undefined && 'pgbouncer is not installed'

/** pgbouncer refuses to run as root. */
const NOBODY = { uid: 65_534, gid: 65_534 }

const IGNORED = 'ignore_startup_parameters = statement_timeout,idle_in_transaction_session_timeout'

/** Starts pgbouncer in front of a new database, and returns the URL of that database through it. */
async function startPgbouncer (t: Test, mode: string, settings = IGNORED): Promise<string> {
  const target = new URL(await makeDatabase())
  const [folder, port] = [await mkdtemp(join(tmpdir(), 'latchkey-pgbouncer-')), await findPort()]
  const file = join(folder, 'pgbouncer.ini')
  await writeFile(file, `[databases]
* = host=127.0.0.1 port=${target.port} user=${target.username}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
default_pool_size = 50
${settings}
`)
  const as = process.getuid?.() === 0 ? NOBODY : {}
  spawnSync('chmod', ['-R', 'a+rX', folder])
  const child = spawn(PGBOUNCER, [file], { ...as, stdio: ['ignore', 'ignore', 'pipe'] })
  let errors = ''
  child.stderr.on('data', chunk => { errors += String(chunk) })
  t.teardown(async () => {
    const ended = once(child, 'exit')
    if (child.exitCode === null && child.kill('SIGINT')) await ended
    await rm(folder, { recursive: true, force: true })
  })
  target.port = String(port)
  await until('pgbouncer is ready', async () => {
    if (child.exitCode !== null) throw new Error(`pgbouncer has ended: ${errors}`)
    const client = new pg.Client(target.href)
    return await client.connect().then(() => client.end()).then(() => true, () => false)
  })
  return target.href
}

const SESSION_MODE = 'it leads to a connection pooler in transaction mode, and Latchkey needs session mode; ' +
  'in pgbouncer, set pool_mode = session for this database; or give the URL of PostgreSQL itself'

t.test('a pooler in transaction or statement mode stops the boot, and the message says what to set', { skip }, async t => {
  for (const mode of ['transaction', 'statement']) {
    const url = await startPgbouncer(t, mode)
    for (let time = 0; time < 5; time++) {
      await t.rejects(openStore(url, { bound: 1_000, log () {} }), {
        message: new RegExp(`cannot be opened: ${SESSION_MODE}$`)
      })
    }
    const env = { LATCHKEY_DATABASE: url, LATCHKEY_SECRET: 'x'.repeat(40) }
    const { code, stderr } = await run(t.testdir(), ['migrate'], { env })
    t.equal(code, 1, 'waiting does not help')
    t.match(stderr, SESSION_MODE)
  }
})

t.test('a pooler in transaction mode that others use is recognized too', { skip }, async t => {
  const url = await startPgbouncer(t, 'transaction')
  const done = new AbortController()
  const others = Array.from({ length: 4 }, async () => {
    const client = new pg.Client(url)
    await client.connect()
    while (!done.signal.aborted) await client.query('select pg_sleep(random() / 200)')
    await client.end()
  })
  for (let time = 0; time < 20; time++) {
    await t.rejects(openStore(url, { bound: 1_000, log () {} }), { message: /in transaction mode/ })
  }
  done.abort()
  await Promise.all(others)
})

t.test('a pooler in session mode works, with its notifications', { skip }, async t => {
  const url = await startPgbouncer(t, 'session')
  const stores = await Promise.all([1, 2].map(() => openStore(url, { bound: 60_000, log () {} })))
  t.teardown(() => Promise.all(stores.map(store => store.close())))
  const [one, two] = stores
  await two?.poll()
  const announced = new Promise<void>(resolve => { two?.onChange(resolve) })
  await one?.transaction(async trx => {
    await trx.insertInto('latchkey_rules').values(
      { kind: 'token', value: 'a', issued_before: null, expires_at: 9e15 }
    ).execute()
  })
  await announced
  t.equal(two?.changed(), true)
})

t.test('a pooler that does not ignore the timeouts stops the boot', { skip }, async t => {
  const url = await startPgbouncer(t, 'session', '')
  await t.rejects(openStore(url, { bound: 1_000, log () {} }), {
    message: /unsupported startup parameter.*; in pgbouncer, set ignore_startup_parameters = statement_timeout,/
  })
})

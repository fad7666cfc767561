import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import pg from 'pg'
import t from 'tap'
import type { Test } from 'tap'
import { copyStore } from '../../lib/store/copy/copy.js'
import type { CopySide } from '../../lib/store/copy/copy.js'
import { engineOf } from '../../lib/store/engines.js'
import { openStore } from '../../lib/store/open.js'
import { addUser, countUsers, createDatabase, createSource, query, read, server } from './copy-support.js'
import { CLI, environment, NODE, run, start } from './support.js'

// `latchkey copy` while processes and servers die, and others want to write.

/** Stops every copy to `url` when it comes to the audit trail, which is almost its last table, until `release`. */
async function createGate (t: Test, url: string): Promise<{ reached (): Promise<void>, release (): Promise<void> }> {
  const client = new pg.Client(url)
  client.on('error', () => {})
  await client.connect()
  t.teardown(() => client.end().catch(() => {}))
  await client.query('begin; lock table latchkey_events in share mode')
  return {
    async reached () {
      while ((await query(
        url,
        'select from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())'
      )).length === 0) await delay(10)
    },
    async release () {
      await client.query('rollback')
    }
  }
}

t.test('a copy that breaks off leaves nothing, can be run again, and lets nobody write to the source meanwhile', async t => {
  const { directory, file } = await createSource(
    t, Array.from({ length: 1_500 }, (_, number) => addUser(`user-${number}`)).join('')
  )
  const url = await createDatabase()
  // Its tables are to be there, and nothing in them.
  await run(directory, ['copy', '--from', file, '--to', url])
  await query(url, 'truncate latchkey_users, latchkey_sessions, latchkey_rules, latchkey_keys, latchkey_events, latchkey_meta')
  const args = ['copy', '--from', file, '--to', url]

  let gate = await createGate(t, url)
  const killed = spawn(
    NODE[0], [...NODE.slice(1), CLI, ...args], { cwd: directory, env: environment(), stdio: 'ignore' }
  )
  await gate.reached()
  const writer = new Database(file, { timeout: 0 })
  t.teardown(() => writer.close())
  t.throws(() => writer.exec('update latchkey_users set scope = 1'), /database is locked/)
  killed.kill('SIGKILL')
  await once(killed, 'exit')
  await gate.release()
  writer.exec("update latchkey_users set scope = 'written since'")
  t.equal(await countUsers(url), 0)

  gate = await createGate(t, url)
  const cut = start(directory, args)
  await gate.reached()
  await server.crash()
  t.match(
    await cut,
    {
      code: 4,
      stdout: '',
      stderr: /\nlatchkey: --to postgres:.* is not available \(.*\); nothing was copied: run the command again.*\n$/
    }
  )
  await server.start()
  t.equal(await countUsers(url), 0)

  t.match(await run(directory, args), { code: 0, stdout: /Copied 1,50\d rows/ })
  t.same(
    await query(url, 'select scope, count(*)::int from latchkey_users group by scope'),
    [{ scope: 'written since', count: 1_500 }]
  )
})

/** Two databases on the server: one with alice in it, and one with the tables and without rows. */
async function createPair (t: Test): Promise<{ directory: string, file: string, from: string, to: string }> {
  const { directory, file } = await createSource(t, addUser('alice'))
  const [from, to] = [await createDatabase(), await createDatabase()]
  for (const url of [from, to]) await run(directory, ['copy', '--from', file, '--to', url])
  await query(to, 'truncate latchkey_users, latchkey_keys, latchkey_events, latchkey_meta')
  return { directory, file, from, to }
}

const terminate = (
  url: string
): string => `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${url.split('/').at(-1) ?? ''}'`

t.test('nobody writes to a source server meanwhile, and what a new database has counted does not stay', async t => {
  const { directory, file, from, to } = await createPair(t)
  await query(to, "insert into latchkey_meta (name, value) values ('horizon', 9000000000000), ('other', 1)")
  const gate = await createGate(t, to)
  const copying = start(directory, ['copy', '--from', from, '--to', to])
  await gate.reached()
  await t.rejects(query(from, "set statement_timeout = 100; update latchkey_users set scope = 'lost'"), /statement timeout/)
  await gate.release()
  t.match(await copying, { code: 0 })
  t.same(await query(to, "select name, value::float8 from latchkey_meta where name <> 'changes' order by name"), [
    { name: 'access_token_ttl', value: read<number>(file, "select value from latchkey_meta where name = 'access_token_ttl'") }
  ])
})

t.test('a source server that is lost is noticed, and nothing is committed', async t => {
  const { directory, from, to } = await createPair(t)
  const gate = await createGate(t, to)
  const copying = start(directory, ['copy', '--from', from, '--to', to])
  await gate.reached()
  await query(server.url, terminate(from))
  await gate.release()
  t.match(await copying, { code: 4, stderr: /--from postgres:.* is not available \(.*\); nothing was copied/ })
  t.equal(await countUsers(to), 0)
})

/** The two sides of a copy without the command line, whose patience no test has. */
async function openSides (
  t: Test, databases: { from: string, to: string }
): Promise<{ source: CopySide, target: CopySide }> {
  const [source, target] = await Promise.all((['from', 'to'] as const).map(async side => {
    const store = await openStore(databases[side], { bound: 1_000, log: () => {}, patience: 300 })
    t.teardown(() => store.close())
    return { store, engine: await engineOf(databases[side]).loadCopyEngine(), name: side }
  }))
  return { source, target } as { source: CopySide, target: CopySide }
}

t.test('a source server waits as long as the target needs', async t => {
  const databases = await createPair(t)
  const { source } = await openSides(t, databases)
  const store = await openStore(databases.to, { bound: 1_000, log: () => {} })
  const target = { store, engine: await engineOf(databases.to).loadCopyEngine(), name: 'to' }
  t.teardown(() => target.store.close())
  const gate = await createGate(t, databases.to)
  const copying = copyStore({ source, target, report: () => {} })
  await gate.reached()
  // Longer than a transaction on these connections may else be idle.
  await delay(700)
  await gate.release()
  await copying
  t.equal(await countUsers(databases.to), 1)
})

t.test('a source server that is lost while everything is read back: somebody may have written to it since', async t => {
  const databases = await createPair(t)
  const { source, target } = await openSides(t, databases)
  const script =
    "import pg from 'pg'; const client = new pg.Client(process.argv[1]); await client.connect(); await client.query(process.argv[2]); await client.end()"
  let isLost = false
  function report (phase: 'copy' | 'check'): void {
    if (phase === 'copy' || isLost) return
    isLost = true
    // The copy stands still until it is done.
    const { status, stderr } = spawnSync(NODE[0], [...NODE.slice(1), '--input-type=module', '-e', script, server.url, terminate(databases.from)])
    t.equal(status, 0, String(stderr))
  }
  await t.rejects(copyStore({ source, target, report }), { code: 'store_unavailable', message: /^from is not available .*; nothing was copied/ })
  t.equal(isLost, true)
  t.equal(await countUsers(databases.to), 0)
})

t.test('a file that somebody else writes to for long is unavailable', async t => {
  const { directory, file } = await createSource(t)
  const writer = new Database(file)
  t.teardown(() => writer.close())
  writer.exec('begin immediate')
  t.match(await run(directory, ['copy', '--from', file, '--to', 'new.db']), { code: 4, stderr: /^latchkey: --from names .*auth\.db', which cannot be opened: database is locked; another process has locked it: try again.*\n$/ })
})

import { once } from 'node:events'
import { chmodSync, closeSync, existsSync, openSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import Database from 'better-sqlite3'
import t from 'tap'
import { openSqlite } from '../../../../lib/store/sqlite/open.js'
import { names, testContract, UNAVAILABLE, write } from '../contract.js'
import {
  connectTo, createStopwatch, databaseIn, isPending, libUrl, openCaptured, openStore, startScript
} from '../../support.js'

testContract(t, { connect: t => databaseIn(t), duplicate: 'SQLITE_CONSTRAINT_PRIMARYKEY', mistake: 'SQLITE_ERROR' })

t.test('the connection itself has WAL, synchronous FULL, foreign keys and no synchronous wait', async t => {
  const file = databaseIn(t)
  for (const time of ['first', 'second']) {
    const { store, connection } = await openCaptured(t, file)
    await write(store, time)
    t.equal(connection.pragma('journal_mode', { simple: true }), 'wal', `journal_mode, ${time} time`)
    t.equal(connection.pragma('synchronous', { simple: true }), 2, `synchronous, ${time} time`)
    t.equal(connection.pragma('foreign_keys', { simple: true }), 1, `foreign_keys, ${time} time`)
    t.equal(connection.pragma('temp_store', { simple: true }), 2, `temp_store, ${time} time`)
    t.equal(connection.pragma('busy_timeout', { simple: true }), 0, `busy_timeout, ${time} time`)
    await store.close()
  }
})

t.test('a commit is on the disk, seen by others, when its promise resolves', async t => {
  const file = databaseIn(t)
  const store = await openStore(t, file)
  const other = connectTo(t, file)
  const count = other.prepare('select count(*) from latchkey_meta where name = ?').pluck()
  for (let i = 0; i < 20; i++) {
    await write(store, `commit ${i}`)
    t.equal(count.get(`commit ${i}`), 1)
  }
})

t.test('ten processes that open a fresh file at once migrate it once, and all of them work', async t => {
  const file = databaseIn(t)
  const script = `
    const { openSqlite } = await import(${libUrl('store/sqlite/open.js')})
    process.stdout.write('ready')
    await new Promise(resolve => process.stdin.once('data', resolve))
    const store = await openSqlite(${JSON.stringify(file)})
    await store.transaction(trx => trx.insertInto('latchkey_meta').values({ name: String(process.pid), value: 1 }).execute())
    await store.close()
    process.exit()`
  const processes = Array.from({ length: 10 }, () => startScript(t, script))
  await Promise.all(processes.map(({ child }) => once(child.stdout ?? child, 'data')))
  for (const { child } of processes) child.stdin?.write('go')
  for (const { result } of processes) t.match(await result, { code: 0, stderr: '' })
  const store = await openStore(t, file)
  t.equal((await names(store)).length, 10)
  const other = connectTo(t, file)
  t.same(
    other.prepare('select name from latchkey_migration').pluck().all(),
    ['0001_initial']
  )
  t.equal(other.pragma('integrity_check', { simple: true }), 'ok')
})

t.test('a process killed while it migrates leaves nothing half-made', async t => {
  const file = databaseIn(t)
  // The first statement of the migration goes through, the process ends before the next.
  const script = `
    const Database = (await import(${JSON.stringify(import.meta.resolve('better-sqlite3'))})).default
    const prepare = Database.prototype.prepare
    Database.prototype.prepare = function (sql) {
      if (/create table "latchkey_sessions"/i.test(sql)) process.kill(process.pid, 'SIGKILL')
      return prepare.call(this, sql)
    }
    const { openSqlite } = await import(${libUrl('store/sqlite/open.js')})
    await openSqlite(${JSON.stringify(file)})
    process.stdout.write('not killed')`
  const { result } = startScript(t, script)
  t.match(await result, { code: null, stdout: '', stderr: '' })
  t.ok(existsSync(file))
  const store = await openStore(t, file)
  await write(store, 'after')
  t.same(await names(store), ['after'])
})

t.test('another process that holds the lock makes us wait, and nobody else', async t => {
  const file = databaseIn(t)
  const store = await openStore(t, file)
  await write(store, 'before')
  const script = `
    const Database = (await import(${JSON.stringify(import.meta.resolve('better-sqlite3'))})).default
    const db = new Database(${JSON.stringify(file)})
    db.exec("begin immediate; insert into latchkey_meta values ('theirs', 1)")
    process.stdout.write('held')
    process.stdin.once('data', () => { db.exec('commit'); process.stdout.write(' released') })
    process.stdin.once('end', () => process.exit())`
  const { child, result } = startScript(t, script)
  await once(child.stdout ?? child, 'data')

  const writing = [write(store, 'ours 1'), write(store, 'ours 2')]
  t.ok(await isPending(Promise.race(writing)), 'writers wait')
  // Reading, and the event loop, go on: no turn of 300 takes as long as a synchronous wait would.
  let longest = 0
  for (let turn = 0; turn < 300; turn++) {
    const before = process.hrtime.bigint()
    await nextTurn()
    if (turn % 50 === 0) t.same(await names(store), ['before'], 'readers see what is committed')
    longest = Math.max(longest, Number(process.hrtime.bigint() - before) / 1e6)
  }
  t.ok(longest < 1_000, `the longest turn took ${longest.toFixed(1)} ms`)
  t.ok(await isPending(Promise.race(writing)), 'writers wait still')
  child.stdin?.write('go')
  await Promise.all(writing)
  t.same(await names(store), ['before', 'ours 1', 'ours 2', 'theirs'])
  child.stdin?.end()
  t.equal((await result).code, 0)
})

t.test('when the patience is over the answer is store_unavailable, nothing is written, and the next one works', async t => {
  const file = databaseIn(t)
  const store = await openStore(t, file)
  const other = connectTo(t, file)
  const stopwatch = createStopwatch(t)
  other.exec('begin immediate')
  let runs = 0
  const writing = store.transaction(async trx => {
    runs++
    await trx.insertInto('latchkey_meta').values({ name: 'ours', value: 1 }).execute()
  })
  const refused = t.rejects(writing, { ...UNAVAILABLE, cause: { code: 'SQLITE_BUSY' } })
  t.ok(await isPending(writing))
  stopwatch.move(6_000)
  await refused
  t.equal(runs, 0, 'the work never began')
  other.exec('rollback')
  await write(store, 'later')
  t.same(await names(store), ['later'])
})

t.test('changed() tells what others committed, once, and nothing of our own', async t => {
  const file = databaseIn(t)
  const store = await openStore(t, file)
  const other = connectTo(t, file)
  t.equal(store.changed(), false, 'at first')
  await write(store, 'ours')
  t.equal(store.changed(), false, 'after our commit')
  other.exec("begin; insert into latchkey_meta values ('theirs', 1)")
  await nextTurn()
  t.equal(store.changed(), false, 'before theirs is committed')
  other.exec('rollback')
  await nextTurn()
  t.equal(store.changed(), false, 'after theirs was rolled back')
  other.exec("insert into latchkey_meta values ('theirs', 1)")
  await nextTurn()
  t.equal(store.changed(), true, 'after their commit')
  t.equal(store.changed(), false, 'told once')
  other.exec('delete from latchkey_meta where 0')
  other.exec('update latchkey_meta set value = 2')
  await write(store, 'ours again')
  t.equal(store.changed(), true, 'theirs, then ours')
  other.exec('update latchkey_meta set value = 3; update latchkey_meta set value = 4')
  await nextTurn()
  t.equal(store.changed(), true)
  t.equal(store.changed(), false, 'two commits are told as one')
})

t.test('changed() is true for a commit made between opening and asking', async t => {
  const file = databaseIn(t)
  const first = await openStore(t, file)
  const second = await openStore(t, file)
  await write(second, 'theirs')
  t.equal(first.changed(), true)
  t.equal(second.changed(), false)
})

t.test('a file that cannot be a database stops the boot with one sentence that names the option', async t => {
  const folder = t.testdir({
    'text.db': 'This is not a database. '.repeat(100),
    'short.db': 'no',
    folder: {}
  })
  const valid = join(folder, 'valid.db')
  await (await openSqlite(valid)).close()
  const bytes = readFileSync(valid)
  writeFileSync(
    join(folder, 'corrupt.db'), Buffer.concat([bytes.subarray(0, 100), Buffer.alloc(bytes.length - 100, 0xa5)])
  )
  writeFileSync(join(folder, 'truncated.db'), bytes.subarray(0, 4096 + 10))
  const table: Array<[name: string, file: string, reason: RegExp]> = [
    ['text', join(folder, 'text.db'), /file is not a database/],
    ['a few bytes', join(folder, 'short.db'), /not a database/],
    ['a folder', join(folder, 'folder'), /unable to open|not a database/],
    ['a missing folder', join(folder, 'missing', 'a.db'), /directory does not exist/],
    ['a file in the place of the folder', join(folder, 'text.db', 'a.db'), /directory does not exist|unable to open/],
    ['corrupt pages', join(folder, 'corrupt.db'), /malformed|not a database/],
    ['truncated', join(folder, 'truncated.db'), /malformed|not a database/]
  ]
  for (const [name, file, reason] of table) {
    const error = await openSqlite(file).then(() => undefined, (error: Error) => error)
    t.match(error?.message, /^The option database \(LATCHKEY_DATABASE\) names '/, `${name}: names the option`)
    t.match(error?.message, `'${file}'`, `${name}: names the file`)
    t.match(error?.message, reason, `${name}: says why`)
    t.match(
      error?.message, /; give the path of a SQLite database in a folder that exists and can be written, or ':memory:'$/,
      `${name}: says what is legal`
    )
    t.notMatch(error?.message, /\n/, `${name}: one line`)
    t.ok(error?.cause, `${name}: has a cause for the log`)
  }
  t.same(
    readFileSync(join(folder, 'text.db'), 'utf8'), 'This is not a database. '.repeat(100),
    'what is no database is left as it was'
  )
})

t.test('an addon that was built for another Node.js gets the command that helps', async t => {
  const original = Database.prototype.pragma
  Database.prototype.pragma = () => {
    throw new Error(
      'was compiled against a different Node.js version using NODE_MODULE_VERSION 115'
    )
  }
  t.teardown(() => { Database.prototype.pragma = original })
  await t.rejects(
    openSqlite(':memory:'),
    {
      message:
        /NODE_MODULE_VERSION 115; better-sqlite3 was not built for this version of Node.js: run `npm rebuild better-sqlite3 --ignore-scripts=false`$/
    }
  )
})

t.test('a SQLite with the WAL-reset bug is refused, and newer ones are not', async t => {
  const original = Database.prototype.prepare
  t.teardown(() => { Database.prototype.prepare = original })
  const table: Array<[version: string, isRefused: boolean]> = [
    ['3.51.2', true], ['3.50.9', true], ['3.9.0', true], ['2.99.99', true], ['3.51', true],
    ['3.51.3', false], ['3.51.10', false], ['3.52.0', false], ['4.0.0', false], ['10.0', false]
  ]
  for (const [version, isRefused] of table) {
    Database.prototype.prepare = function prepare (this: Database.Database, sql: string) {
      return original.call(this, sql.replace('sqlite_version()', `'${version}'`))
    } as typeof original
    const opening = openSqlite(':memory:').then(store => store.close())
    if (isRefused) await t.rejects(opening, { message: new RegExp(`^The option database .*SQLite ${version} can corrupt`) }, version)
    else await t.resolves(opening, version)
  }
})

t.test('a read-only file stops the boot; one that becomes read-only refuses the request', { skip: process.platform === 'win32' ? 'no POSIX permissions' : false }, async t => {
  const isRoot = process.getuid?.() === 0
  const script = (file: string): string => `
    const { openSqlite } = await import(${libUrl('store/sqlite/open.js')})
    await openSqlite(${JSON.stringify(file)}).then(() => process.stdout.write('opened'), error => process.stdout.write(error.message))`
  const parent = t.testdir({ folder: {} })
  const folder = join(parent, 'folder')
  const file = join(folder, 'read-only.db')
  await (await openSqlite(file)).close()
  chmodSync(file, 0o444)
  chmodSync(folder, 0o555)
  const { result } = startScript(t, script(file), isRoot ? { uid: 65534 } : {})
  const { code, stdout, stderr } = await result
  chmodSync(folder, 0o755)
  if (code !== 0 || stderr !== '') t.comment(`could not run as another user: ${stderr}`)
  else t.match(stdout, /^The option database \(LATCHKEY_DATABASE\) names '.*read-only.db', which cannot be opened: .*(readonly|unable to open).*; give the path/)

  const { store, connection } = await openCaptured(t, join(parent, 'open.db'))
  await write(store, 'before')
  connection.pragma('query_only = 1')
  await t.rejects(write(store, 'after'), UNAVAILABLE)
  t.same(await names(store), ['before'], 'reading goes on')
  connection.pragma('query_only = 0')
  await write(store, 'again')
})

t.test('a full disk: store_unavailable, nothing half-written, and it goes on when there is room again', async t => {
  const file = databaseIn(t)
  const { store, connection } = await openCaptured(t, file)
  await write(store, 'before')
  const pages = Number(connection.pragma('page_count', { simple: true }))
  connection.pragma(`max_page_count = ${pages}`)
  const rows = Array.from({ length: 500 }, (_, i) => ({ kind: 'token' as const, value: 'x'.repeat(100) + i, issued_before: null, expires_at: i }))
  let reached = false
  await t.rejects(store.transaction(async trx => {
    await trx.insertInto('latchkey_meta').values({ name: 'half', value: 1 }).execute()
    await trx.insertInto('latchkey_rules').values(rows).execute()
    reached = true
  }), { ...UNAVAILABLE, cause: { code: 'SQLITE_FULL' } })
  t.equal(reached, false)
  t.equal(connection.inTransaction, false, 'no transaction is left open')
  t.same(await names(store), ['before'])
  t.same(connectTo(t, file).prepare('select count(*) from latchkey_rules').pluck().get(), 0)
  await t.rejects(store.transaction(trx => trx.insertInto('latchkey_rules').values(rows).execute()), UNAVAILABLE, 'again')
  connection.pragma('max_page_count = 1000000')
  await store.transaction(trx => trx.insertInto('latchkey_rules').values(rows).execute())
  t.equal(connectTo(t, file).prepare('select count(*) from latchkey_rules').pluck().get(), 500)
})

t.test('a write that the file system refuses (file size limit): store_unavailable, what was acknowledged is there, nothing else', { skip: process.platform === 'win32' ? 'no ulimit' : false }, async t => {
  const file = databaseIn(t)
  const script = `
    const { openSqlite } = await import(${libUrl('store/sqlite/open.js')})
    const store = await openSqlite(${JSON.stringify(file)})
    let acknowledged = 0
    try {
      for (let i = 0; i < 10000; i++) {
        await store.transaction(async trx => {
          await trx.insertInto('latchkey_meta').values({ name: 'm' + i + 'x'.repeat(3000), value: i }).execute()
          await trx.insertInto('latchkey_rules').values({ kind: 'token', value: String(i), issued_before: null, expires_at: i }).execute()
        })
        acknowledged++
      }
    } catch (error) {
      console.log(JSON.stringify({ acknowledged, code: error.code, cause: error.cause?.code }))
      const rows = await store.read(db => db.selectFrom('latchkey_meta').select('value').execute())
      console.log(rows.length)
    }
    process.exit()`
  // 400 KiB in units of 1 KiB (bash) or 512 bytes (dash): either way less than 10,000 rows.
  const { result } = startScript(t, script, { prefix: ['bash', '-c', 'ulimit -f 400; exec "$0" "$@"'] })
  const { code, stdout, stderr } = await result
  t.equal(code, 0, stderr)
  const [outcome, readable] = stdout.trim().split('\n').map(line => JSON.parse(line))
  t.match(outcome, { code: 'store_unavailable', cause: /^SQLITE_(FULL|IOERR)/ })
  t.ok(outcome.acknowledged > 0)
  t.equal(readable, outcome.acknowledged, 'the process that met the limit goes on reading')
  const other = connectTo(t, file)
  t.equal(other.prepare('select count(*) from latchkey_meta').pluck().get(), outcome.acknowledged)
  t.equal(other.prepare('select count(*) from latchkey_rules').pluck().get(), outcome.acknowledged)
  t.equal(other.pragma('integrity_check', { simple: true }), 'ok')
})

t.test('a database that is corrupted while it is open: store_unavailable, and no crash', async t => {
  const file = databaseIn(t)
  const { store, connection } = await openCaptured(t, file)
  await store.transaction(trx => trx.insertInto('latchkey_rules').values(Array.from({ length: 2_000 }, (_, i) => ({ kind: 'token' as const, value: 'x'.repeat(200) + i, issued_before: null, expires_at: i }))).execute())
  connection.pragma('wal_checkpoint(TRUNCATE)')
  connection.pragma('shrink_memory')
  const { size } = statSync(file)
  const descriptor = openSync(file, 'r+')
  writeSync(descriptor, Buffer.alloc(size - 4096, 0xa5), 0, size - 4096, 4096)
  closeSync(descriptor)
  await t.rejects(store.read(db => db.selectFrom('latchkey_rules').selectAll().execute()), { ...UNAVAILABLE, cause: { code: /^SQLITE_(CORRUPT|NOTADB|IOERR)/ } })
  await t.rejects(store.transaction(trx => trx.insertInto('latchkey_meta').values({ name: 'a', value: 1 }).execute()), UNAVAILABLE)
  t.equal(connection.inTransaction, false)
})

t.test('a statement that is kept prepared takes in what another process has changed in the schema', async t => {
  const file = databaseIn(t)
  const store = await openStore(t, file)
  await write(store, 'a', 1)
  const all = (): Promise<object[]> => store.read(db => db.selectFrom('latchkey_meta').selectAll().execute())
  t.same(await all(), [{ name: 'a', value: 1 }])
  connectTo(t, file).exec('alter table latchkey_meta add column more text default \'x\'')
  t.same(await all(), [{ name: 'a', value: 1, more: 'x' }])
})

t.test('statements are prepared once, and more than are kept still run', async t => {
  const { store, connection } = await openCaptured(t, databaseIn(t))
  const texts: string[] = []
  const prepare = connection.prepare.bind(connection)
  connection.prepare = (text: string) => {
    texts.push(text)
    return prepare(text)
  }
  for (let round = 0; round < 3; round++) await write(store, `once ${round}`)
  t.equal(texts.filter(text => /insert/.test(text)).length, 1)
  for (let columns = 1; columns <= 300; columns++) {
    const list = Array.from({ length: columns }, (_, index) => `once ${index}`)
    t.equal((await store.read(db => db.selectFrom('latchkey_meta').selectAll().where('name', 'in', list).execute())).length, Math.min(columns, 3))
  }
  texts.length = 0
  await write(store, 'once more')
  t.equal(texts.filter(text => /insert/.test(text)).length, 1, 'the oldest was let go')
})

t.test('rows are read as a stream', async t => {
  const store = await openStore(t)
  for (const name of ['a', 'b', 'c']) await write(store, name)
  const rows: string[] = []
  await store.read(async db => {
    for await (const { name } of db.selectFrom('latchkey_meta').selectAll().stream()) rows.push(name)
  })
  t.same(rows, ['a', 'b', 'c'])
})

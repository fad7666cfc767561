import { join } from 'node:path'
import Database from 'better-sqlite3'
import { Kysely, Migrator, PostgresDialect, sql, SqliteDialect } from 'kysely'
import type { Dialect } from 'kysely'
import pg from 'pg'
import t from 'tap'
import type { Test } from 'tap'
import { openStore } from '../../lib/store/open.js'
import { bearer, build, logIn, PASSWORD, postForm, SECRET } from '../helper.js'
import { createDatabase } from '../postgres/databases.js'

// The app keeps its own tables in Latchkey's database, and migrates them with Kysely.

t.setTimeout(60_000)

interface Engine {
  name: string
  create: (t: Test) => string
  dialect: (database: string) => Dialect
  /** Lists the names of all objects. The query may leave out what the engine always has. */
  objects: string
}

const ENGINES: Engine[] = [
  {
    name: 'SQLite',
    create: t => join(t.testdir(), 'app.db'),
    dialect: database => new SqliteDialect({ database: new Database(database) }),
    objects: "select replace(name, 'sqlite_autoindex_', '') as name from sqlite_master where name <> 'sqlite_sequence'"
  },
  {
    name: 'PostgreSQL',
    create: createDatabase,
    dialect: database => new PostgresDialect({ pool: new pg.Pool({ connectionString: database, max: 2 }) }),
    objects: `
      with ours as (select oid from pg_namespace where nspname = 'public')
      select relname as name from pg_class where relnamespace in (select oid from ours)
      union all select conname from pg_constraint where connamespace in (select oid from ours)
      union all select proname from pg_proc where pronamespace in (select oid from ours)
      union all select ltrim(typname, '_') from pg_type where typnamespace in (select oid from ours)
      union all select tgname from pg_trigger where not tgisinternal
      union all select nspname from pg_namespace
        where nspname !~ '^pg_' and nspname not in ('public', 'information_schema')`
  }
]

const TABLES = ['users', 'sessions', 'status_lists', 'rules', 'clients', 'keys', 'attempts', 'events', 'meta']

/** Migrates the app, with Kysely's default names. Its tables have the names of Latchkey's without the prefix. */
async function migrateApp (db: Kysely<unknown>): Promise<void> {
  const { error } = await new Migrator({
    db,
    provider: {
      async getMigrations () {
        return {
          '0001_initial': {
            async up (db) {
              for (const table of TABLES) {
                await db.schema.createTable(table).addColumn('name', 'text').execute()
                await db.schema.createIndex(`${table}_user_id`).on(table).column('name').execute()
                await sql`insert into ${sql.table(table)} values ('of the app')`.execute(db)
              }
            }
          }
        }
      }
    }
  }).migrateToLatest()
  if (error !== undefined) throw error
}

async function useLatchkey (t: Test, database: string): Promise<void> {
  const { app } = await build(t, { database, secret: SECRET })
  const { access_token: token } = await logIn(app)
  const { statusCode } = await app.inject({ url: '/protected-route', headers: bearer(token) })
  t.equal(statusCode, 200)
  await app.close()
}

for (const engine of ENGINES) {
  function connect (t: Test, database: string): Kysely<unknown> {
    const db = new Kysely<unknown>({ dialect: engine.dialect(database) })
    t.teardown(() => db.destroy())
    return db
  }

  for (const first of ['the app', 'Latchkey']) {
    t.test(`${engine.name}: the app and Latchkey share a database that ${first} has created`, async t => {
      const database = engine.create(t)
      const db = connect(t, database)
      if (first === 'Latchkey') await useLatchkey(t, database)
      await migrateApp(db)
      await useLatchkey(t, database)
      await migrateApp(db)
      for (const table of TABLES) {
        const { rows } = await sql`select * from ${sql.table(table)}`.execute(db)
        t.same(rows, [{ name: 'of the app' }], table)
      }
      const { rows } = await sql`select name from kysely_migration`.execute(db)
      t.same(rows, [{ name: '0001_initial' }], 'the app finds its own migrations only')
    })
  }

  t.test(`${engine.name}: everything that Latchkey creates has its prefix`, async t => {
    const database = engine.create(t)
    await useLatchkey(t, database)
    const { rows } = await sql<{ name: string }>`${sql.raw(engine.objects)}`.execute(connect(t, database))
    t.ok(rows.length > 30)
    t.same(rows.filter(({ name }) => !name.startsWith('latchkey_')), [])
  })

  t.test(`${engine.name}: a database of a newer Latchkey stops the boot`, async t => {
    const database = engine.create(t)
    await useLatchkey(t, database)
    const db = connect(t, database)
    const newer = sql`insert into latchkey_migration (name, timestamp) values ('9999_newer', '2100-01-01T00:00:00Z')`
    await newer.execute(db)
    await t.rejects(openStore(database, { bound: 1_000, log () {} }), {
      message: /cannot be opened: a newer version of Latchkey has changed its schema \(9999_newer\).*: start that version/
    })
  })
}

t.test('PostgreSQL: Latchkey does not wait for a migration of the app', async t => {
  const database = createDatabase()
  const migrator = new pg.Client(database)
  await migrator.connect()
  t.teardown(() => migrator.end())
  // The lock that Kysely holds while it migrates.
  await migrator.query('select pg_advisory_lock(3853314791062309107)')
  await useLatchkey(t, database)
})

t.test('SQLite: a long write transaction of the app delays Latchkey, and then makes it busy', async t => {
  const database = join(t.testdir(), 'app.db')
  await useLatchkey(t, database)
  const host = new Database(database)
  t.teardown(() => host.close())
  host.exec('create table todos (name text); begin immediate')
  setTimeout(() => host.exec('commit'), 300)
  await useLatchkey(t, database)

  const { app } = await build(t, { database, secret: SECRET })
  const { access_token: token } = await logIn(app)
  host.exec("begin immediate; insert into todos values ('long')")
  const read = await app.inject({ url: '/protected-route', headers: bearer(token) })
  t.equal(read.statusCode, 200, 'verifying only reads')
  const { statusCode, headers } = await postForm(
    app, '/token', { grant_type: 'password', username: 'alice', password: PASSWORD }
  )
  t.equal(statusCode, 503)
  t.equal(headers['retry-after'], '1')
  host.exec('commit')
  await logIn(app)
  t.same(host.prepare('select name from todos').all(), [{ name: 'long' }])
})

t.test('SQLite: Latchkey leaves the numbers in the header of the file to the app', async t => {
  const database = join(t.testdir(), 'app.db')
  const host = new Database(database)
  t.teardown(() => host.close())
  host.exec('pragma application_id = 7; pragma user_version = 8; pragma auto_vacuum = full; vacuum')
  await useLatchkey(t, database)
  const settings = ['application_id', 'user_version', 'auto_vacuum', 'journal_mode'].map(
    name => host.pragma(name, { simple: true })
  )
  t.same(settings, [7, 8, 1, 'wal'])
  host.exec('vacuum')
  await useLatchkey(t, database)
})

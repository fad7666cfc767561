import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import type { Test } from 'tap'
import { exclusive } from '../../lib/store/lock.js'
import { openStore } from '../../lib/store/open.js'
import type { Store } from '../../lib/store/store.js'
import { bearer, build, logIn, postForm, SECRET } from '../helper.js'
import { run } from '../commands/support.js'
import type { Outcome } from '../commands/support.js'
import { makeDatabase, until } from './nodes.js'
import { setTraps } from './traps.js'

// Latchkey in a schema of its own, with a role that may do little else.

t.setTimeout(120_000)

interface Place {
  /** For the role, without a search_path in it. */
  url: string
  role: string
  admin: pg.Client
}

async function connect (t: Test, url: string): Promise<pg.Client> {
  const client = new pg.Client(url)
  await client.connect()
  t.teardown(() => client.end())
  return client
}

/** Creates a role that owns each of these schemas, and may create nothing else. */
async function createPlace (t: Test, schemas: string[]): Promise<Place> {
  const database = await makeDatabase()
  const admin = await connect(t, database)
  const role = `app_${randomUUID().replaceAll('-', '')}`
  await admin.query(`
    create role ${role} login nosuperuser nocreatedb nocreaterole;
    revoke create on schema public from public;
    revoke create, temporary on database ${admin.database ?? ''} from public`)
  for (const schema of schemas) await admin.query(`create schema "${schema}" authorization ${role}`)
  t.teardown(async () => {
    await admin.query(`drop owned by ${role} cascade; drop role ${role}`)
  })
  return { url: Object.assign(new URL(database), { username: role }).href, role, admin }
}

const withPath = (url: string, schema: string): string => `${url}?options=--search_path%3D${schema}`

async function schemasOf (admin: pg.Client): Promise<string[]> {
  const { rows } = await admin.query<{ schema: string }>(`
    select distinct nspname as schema from pg_class join pg_namespace n on n.oid = relnamespace
    where relname like 'latchkey%' order by 1`)
  return rows.map(({ schema }) => schema)
}

async function open (t: Test, database: string, warnings: string[] = []): Promise<Store> {
  const store = await openStore(database, { bound: 60_000, log: error => { warnings.push((error as Error).message) } })
  t.teardown(() => store.close())
  return store
}

const RULE = { kind: 'token', value: 'a', issued_before: null, expires_at: 9e15 } as const

t.test('a role that owns one schema runs everything, however its search_path is set', async t => {
  for (const [how, path] of [
    ['role', ''], ['-c', '?options=-c%20search_path%3Dapp'], ['--', '?options=--search_path%3Dapp']
  ] as const) {
    await t.test(how, async t => {
      const { url, role, admin } = await createPlace(t, ['app'])
      if (path === '') await admin.query(`alter role ${role} set search_path = app`)
      const database = url + path
      const { app } = await build(t, { database, secret: SECRET })
      const { app: other } = await build(t, { database, secret: SECRET })
      const { access_token: token } = await logIn(app)
      await postForm(app, '/revoke', { token })
      await until('the other node learns of the revocation', async () => {
        const { statusCode } = await other.inject({ url: '/protected-route', headers: bearer(token) })
        return statusCode === 401
      })
      t.match(await app.latchkey.keys.rotate({ immediately: true }), { outcome: 'rotated' })
      await app.close()
      await other.close()
      t.same(await schemasOf(admin), ['app'])
      const directory = t.testdir()
      t.match(await run(directory, ['copy', '--from', database, '--to', 'copy.db']), { code: 0 })
    })
  }
})

t.test('the trigger announces what a session with another search_path writes', async t => {
  const { url, admin } = await createPlace(t, ['My app', 'other'])
  const store = await open(t, withPath(url, '%22My%5C%20app%22'))
  t.same(await schemasOf(admin), ['My app'])
  await store.poll()
  t.equal(store.changed(), false)
  const announced = new Promise<void>(resolve => { store.onChange(resolve) })
  await admin.query(`set search_path = other;
    insert into "My app".latchkey_rules (kind, value, expires_at) values ('token', 'x', 1)`)
  await announced
  t.equal(store.changed(), true)
})

t.test('two Latchkeys in two schemas share nothing, and neither waits for the other', async t => {
  const { url, admin } = await createPlace(t, ['one', 'two'])
  const [one, two] = [await open(t, withPath(url, 'one')), await open(t, withPath(url, 'two'))]
  t.same(await schemasOf(admin), ['one', 'two'])
  await one.transaction(async trx => {
    await trx.insertInto('latchkey_rules').values(RULE).execute()
    await two.transaction(other => other.insertInto('latchkey_meta').values({ name: 'two', value: 1 }).execute())
  })
  t.equal(await one.onOneNode(async () => await two.onOneNode(async () => 'both')), 'both')
  t.same(await two.read(db => db.selectFrom('latchkey_rules').selectAll().execute()), [])
  await until('the rule', async () => one.changed() === true)
  await delay(100)
  await two.poll()
  t.equal(two.changed(), false, 'a rule of the other schema is no change')
})

t.test('two nodes in one schema share their locks', async t => {
  const { url } = await createPlace(t, ['app'])
  const [one, two] = [await open(t, withPath(url, 'app')), await open(t, withPath(url, 'app'))]
  t.equal(await one.onOneNode(async () => await two.onOneNode(async () => 'both') ?? 'one'), 'one')
  const order: string[] = []
  const locks = [exclusive('accounts')]
  await one.transaction(async () => {
    const other = two.transaction(async () => { order.push('two') }, locks)
    await delay(100)
    order.push('one')
    other.catch(() => {})
  }, locks)
  await until('both', async () => order.length === 2)
  t.same(order, ['one', 'two'])
})

t.test('latchkey copy copies from one schema to another of the same database, and not to itself', async t => {
  const { url, admin } = await createPlace(t, ['one', 'two', 'three'])
  const { app } = await build(t, { database: withPath(url, 'one'), secret: SECRET })
  await app.close()
  const directory = t.testdir()
  const copy = (to: string): Promise<Outcome> => run(
    directory, ['copy', '--from', withPath(url, 'one'), '--to', withPath(url, to)]
  )
  t.match(await copy('two'), { code: 0 })
  const { rows } = await admin.query(
    'select (select count(*) from one.latchkey_users) = (select count(*) from two.latchkey_users) as same'
  )
  t.same(rows, [{ same: true }])
  t.match(await copy('one'), { code: 2, stderr: /is the database of --from under another name/ })
})

t.test('a schema that does not exist, or that the role may not use, is an error that names the search_path', async t => {
  const { url, role, admin } = await createPlace(t, [])
  await admin.query('create schema forbidden')
  for (const schema of ['missing', 'forbidden']) {
    await t.rejects(open(t, withPath(url, schema)), {
      message: new RegExp(`names postgres://${role}@.* the search_path \\(${schema}\\) names no schema that exists and ` +
        'that the role may use; create the schema or correct the search_path')
    })
  }
  await t.rejects(open(t, url), { message: /permission denied for schema public.*whose role may create tables/ })
  t.same(await schemasOf(admin), [])
})

/** Adds a role that may only connect. */
async function createRole (t: Test, { url, admin }: Place, name = 'other'): Promise<{ role: string, url: string }> {
  const role = `${name}_${randomUUID().replaceAll('-', '')}`
  await admin.query(`create role ${role} login nosuperuser`)
  t.teardown(async () => {
    await admin.query(`drop owned by ${role} cascade; drop role ${role}`)
  })
  return { role, url: Object.assign(new URL(url), { username: role }).href }
}

t.test('a role that may create objects in a schema of the path runs no code as Latchkey (CVE-2018-1058)', async t => {
  for (const path of ['public', 'app, public', 'app, public, pg_catalog']) {
    await t.test(path, async t => {
      const place = await createPlace(t, ['app'])
      const { url, role, admin } = place
      await admin.query(`grant create on schema public to public; alter role ${role} set search_path = ${path}`)
      const traps = await setTraps(await connect(t, (await createRole(t, place)).url))
      const directory = t.testdir()
      const file = join(directory, 'auth.db')
      const { app: source } = await build(t, { database: file, secret: SECRET })
      await source.close()
      t.match(await run(directory, ['copy', '--from', file, '--to', url]), { code: 0 })
      const { app } = await build(t, { database: url, secret: SECRET })
      const { access_token: token, refresh_token: refreshToken } = await logIn(app)
      await postForm(app, '/token', { grant_type: 'refresh_token', refresh_token: String(refreshToken) })
      await postForm(app, '/revoke', { token })
      t.match(await app.latchkey.keys.rotate({ immediately: true }), { outcome: 'rotated' })
      t.not((await app.latchkey.audit.list({ type: 'login', outcome: 'success', since: 1 })).length, 0)
      t.match(await run(directory, ['copy', '--from', url, '--to', 'copy.db']), { code: 0 })
      const schema = path === 'public' ? 'public' : 'app'
      await admin.query(`set search_path = public, pg_catalog;
        insert into ${schema}.latchkey_rules (kind, value, expires_at) values ('token', 'x', 1)`)
      t.same(await traps(), [])
    })
  }
})

t.test('a schema that appears at the beginning of the path hides no tables', async t => {
  const place = await createPlace(t, [])
  const { url, role, admin } = place
  await admin.query(`grant create on schema public to ${role}`)
  const first = await open(t, url)
  const member = await createRole(t, place)
  await admin.query(`grant ${role} to ${member.role}; create schema "${role}" authorization ${role}`)
  const warnings: string[] = []
  const second = await open(t, url, warnings)
  const other = await open(t, member.url)
  t.same(await schemasOf(admin), ['public'])
  t.same(warnings, [`The search_path begins with the schema ${role}, but public holds Latchkey's tables`])
  await first.transaction(async trx => { await trx.insertInto('latchkey_rules').values(RULE).execute() })
  for (const store of [second, other]) {
    t.match(await store.read(db => db.selectFrom('latchkey_rules').select('value').execute()), [{ value: 'a' }])
    await until('the revocation', async () => store.changed() === true)
  }
  let inside = 0
  await Promise.all([first, second, other].map(store => store.transaction(async () => {
    t.equal(++inside, 1, 'writers take turns')
    await delay(100)
    inside--
  }, [exclusive('accounts')])))
})

t.test('a path with the tables of two Latchkeys is an error that names both schemas', async t => {
  const { url } = await createPlace(t, ['one', 'two', 'three'])
  for (const schema of ['one', 'two']) await (await openStore(withPath(url, schema), { bound: 1, log () {} })).close()
  await t.rejects(open(t, withPath(url, 'three,two,one')), {
    message: /the schemas two and one of the search_path both hold tables of Latchkey; set the search_path to/
  })
})

t.test('tables that a role without the trust of Latchkey has planted are never used', async t => {
  const place = await createPlace(t, ['app'])
  const { url, role, admin } = place
  const { role: stranger, url: strangerUrl } = await createRole(t, place, 'stranger')
  await admin.query(`grant create on schema public to public; alter role ${role} set search_path = app, public`)
  const planter = await connect(t, strangerUrl)
  const warnings: string[] = []
  for (const table of ['latchkey_migration_lock', 'latchkey_migration']) {
    await planter.query(`create table public.${table} (name text)`)
    await t.rejects(open(t, url), {
      message: new RegExp(`the role ${stranger} owns the tables of Latchkey in the schema public; set the search_path`)
    })
  }
  t.same(await schemasOf(admin), ['public'])
  await open(t, withPath(url, 'app'))
  await open(t, url, warnings)
  t.same(await schemasOf(admin), ['app', 'public'])
  t.same(warnings, [], 'only the schema of the tables matters')
})

t.test('Latchkey warns if every role may create objects in its schema', async t => {
  const { url, admin } = await createPlace(t, ['My app'])
  await admin.query('grant usage, create on schema "My app" to public')
  const warnings: string[] = []
  await open(t, withPath(url, '%22My%5C%20app%22'), warnings)
  t.same(warnings, ['Every role of the database may create objects in the schema My app'])
})

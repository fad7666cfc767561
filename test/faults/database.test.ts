import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import type { Test } from 'tap'
import { startNode } from '../postgres/nodes.js'
import { startPostgres } from '../postgres/server.js'
import type { PostgresServer } from '../postgres/server.js'
import { askMe, askRefresh, askRevoke, askToken, call, logIn, register, stop } from './support.js'
import type { Answer, Service } from './support.js'

// A PostgreSQL server that hangs, locks, refuses or is overloaded, while the service runs.
//   node dist/test/faults/database.test.js

/** Milliseconds: LATCHKEY_DATABASE_TIMEOUT of these services. */
const TIMEOUT = 2_000

/** Milliseconds that a busy machine may add. */
const SLACK = 700

t.setTimeout(300_000)

async function open (
  t: Test, env: Record<string, string> = {}
): Promise<{ server: PostgresServer, service: Service }> {
  const server = await startPostgres()
  t.teardown(() => server.stop())
  const service = await startNode(t, server.url, { env: { LATCHKEY_DATABASE_TIMEOUT: `${TIMEOUT}ms`, ...env } })
  return { server, service }
}

/** A connection of an operator. */
async function connect (t: Test, { url }: PostgresServer): Promise<pg.Client> {
  const client = new pg.Client(url)
  client.on('error', () => {})
  await client.connect()
  t.teardown(() => client.end())
  return client
}

/** One request of each kind that needs the database. */
async function enrol (url: string): Promise<Record<string, () => Promise<Answer | undefined>>> {
  const kinds = ['refreshes', 'reads', 'revokes', 'ends'] as const
  for (const username of [...kinds, 'logs-in']) await register(url, username)
  const [refreshes, reads, revokes, ends] = await Promise.all(kinds.map(async username => await logIn(url, username)))
  return {
    login: () => askToken(url, 'logs-in'),
    refresh: () => askRefresh(url, refreshes?.refresh_token ?? ''),
    'an account': () => askMe(url, reads?.access_token ?? ''),
    'revocation of a token': () => askRevoke(url, revokes?.access_token ?? ''),
    'end of a session': () => askRevoke(url, ends?.refresh_token ?? '')
  }
}

/** Expects 503 of each, not later than the option promises. */
async function expectRefusals (t: Test, asks: Record<string, () => Promise<Answer | undefined>>): Promise<void> {
  await Promise.all(Object.entries(asks).map(async ([name, ask]) => {
    const answer = await ask()
    t.equal(answer?.status, 503, name)
    t.match(answer?.body?.code ?? answer?.body?.error, /^(store_unavailable|revocation_unknown|temporarily_unavailable)$/)
    t.match(answer?.headers.get('retry-after'), /^\d+$/)
    const milliseconds = answer?.milliseconds ?? Infinity
    t.ok(milliseconds < TIMEOUT + SLACK, `${name}: ${milliseconds.toFixed(0)} ms`)
  }))
}

async function askReady (url: string): Promise<Answer | undefined> {
  return await call(url, '/health/ready', { method: 'GET' })
}

async function waitForReady (url: string): Promise<void> {
  for (let attempts = 100; (await askReady(url))?.status !== 200; attempts--) {
    if (attempts === 0) throw new Error('It is not ready again')
    await delay(100)
  }
}

/** The lines of the log above info. */
function linesOf ({ output }: Service): Array<{ level: number, msg: string, count?: number }> {
  return output.split('\n').filter(line => /"level":[45]0/.test(line)).map(line => JSON.parse(line))
}

t.test('a server that hangs: 503 in time, two lines in the log, and everything works again when it continues', async t => {
  const { server, service } = await open(t)
  const asks = await enrol(service.url)
  await waitForReady(service.url)
  await server.freeze()
  for (let round = 0; round < 3; round++) await expectRefusals(t, asks)
  t.equal((await askReady(service.url))?.status, 503)
  server.thaw()
  await waitForReady(service.url)
  for (const [name, ask] of Object.entries(asks)) t.equal((await ask())?.status, 200, `${name} works again`)
  await service.printed(/resolved: requests get 503 store_unavailable/)
  await service.printed(/resolved: the connection that receives notifications/)
  const lines = linesOf(service)
  const messages = lines.map(({ msg }) => msg)
  t.same(messages, [...new Set(messages)], 'no line is logged twice')
  t.comment(JSON.stringify(lines.map(({ level, msg, count }) => ({ level, msg, count }))))
  t.ok((lines.find(({ msg }) => msg === 'resolved: requests get 503 store_unavailable')?.count ?? 0) > 5)
  t.equal(service.errors, '')
})

t.test('a server that hangs while the password of a login is checked: the login waits once', async t => {
  // The hash takes longer than the freeze.
  const { server, service: { url } } = await open(t, { LATCHKEY_BCRYPT_COST: '12', LATCHKEY_RATE_LIMIT: 'true' })
  await register(url, 'alice')
  const operator = await connect(t, server)
  const usual = (await askToken(url, 'alice'))?.milliseconds ?? Infinity
  const login = askToken(url, 'alice')
  const findAttempt = async (): Promise<boolean> =>
    (await operator.query("select 1 from latchkey_attempts where pending <> ''")).rowCount === 1
  while (!await findAttempt()) await delay(5)
  await server.freeze()
  const answer = await login
  server.thaw()
  t.equal(answer?.status, 503)
  const milliseconds = answer?.milliseconds ?? Infinity
  t.ok(milliseconds - usual < 1.6 * TIMEOUT, `${milliseconds.toFixed(0)} ms, usually ${usual.toFixed(0)} ms`)
})

t.test('a service shuts down while its server hangs', async t => {
  const { server, service } = await open(t)
  const asks = await enrol(service.url)
  await server.freeze()
  const refused = expectRefusals(t, asks)
  await delay(100)
  const begun = performance.now()
  t.equal(await stop(service), 0)
  t.ok(performance.now() - begun < 4 * TIMEOUT, `after ${(performance.now() - begun).toFixed(0)} ms`)
  await refused
})

for (const table of ['latchkey_sessions', 'latchkey_users', 'latchkey_attempts', 'latchkey_events']) {
  t.test(`a lock on ${table}: logins get 503, the service is not ready, and both end with the lock`, async t => {
    const { server, service: { url } } = await open(t)
    const { login = async () => undefined } = await enrol(url)
    const operator = await connect(t, server)
    await operator.query(`begin; lock table ${table} in access exclusive mode`)
    await delay(1_000)
    const [ready] = await Promise.all([askReady(url), expectRefusals(t, { login })])
    t.equal(ready?.status, 503)
    t.match(ready?.body?.detail, /^The database accepts no writes\./)
    t.ok((ready?.milliseconds ?? Infinity) < TIMEOUT + SLACK)
    await operator.query('rollback')
    await waitForReady(url)
    t.equal((await login())?.status, 200)
  })
}

t.test('a read-only server: logins get 503, and the service is not ready', async t => {
  const { server, service: { url } } = await open(t)
  const { login = async () => undefined } = await enrol(url)
  const operator = await connect(t, server)
  const configure = async (value: string): Promise<void> => {
    await operator.query(`begin read write; alter database postgres set default_transaction_read_only = ${value}; commit`)
    await operator.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'latchkey%'"
    )
  }
  await configure('on')
  await delay(1_000)
  await expectRefusals(t, { login })
  const ready = await askReady(url)
  t.equal(ready?.status, 503)
  t.match(ready?.body?.detail, /^The database accepts no writes\./)
  await configure('off')
  await waitForReady(url)
  t.equal((await login())?.status, 200)
})

t.test('four hundred clients on a slow server: they get 503 overloaded, and the node stays ready', async t => {
  const { server, service: { url } } = await open(t)
  const usernames = Array.from({ length: 20 }, (_, index) => `user-${index}`)
  for (const username of usernames) await register(url, username)
  const logins = await Promise.all(usernames.map(async username => await logIn(url, username)))
  const operator = await connect(t, server)
  await operator.query(`create function slow () returns trigger language plpgsql
    as $$ begin perform pg_catalog.pg_sleep(0.2); return new; end $$`)
  await operator.query('create trigger slow before update on latchkey_sessions for each row execute function slow()')
  const answers = await Promise.all(Array.from({ length: 400 }, async (_, index) => {
    // The first half comes at once. Those of the rest find the queue full.
    await delay(index < 200 ? 0 : 10 * (index - 200))
    return await askRefresh(url, logins[index % logins.length]?.refresh_token ?? '')
  }))
  const refused = answers.filter(answer => answer?.status === 503)
  t.ok(refused.length > 0, `${refused.length} of 400 were refused`)
  t.same([...new Set(refused.map(answer => answer?.body?.error_description))], [
    'Too many requests are waiting for the database: try again in a moment.'
  ])
  t.ok(answers.every(answer => answer?.status === 200 || answer?.status === 503))
  t.ok(refused.some(answer => (answer?.milliseconds ?? Infinity) < TIMEOUT / 2), 'some at once')
  // A refresh is two operations: it reads the session, then it writes.
  const slowest = Math.max(...answers.map(answer => answer?.milliseconds ?? Infinity))
  t.ok(slowest < 2 * TIMEOUT + SLACK, `the slowest took ${slowest.toFixed(0)} ms`)
  await waitForReady(url)
})

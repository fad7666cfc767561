import Database from 'better-sqlite3'
import t from 'tap'
import type { Test } from 'tap'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { readServiceOptions } from '../../lib/options/options.js'
import { hashPassword } from '../../lib/passwords/hashing.js'
import { buildServer } from '../../server.js'
import type { LatchkeyOptions } from '../../app.js'
import {
  bearer, build, cookieHeader, createTestClock, logIn, ON_POSTGRES, PASSWORD, postForm, TEST_OPTIONS
} from '../helper.js'
import { assertOAuthError, assertProblem, databaseFile, query, SECRET, visible } from '../routes/support.js'

// Addresses in these tests change with each attempt, as those of an attacker do: the limit for each address has its own
// tests.

const SECOND = 1_000
const DAY = 86_400 * SECOND
const ON: LatchkeyOptions = { rateLimit: true }

let host = 0
/** An address that nobody has used. */
function newAddress (): string {
  host++
  return `10.${host >> 16}.${(host >> 8) & 255}.${host & 255}`
}

interface From { remoteAddress?: string, headers?: Record<string, string> }

async function attempt (
  app: FastifyInstance, username: string, password: string, from: From = {}
): Promise<LightMyRequestResponse> {
  return await app.inject({
    method: 'POST', url: '/login', remoteAddress: newAddress(), payload: { username, password }, ...from
  })
}

/** Fails so many times from everywhere. */
async function guess (app: FastifyInstance, username: string, times: number): Promise<LightMyRequestResponse> {
  let response
  for (let time = 0; time < times; time++) response = await attempt(app, username, 'a wrong password')
  return response as LightMyRequestResponse
}

t.test('unknown, known and disabled accounts are throttled in the same words, headers and steps, at both endpoints', async t => {
  const { app, clock } = await build(t, ON)
  const bob = await app.latchkey.users.findByName('bob')
  await app.latchkey.users.disable(bob?.id ?? '')
  clock.move(SECOND) // To disable somebody takes a millisecond of the store's time.
  for (const url of ['/login', '/token']) {
    const answers: Record<string, unknown[]> = {}
    for (const username of ['alice', 'bob', 'nobody']) {
      const seen: unknown[] = []
      for (let time = 0; time < 14; time++) {
        const response = await app.inject({
          method: 'POST', url, remoteAddress: newAddress(), payload: { username, password: 'a wrong password' }
        })
        seen.push(visible(response))
        if (time === 11) {
          if (url === '/login') assertProblem(t, response, 429, 'too_many_failures')
          else assertOAuthError(t, response, 429, 'invalid_request')
          t.equal(response.headers['retry-after'], '1')
          t.match(response.headers.ratelimit, /^"attempts";r=99;t=\d+$/)
          t.notMatch(response.body, /alice|bob|nobody|account|user/i, 'not a word of who it is')
          clock.move(SECOND)
        }
      }
      answers[username] = seen
      clock.move(DAY)
    }
    t.strictSame(answers.bob, answers.alice)
    t.strictSame(answers.nobody, answers.alice)
  }
})

t.test('the right password does not get in while the bucket is blocked, and does after it', async t => {
  const { app, clock } = await build(t, ON)
  await guess(app, 'alice', 13)
  const early = await attempt(app, 'alice', PASSWORD)
  t.equal(early.statusCode, 429)
  t.equal(early.headers['set-cookie'], undefined)
  t.equal(early.headers['retry-after'], '1')
  clock.move(SECOND)
  t.equal((await attempt(app, 'ALICE', PASSWORD)).statusCode, 200)
  t.equal((await guess(app, 'alice', 10)).statusCode, 401, 'and begins anew')
})

t.test('while a hundred failures have closed the account to strangers, its owner logs in from known places', async t => {
  const { app, clock } = await build(t, ON)
  const home = '198.51.100.7'
  const login = await attempt(app, 'alice', PASSWORD, { remoteAddress: home })
  const cookie = cookieHeader(login)
  const foreign = cookieHeader(await attempt(app, 'bob', PASSWORD))
  let failures = 0
  for (let wait = 0; wait < DAY; clock.move(wait === DAY ? 0 : wait)) {
    const response = await attempt(app, 'alice', 'a wrong password')
    if (response.statusCode === 401) failures++
    wait = Number(response.headers['retry-after'] ?? 0) * SECOND
  }
  t.equal(failures, 100)

  const table: Array<[name: string, from: From, status: number]> = [
    ['from nowhere', {}, 429],
    ['from the address of a session', { remoteAddress: home }, 200],
    ['with the cookie of a session', { headers: { cookie } }, 200],
    ["with the cookie of somebody else's session", { headers: { cookie: foreign } }, 429],
    ['with a cookie that is none', { headers: { cookie: '__Host-refresh_token=lkr_nonsense' } }, 429]
  ]
  for (const [name, from, status] of table) {
    const form = await app.inject({
      method: 'POST',
      url: '/token',
      remoteAddress: newAddress(),
      ...from,
      payload: { username: 'alice', password: PASSWORD }
    })
    t.equal(form.statusCode, status, `${name}, at /token`)
  }
  // Whoever logs in with the cookie leaves that session: last.
  t.equal((await attempt(app, 'alice', PASSWORD, { headers: { cookie } })).statusCode, 200, 'at /login')
  t.equal((await attempt(app, 'alice', PASSWORD, { headers: { cookie } })).statusCode, 429, 'the session is over')
  clock.move(DAY)
  t.equal((await attempt(app, 'alice', PASSWORD)).statusCode, 200, 'a day later from everywhere')
})

t.test("a page of another site cannot use up the attempts of its visitor's session", async t => {
  const { app } = await build(t, ON)
  const cookie = cookieHeader(await attempt(app, 'alice', PASSWORD))
  for (let time = 0; time < 12; time++) {
    await app.inject({
      method: 'POST',
      url: '/token',
      remoteAddress: newAddress(),
      headers: { cookie, 'sec-fetch-site': 'cross-site' },
      payload: { username: 'alice', password: 'a wrong password' }
    })
  }
  t.equal((await attempt(app, 'alice', PASSWORD)).statusCode, 429, 'they were those of strangers')
  t.equal((await attempt(app, 'alice', PASSWORD, { headers: { cookie } })).statusCode, 200)
})

t.test('a stolen access token does not guess the password; other sessions of its owner change it all the same', async t => {
  const { app } = await build(t, ON)
  const stolen = await logIn(app)
  const own = await logIn(app)
  const change = async (
    token: string, current: string, password = 'another walrus cobalt lantern'
  ): Promise<LightMyRequestResponse> =>
    await app.inject({
      method: 'PUT',
      url: '/users/me/password',
      remoteAddress: newAddress(),
      headers: bearer(token),
      payload: { current_password: current, new_password: password }
    })
  for (let time = 0; time < 11; time++) {
    assertProblem(
      t, await change(stolen.access_token, 'a wrong password'), 403, 'wrong_password'
    )
  }
  assertProblem(t, await change(stolen.access_token, PASSWORD), 429, 'too_many_failures')
  assertProblem(t, await change(own.access_token, PASSWORD, 'short'), 400, 'password_rejected')
  t.equal((await change(own.access_token, PASSWORD)).statusCode, 204)
})

t.test("the host's own accounts have the same throttle, over the name that was typed", async t => {
  let asked = 0
  const { app } = await build(t, {
    ...ON,
    users: {
      async authenticate (username, password) {
        asked++
        return username === 'alice@example.com' && password === PASSWORD
          ? {
              id: 'u1', username: 'Alice', scopes: []
            }
          : null
      },
      find: async () => ({ id: 'u1', username: 'Alice', scopes: [] })
    }
  })
  t.equal((await attempt(app, 'alice@example.com', PASSWORD, { remoteAddress: '198.51.100.7' })).statusCode, 200)
  await guess(app, 'alice@example.com', 11)
  asked = 0
  const known = await guess(app, 'alice@example.com', 1)
  assertProblem(t, known, 429, 'too_many_failures')
  t.equal(asked, 0, 'the host is not asked')
  t.strictSame(visible(await guess(app, 'nobody@example.com', 12)), visible(known))
  t.equal((await attempt(app, 'alice@example.com', PASSWORD, { remoteAddress: '198.51.100.7' })).statusCode, 200)
})

t.test('a new password and an enabled account open it; switched off nothing is counted', async t => {
  const { app } = await build(t, ON)
  const id = (await app.latchkey.users.findByName('alice'))?.id ?? ''
  await guess(app, 'alice', 12)
  await app.latchkey.users.setPassword(id, PASSWORD)
  t.equal((await attempt(app, 'alice', PASSWORD)).statusCode, 200)
  await guess(app, 'alice', 12)
  await app.latchkey.users.disable(id)
  await app.latchkey.users.enable(id)
  t.equal((await attempt(app, 'alice', PASSWORD)).statusCode, 200)

  const file = databaseFile(t)
  const { app: open } = await build(t, { rateLimit: false, database: file, secret: SECRET })
  t.equal((await guess(open, 'alice', 30)).statusCode, 401)
  t.strictSame(query(file, 'select * from latchkey_attempts'), [])
})

/** A statement of the purge, which another app of this process may run at any time. */
const PURGE = /^delete from "\w+" where "\w+" in \(select|"idle_expires_at" < \? order by/

/** Notes the text of each statement that SQLite runs, except those of the purge. */
function watchStatements (t: Test): string[] {
  const texts: string[] = []
  const { prepare } = Database.prototype
  Database.prototype.prepare = function watched (this: Database.Database, text: string) {
    const statement: Database.Statement = prepare.call(this, text)
    for (const method of ['all', 'run'] as const) {
      const original = statement[method].bind(statement)
      Object.assign(statement, {
        [method] (...parameters: unknown[]) {
          if (!PURGE.test(text)) texts.push(text)
          return original(...parameters)
        }
      })
    }
    return statement
  } as typeof prepare
  t.teardown(() => { Database.prototype.prepare = prepare })
  return texts
}

t.test('a failed login does the same work in the same order, whether there is such an account', {
  skip: ON_POSTGRES
}, async t => {
  for (const rateLimit of [true, false]) {
    const texts = watchStatements(t)
    const { app } = await build(t, { rateLimit })
    await app.latchkey.users.disable((await app.latchkey.users.findByName('bob'))?.id ?? '')
    // Reads which kinds of hashes were imported. The others find that in memory.
    await attempt(app, 'the first', 'a wrong password')
    async function workOf (username: string): Promise<string[]> {
      texts.length = 0
      await attempt(app, username, 'a wrong password')
      return texts.filter(text => /^(begin|commit|rollback|savepoint|release|select|insert|update|delete)/i.test(text))
    }
    const commits: number[] = []
    for (let round = 0; round < 30; round++) {
      // Unknown names that are new each time must not share what decides about the work of one that is known.
      const unknown = await workOf('nobody')
      t.strictSame(await workOf('alice'), unknown, `alice, round ${round}, rateLimit ${rateLimit}`)
      t.strictSame(await workOf('bob'), unknown, `bob, round ${round}, rateLimit ${rateLimit}`)
      commits.push(unknown.filter(text => text === 'commit').length)
      for (let more = 0; more < 3; more++) await attempt(app, `somebody ${round} ${more}`, 'a wrong password')
    }
    t.ok(commits.includes(rateLimit ? 2 : 1), 'what is watched is the work')
    t.ok(new Set(commits).size > 1, 'and it changes as failures go on')
  }
})

interface Work {
  commits: number
  /** How often each table was read outside of a transaction. */
  reads: Record<string, number>
  readsInside: Record<string, number>
}

/** Counts the commits and the reads among statements. */
function countWork (texts: readonly string[]): Work {
  const work: Work = { commits: 0, reads: {}, readsInside: {} }
  let isInside = false
  for (const text of texts) {
    if (/^begin/i.test(text)) isInside = true
    if (/^(commit|rollback$)/i.test(text)) isInside = false
    if (/^commit/i.test(text)) work.commits++
    const table = /^select .*? from "(\w+)"/.exec(text)?.[1]
    const reads = isInside ? work.readsInside : work.reads
    if (table !== undefined) reads[table] = (reads[table] ?? 0) + 1
  }
  return work
}

t.test('a login reads its account and its throttle once, and commits once', { skip: ON_POSTGRES }, async t => {
  const texts = watchStatements(t)
  const { app } = await build(t, ON)
  // Reads which kinds of hashes were imported. The others find that in memory.
  await attempt(app, 'the first', 'a wrong password')
  async function workOf (password: string): Promise<Work> {
    texts.length = 0
    await attempt(app, 'alice', password, { remoteAddress: '203.0.113.7' })
    return countWork(texts)
  }
  const reads = { latchkey_users: 1, latchkey_sessions: 1, latchkey_attempts: 1 }
  // A transaction reads again what it decides by.
  const readsInside = { latchkey_attempts: 1, latchkey_users: 1, latchkey_sessions: 1 }
  const login = { commits: 1, reads, readsInside }
  t.strictSame(await workOf(PASSWORD), login)
  t.strictSame(await workOf(PASSWORD), login, 'from a known place')
  const failed = { commits: 1, reads, readsInside: { latchkey_attempts: 1 } }
  t.strictSame(await workOf('a wrong password'), failed, 'one that fails')
  for (let failure = 0; failure < 12; failure++) await workOf('a wrong password')
  const refused = { commits: 0, reads: { latchkey_sessions: 1, latchkey_attempts: 1 }, readsInside: {} }
  t.strictSame(await workOf(PASSWORD), refused, 'one that is refused')
})

t.test('fifty honest logins at once, from one address, all get in', async t => {
  const { app } = await build(t, ON)
  const logins = await Promise.all(Array.from(
    { length: 50 }, () => postForm(app, '/token', { username: 'alice', password: PASSWORD })
  ))
  t.strictSame([...new Set(logins.map(({ statusCode }) => statusCode))], [200])
})

t.test('one address does not fill the hash queue: others get in while it floods', async t => {
  const { app } = await build(t, { bcryptCost: 7 })
  const flood = Array.from(
    { length: 150 },
    async () => (await attempt(app, 'nobody', 'a wrong password', { remoteAddress: '203.0.113.9' })).statusCode
  )
  const others = await Promise.all(Array.from(
    { length: 20 }, async () => (await attempt(app, 'alice', PASSWORD)).statusCode
  ))
  t.strictSame([...new Set(others)], [200])
  const flooded = await Promise.all(flood)
  t.strictSame([...new Set(flooded)].sort(), [401, 503])
})

t.test('two blocks in the trail are two events, and none of them holds what was typed', async t => {
  const { app, clock } = await build(t, ON)
  await guess(app, 'my secret password', 20)
  await guess(app, 'alice', 20)
  clock.move(SECOND)
  await guess(app, 'alice', 1)
  const seen = await app.latchkey.audit.list()
  const alice = await app.latchkey.users.findByName('alice')
  t.match(seen.filter(({ type }) => type === 'attempts_blocked'), [
    { subject: alice?.id, actor: { kind: 'anonymous', address: /^10\./ }, details: { failures: 12 } },
    { subject: alice?.id, details: { failures: 11 } },
    { subject: null, details: { failures: 11 } }
  ])
  t.notMatch(JSON.stringify(seen), 'secret')
})

/** The service, as its environment has it. */
async function buildService (t: Test, trustProxy: string[] | undefined): Promise<FastifyInstance> {
  const options = { ...TEST_OPTIONS, rateLimit: true, now: createTestClock(), docs: false }
  const app = await buildServer(
    options, readServiceOptions({ logLevel: 'silent', ...trustProxy === undefined ? {} : { trustProxy } })
  )
  t.teardown(() => app.close())
  await app.ready()
  await app.latchkey.users.add({ username: 'alice', password: PASSWORD })
  return app
}

t.test('X-Forwarded-For makes a place known, or another address, only behind a proxy that is trusted', async t => {
  for (const trustProxy of [undefined, ['127.0.0.1']]) {
    const app = await buildService(t, trustProxy)
    const from = (address: string, remoteAddress = '127.0.0.1'): From => ({
      remoteAddress, headers: { 'x-forwarded-for': address }
    })
    t.equal((await attempt(app, 'alice', PASSWORD, from('198.51.100.7'))).statusCode, 200)
    for (let time = 0; time < 12; time++) await attempt(app, 'alice', 'a wrong password', from(newAddress()))
    const name = trustProxy === undefined ? 'without trustProxy' : 'with trustProxy'
    const isTrusted = trustProxy !== undefined
    t.equal(
      (await attempt(app, 'alice', PASSWORD, from('198.51.100.7'))).statusCode, isTrusted ? 200 : 429,
      `${name}, the owner`
    )
    // 13 failed from the proxy's address where the header does not count: that was the known place, and strangers are
    // another.
    t.equal(
      (await attempt(app, 'alice', PASSWORD, from('198.51.100.7', '203.0.113.77'))).statusCode, isTrusted ? 429 : 200,
      `${name}, who forges the header`
    )
  }
})

/** How many attempts on one account may be under way in a process. */
const AT_ONCE = 64

t.test('a login that waits for its turn sees what has changed meanwhile', { skip: ON_POSTGRES }, async t => {
  const file = databaseFile(t)
  const { app } = await build(t, { ...ON, database: file, secret: SECRET })
  const alice = await app.latchkey.users.findByName('alice')
  const waiting = Array.from({ length: 40 }, () => attempt(app, 'alice', PASSWORD))
  await new Promise(resolve => setImmediate(resolve))
  await app.latchkey.users.setScopes(alice?.id ?? '', ['items:read'])
  const answers = await Promise.all(waiting)
  t.strictSame(answers.map(response => response.statusCode), answers.map(() => 200), 'each gets what is left')

  await guess(app, 'bob', 9)
  const [before] = query(file, 'select failures from latchkey_attempts')
  t.strictSame(before, { failures: 9 })
  const other = new Database(file)
  t.teardown(() => other.close())
  other.exec('begin immediate')
  other.prepare('update latchkey_users set password_hash = ?, password_changed_at = password_changed_at + 5 where username = ?')
    .run(hashPassword('another walrus cobalt lantern', 4), 'bob')
  const late = Array.from({ length: 5 }, () => attempt(app, 'bob', PASSWORD))
  await new Promise(resolve => setImmediate(resolve))
  other.exec('commit')
  for (const response of await Promise.all(late)) t.not(response.statusCode, 200, 'a password that was replaced')
  const [after] = query<{ failures: number }>(file, 'select max(failures) as failures from latchkey_attempts')
  t.ok(Number(after?.failures) > 9, 'counts as a failure')
})

t.test('an attempt does not last as long as the claims hook of the host, which runs after the right password', async t => {
  let finish = (): void => {}
  const finished = new Promise<void>(resolve => { finish = resolve })
  let isSlow = false
  let slow = 0
  async function claims (): Promise<Record<string, unknown>> {
    if (!isSlow) return {}
    slow++
    await finished
    return {}
  }
  const { app, clock } = await build(t, { ...ON, claims })
  await guess(app, 'alice', 11)
  clock.move(3 * SECOND)

  isSlow = true
  const logins: Array<Promise<LightMyRequestResponse>> = []
  while (logins.length < AT_ONCE) {
    logins.push(attempt(app, 'alice', PASSWORD))
    while (slow < logins.length) await new Promise(resolve => setImmediate(resolve))
  }
  isSlow = false
  t.equal((await attempt(app, 'alice', PASSWORD)).statusCode, 200, 'one more than may be under way')
  t.equal((await guess(app, 'alice', 20)).statusCode, 429)
  finish()
  for (const response of await Promise.all(logins)) t.equal(response.statusCode, 200)
  t.equal((await attempt(app, 'alice', PASSWORD)).statusCode, 429, 'the failures since then still count')
})

import { countTurn, countWhile, LOOK, watchCookie, watchIndex } from './counters.js'
import type { Counts } from './counters.js'
import { createHash, createHmac, generateKeyPairSync, randomBytes, randomUUID, sign, verify } from 'node:crypto'
import Database from 'better-sqlite3'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { Test } from 'tap'
import { claimsOf, query } from '../routes/support.js'
import { buildListeningHost, carriersOf, ROUTE, TELLTALE } from './host.js'
import type { ListeningHost } from './host.js'
import { revokeToken } from '../revoke-token.js'

// What a protected request does, counted and not timed: a slow path that creeps in is seen on every machine, however
// busy it is. The measure is the same app's own route without a guard, sent the same.

const REQUESTS = 1_000

/** How many requests are sent at once, where several are. */
const TOGETHER = 20

/**
 * Of promises and the like, what something else in this process may make meanwhile. A slow path makes one for each
 * request.
 */
const SLACK = REQUESTS / 20

const HOUR = 3_600_000

const ENCODED = TELLTALE.slice(TELLTALE.indexOf('=') + 1)
watchCookie(ENCODED)

/** A host in which all is counted, with a third route: one with a slow path. */
async function buildHost (t: Test): Promise<ListeningHost & ReturnType<typeof carriersOf>> {
  const host = await buildListeningHost(t, app => {
    app.addHook('onRequest', countTurn)
    app.get('/slow', { ...ROUTE, preHandler: createSlowPath() })
  })
  watchIndex(host.app.latchkey.revocations)
  return { ...host, ...carriersOf(host.token) }
}

/** A token as a refresh of the same session would give it. */
async function signAnew (app: FastifyInstance, token: string, generation = 1): Promise<string> {
  const { sub, sid } = claimsOf(token) as { sub: string, sid: string }
  return await app.latchkey.tokens.sign({
    user: { id: sub },
    sessionId: sid,
    session: { generation, authTime: Date.now(), amr: ['pwd'] },
    clientId: 'latchkey',
    scopes: ['items:read'],
    issuedAt: Date.now(),
    claims: {}
  })
}

/** All that must not creep in, in a hook. */
function createSlowPath (): () => Promise<void> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signature = sign('sha256', Buffer.from(''), privateKey)
  const database = new Database(':memory:')
  const look = database.prepare(LOOK)
  const statement = database.prepare('select 1')
  return async function slowPath () {
    await undefined
    setTimeout(() => {}, 0)
    setImmediate(() => {})
    setImmediate(() => {})
    process.nextTick(() => {})
    randomBytes(8, () => {})
    verify('sha256', Buffer.from(''), publicKey, signature)
    createHmac('sha256', 'key').digest()
    createHash('sha256').digest()
    look.get()
    look.get()
    statement.get()
    decodeURIComponent(ENCODED)
  }
}

/** Counts what `REQUESTS` to a path do when everything in it was called before. */
async function countRequests (
  send: ListeningHost['send'], path: string, header: string, together = 1
): Promise<Counts> {
  const work = async (requests = REQUESTS): Promise<void> => {
    for (let sent = 0; sent < requests; sent += together) await send(path, header, together)
  }
  await work(100)
  return await countWhile(work)
}

/**
 * What `counts` has more of than a guard may add to the route without one: nothing, but a look and an Immediate in each
 * turn.
 */
function excessOf (counts: Counts, bare: Counts): string[] {
  const resources = { PROMISE: 0, Timeout: 0, Immediate: counts.turns, TickObject: 0, others: 0 }
  const calls = { signatures: 0, hashes: 0, looks: counts.turns, statements: 0, lookUps: 0 }
  return [
    ...Object.entries(calls).filter(([name, most]) => counts[name as keyof Counts] > most),
    ...Object.entries(resources).filter((
      [name, most]
    ) => counts[name as keyof Counts] > bare[name as keyof Counts] + most + SLACK)
  ].map(([name]) => name)
}

t.test('a token that was seen costs no signature check, no statement, no promise and no timer', async t => {
  const { send, header, cookie } = await buildHost(t)
  for (const [name, credentials] of Object.entries({ header, cookie })) {
    const bare = await countRequests(send, '/bare', credentials)
    const guarded = await countRequests(send, '/guarded', credentials)
    t.strictSame(excessOf(guarded, bare), [], `${name}: ${JSON.stringify({ guarded, bare })}`)
    t.equal(guarded.turns, REQUESTS, 'one after the other')
    t.equal(guarded.looks, REQUESTS, 'each knows what other processes have committed')
    t.equal(
      guarded.cookies, name === 'cookie' ? REQUESTS : 0, `${name}: the Cookie header is parsed once, where there is one`
    )
  }
})

t.test('one look at the file serves all requests of a turn of the event loop', async t => {
  const { send, header } = await buildHost(t)
  // In a turn that takes long a look grows old: test/lib/store/sqlite/changes.test.ts. Here none does.
  t.intercept(performance, 'now', { value: () => 0 })
  const bare = await countRequests(send, '/bare', header, TOGETHER)
  const guarded = await countRequests(send, '/guarded', header, TOGETHER)
  t.ok(guarded.turns < REQUESTS / 2, `${guarded.turns} turns`)
  t.strictSame(excessOf(guarded, bare), [], JSON.stringify({ guarded, bare }))
})

t.test('a token that is new costs one signature check, and only once', async t => {
  const { app, send, token } = await buildHost(t)
  for (const name of ['header', 'cookie'] as const) {
    const fresh = await Promise.all(Array.from({ length: 10 }, () => signAnew(app, token)))
    const counts = await countWhile(async () => {
      for (const text of fresh) await send('/guarded', carriersOf(text)[name], TOGETHER)
    })
    t.match(counts, { signatures: fresh.length, hashes: 0, statements: 0, lookUps: fresh.length }, name)
  }
})

t.test('the first use of a token after a refresh waits for no statement, and a later use does nothing more', async t => {
  const { app, send, token } = await buildHost(t)
  const fresh = await Promise.all(Array.from({ length: 10 }, () => signAnew(app, token, 2)))
  const first = await countWhile(async () => {
    for (const text of fresh) await send('/guarded', carriersOf(text).header)
  })
  t.match(first, { signatures: fresh.length, statements: 0 })
  const { header } = carriersOf(fresh[0] as string)
  const bare = await countRequests(send, '/bare', header)
  const guarded = await countRequests(send, '/guarded', header)
  // The write of the first uses may fall into this time.
  const others = { ...guarded, statements: Math.max(0, guarded.statements - 3) }
  t.strictSame(excessOf(others, bare), [], JSON.stringify({ guarded, bare }))
})

t.test('the index of revocations is asked about a seen token once for each rule that is added, and that rule is in force', async t => {
  const { app, file, send, connection, token, header } = await buildHost(t)
  const { revocations } = app.latchkey
  for (let rules = 0; rules < 20; rules++) await revokeToken(revocations, randomUUID(), Date.now() + HOUR)
  t.equal((await countWhile(() => send('/guarded', header))).lookUps, 1)
  t.equal((await countRequests(send, '/guarded', header)).lookUps, 0)
  await revokeToken(revocations, randomUUID(), Date.now() + HOUR)
  t.equal(
    (await countWhile(
      async () => { for (let sent = 0; sent < 10; sent++) await send('/guarded', header, TOGETHER) }
    )).lookUps,
    1
  )

  const other = carriersOf(await signAnew(app, token)).header
  await send('/guarded', other)
  await revokeToken(revocations, String(claimsOf(token).jti), Date.now() + HOUR)
  t.strictSame(await connection.send('/guarded', header), [401], 'revoked here')
  await send('/guarded', other)
  query(
    file, 'insert into latchkey_rules (kind, value, expires_at) values (?, ?, ?)', 'session', claimsOf(token).sid,
    Date.now() + HOUR
  )
  t.strictSame(
    await connection.send('/guarded', other, TOGETHER), Array(TOGETHER).fill(401), 'revoked by another process'
  )
})

t.test('a slow path is seen, whatever it does', async t => {
  const { send, cookie } = await buildHost(t)
  for (const together of [1, TOGETHER]) {
    const bare = await countRequests(send, '/bare', cookie, together)
    const slow = await countRequests(send, '/slow', cookie, together)
    t.strictSame(
      excessOf(slow, bare).sort(),
      ['Immediate', 'PROMISE', 'TickObject', 'Timeout', 'hashes', 'looks', 'others', 'signatures', 'statements']
    )
    t.match(
      slow,
      { signatures: 2 * REQUESTS, hashes: REQUESTS, statements: REQUESTS, looks: 2 * REQUESTS, cookies: REQUESTS },
      `${together} at once`
    )
  }
})

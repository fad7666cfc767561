import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { bearer, build, logIn, logInWithCookies, ON_POSTGRES, PASSWORD } from '../helper.js'
import { buildFeed, follow, hasRule, insertRules, isState, tokenOf } from './feed-support.js'
import type { Received } from './feed-support.js'
import { assertProblem, databaseFile, query } from './support.js'
import { revokeToken } from '../revoke-token.js'

const MINUTE = 60_000
const EVENTS = { accept: 'text/event-stream' }

t.test('GET /revocations is for the scope revocations:read, of a client or of a user', async t => {
  const { app, client, origin } = await buildFeed(t)
  const lesser = await tokenOf(app, client, 'items:read')
  for (const headers of [{}, EVENTS]) {
    assertProblem(t, await app.inject({ url: '/revocations', headers }), 401, 'unauthenticated')
    assertProblem(
      t, await app.inject({ url: '/revocations', headers: { ...headers, ...bearer(lesser) } }), 403,
      'insufficient_scope'
    )
    assertProblem(
      t, await app.inject({ url: '/revocations', headers: { ...headers, ...bearer('x') } }), 401, 'invalid_token'
    )
  }
  const { access_token: token } = await logIn(app, 'verifier')
  t.equal((await app.inject({ url: '/revocations', headers: bearer(token) })).statusCode, 200)
  t.equal(
    (await app.inject({ url: '/revocations', headers: await logInWithCookies(app, 'verifier') })).statusCode, 200,
    'with a cookie too'
  )
  await (await follow(t, origin, token)).until(isState)
})

t.test('the metadata say where it is', async t => {
  const { app } = await build(t, { issuer: 'https://auth.example.com', prefix: '/auth', users: undefined })
  t.equal(
    (await app.inject('/.well-known/oauth-authorization-server')).json().revocation_feed_endpoint,
    'https://auth.example.com/auth/revocations'
  )
})

t.test('a newcomer is sent everything in pages, then the state, then heartbeats', async t => {
  const file = databaseFile(t)
  const { app, clock, origin, token } = await buildFeed(t, { database: file })
  const values = insertRules(file, 2_500, clock() + MINUTE)
  const receiver = await follow(t, origin, token)
  t.equal(receiver.response.statusCode, 200)
  t.match(
    receiver.response.headers,
    { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no', vary: 'Accept' }
  )
  await receiver.until(isState)
  t.strictSame(
    receiver.received.map(item => item.event === 'rules' ? item.rules.length : item.event), [1_000, 1_000, 500, 'state']
  )
  t.strictSame(receiver.values(), values)
  t.match(receiver.received[2], { id: /^[0-9a-z]+-[0-9a-z]+-2500$/ })

  const kids = (await app.inject('/.well-known/jwks.json')).json().keys.map(({ kid }: { kid: string }) => kid)
  const [first, second] = [
    await receiver.until(isState), await receiver.until(isState, 4)
  ] as Array<Received & { event: 'state' }>
  t.strictSame(Object.keys(first?.state ?? {}), ['as_of', 'time', 'horizon', 'keys'])
  t.strictSame(first?.state.keys, kids)
  t.equal(first?.state.time, clock())
  t.ok(Number.isInteger(first?.state.as_of))
  const step = (second?.state.as_of ?? 0) - (first?.state.as_of ?? 0)
  t.ok(ON_POSTGRES ? step >= 0 : step > 0, `a heartbeat says a later moment, by ${step} ms`)
})

t.test('a rule has only the members that it needs, and the purge, not the clock, decides which rules are gone', async t => {
  const file = databaseFile(t)
  const { app, clock, origin, token } = await buildFeed(t, { database: file })
  insertRules(file, 1, clock() - 30 * 24 * 60 * MINUTE, 'kept')
  await app.latchkey.revocations.revokeUser('ada')
  const receiver = await follow(t, origin, token)
  await receiver.until(isState)
  t.match(
    receiver.received,
    [
      {
        event: 'rules',
        rules: [
          { kind: 'token', value: 'kept-1' },
          { kind: 'user', value: 'ada', issued_before: clock() + 1, expires_at: Number }
        ]
      },
      { event: 'state' }
    ]
  )
  t.strictSame(
    Object.keys((receiver.received[0] as Received & { event: 'rules' }).rules[0] ?? {}), ['kind', 'value', 'expires_at']
  )
  t.strictSame(
    Object.keys((receiver.received[0] as Received & { event: 'rules' }).rules[1] ?? {}),
    ['kind', 'value', 'issued_before', 'expires_at']
  )
})

t.test('cut in the middle of the snapshot, it goes on after the last id', async t => {
  const file = databaseFile(t)
  const { clock, origin, token } = await buildFeed(t, { database: file })
  const values = insertRules(file, 2_500, clock() + MINUTE)
  const first = await follow(t, origin, token, { onEvent: (_item, receiver) => receiver.cut() })
  await first.ended
  t.equal(first.received.some(isState), false, 'nobody was told to have everything')
  const [last] = first.received as Array<Received & { event: 'rules' }>
  const second = await follow(t, origin, token, { lastEventId: last?.id })
  await second.until(isState)
  t.strictSame([...last?.rules.map(({ value }) => value) ?? [], ...second.values()], values)

  const id = (second.received.filter(item => item.event === 'rules').at(-1) as Received & { event: 'rules' }).id
  const third = await follow(t, origin, token, { lastEventId: id })
  await third.until(isState)
  t.strictSame(third.values(), [], 'who is level is sent the state alone')
})

t.test('a cursor of another store, a malformed one, or one from the future: everything from the start', async t => {
  const file = databaseFile(t)
  const { app, clock, origin, token } = await buildFeed(t, { database: file })
  const values = insertRules(file, 3, clock() + MINUTE)
  const get = async (after: string) => (await app.inject({
    url: '/revocations', query: { after }, headers: bearer(token)
  })).json()
  const { cursor } = await get('')
  const id = cursor.replace(/-[0-9]+$/, '')
  t.match(cursor, /^[0-9a-z]+-[0-9a-z]+-3$/)
  t.same((await get(`${id}-2`)).rules.map(({ value }: { value: string }) => value), ['rule-3'])
  for (const after of [
    '', 'x', '-', `${id}`, `${id}-`, `${id}-x`, `${id}--1`, `${id}-1e0`, `${id}-01`, ` ${id}-1`, `${id}-1.0`,
    `1${id}-2`, 'other-2', `${id}-4`, `${id}-999999999999999`, `${id}-9999999999999999`, `${id}-${'9'.repeat(300)}`
  ]) {
    t.same(
      (await get(after)).rules.map(({ value }: { value: string }) => value), values,
      `a page after '${after.slice(0, 40)}'`
    )
    if (after !== after.trim() || after === '') continue // Not what a header holds.
    const receiver = await follow(t, origin, token, { lastEventId: after })
    await receiver.until(isState)
    t.strictSame(receiver.values(), values, `a stream after '${after}'`)
    receiver.cut()
  }
})

t.test('what is revoked here, and by another process on the file, reaches every open stream, and no state comes before its rules', async t => {
  const file = databaseFile(t)
  const { app, clock, origin, token } = await buildFeed(t, { database: file })
  const other = await buildFeed(t, { database: file, now: clock })
  const receivers = [
    await follow(t, origin, token), await follow(t, origin, token), await follow(t, other.origin, token)
  ]
  await Promise.all(receivers.map(receiver => receiver.until(isState)))
  const delays: Record<'here' | 'elsewhere', number[]> = { here: [], elsewhere: [] }
  for (let turn = 0; turn < 10; turn++) {
    for (const [where, revoker] of [['here', app], ['elsewhere', other.app]] as const) {
      const value = `${where}-${turn}`
      await revokeToken(revoker.latchkey.revocations, value, clock() + MINUTE)
      const acknowledged = performance.now()
      await receivers[0]?.until(hasRule(value))
      delays[where].push(performance.now() - acknowledged)
    }
  }
  for (const [where, measured] of Object.entries(delays)) {
    t.comment(`revoked ${where}: at the receiver after ${measured.map(ms => ms.toFixed(1)).join(', ')} ms`)
    t.ok(Math.max(...measured) < 1_000, `revoked ${where}: within the bound`)
  }
  for (const receiver of receivers) {
    await receiver.until(hasRule('elsewhere-9'))
    t.strictSame(
      receiver.values(), Array.from({ length: 10 }, (_, turn) => [`here-${turn}`, `elsewhere-${turn}`]).flat(),
      'each once, in order'
    )
  }
})

t.test('while many revoke, in two processes, whoever hears that it has everything has what was acknowledged by then', async t => {
  const file = databaseFile(t)
  const { app, clock, origin, token } = await buildFeed(t, { database: file })
  const other = await buildFeed(t, { database: file, now: clock })
  insertRules(file, 20_000, clock() + MINUTE)
  const acknowledged: Array<{ at: number, value: string }> = []
  const over = new AbortController()
  const revokeForever = async (revoker: typeof app, name: string): Promise<void> => {
    for (let turn = 0; !over.signal.aborted; turn++) {
      const value = `${name}-${turn}`
      await revokeToken(revoker.latchkey.revocations, value, clock() + MINUTE)
      acknowledged.push({ at: performance.now(), value })
      await delay(1)
    }
  }
  const working = [revokeForever(app, 'here'), revokeForever(other.app, 'elsewhere')]
  const streams = await Promise.all(Array.from({ length: 4 }, async () => {
    const sentAt = performance.now()
    const known = new Set<string>()
    const failures: string[] = []
    const receiver = await follow(t, origin, token, {
      onEvent (item) {
        if (item.event === 'rules') for (const { value } of item.rules) known.add(value)
        else {
          failures.push(
            ...acknowledged.filter((
              { at, value }
            ) => at <= sentAt + item.state.as_of && !known.has(value)).map(({ value }) => value)
          )
        }
      }
    })
    return { receiver, failures, known }
  }))
  for (const {
    receiver
  } of streams) {
    for (let states = 0, from = 0; states < 5; states++) {
      from = receiver.received.indexOf(
        await receiver.until(isState, from)
      ) + 1
    }
  }
  over.abort()
  await Promise.all(working)
  for (const { failures, known } of streams) {
    t.strictSame(failures, [])
    t.ok(known.size > 20_000, `${known.size} rules`)
  }
})

t.test('a key that was made or revoked is told at once', async t => {
  const { app, origin, token } = await buildFeed(t, {}, { heartbeat: 600_000 })
  // Of the next stream a beat is demanded anyway; of this one no heartbeat comes.
  const receiver = await follow(t, origin, token)
  const { state } = await receiver.until(isState) as Received & { event: 'state' }
  const { key } = await app.latchkey.keys.rotate()
  await receiver.until(
    item => item.event === 'state' && item.state.keys.includes(key.kid) && item.state.keys.length === 2
  )
  await app.latchkey.keys.revoke(key.kid)
  const from = receiver.received.length
  const after = await receiver.until(
    item => item.event === 'state' && !item.state.keys.includes(key.kid), Math.min(from, 2)
  ) as Received & { event: 'state' }
  t.ok(after.state.keys.includes(state.keys[0] ?? ''))
})

t.test('a stream ends when its token has expired, when that or its client is revoked, and its user logged out everywhere', async t => {
  const { app, clock, client, origin } = await buildFeed(t)
  const revoked = await tokenOf(app, client)
  const user = await logIn(app, 'verifier')
  const alive = await follow(t, origin, await tokenOf(app, client))
  const ofToken = await follow(t, origin, revoked)
  const ofUser = await follow(t, origin, user.access_token)
  await Promise.all([alive, ofToken, ofUser].map(receiver => receiver.until(isState)))
  await app.inject({ method: 'POST', url: '/revoke', payload: { token: revoked, ...client.form } })
  await ofToken.ended
  await app.inject({ method: 'POST', url: '/logout', headers: bearer(user.access_token), payload: { target: 'all' } })
  await ofUser.ended
  t.equal(
    (await follow(t, origin, await tokenOf(app, client))).response.statusCode, 200, 'the client itself may come again'
  )

  const another = await follow(t, origin, await tokenOf(app, client))
  await another.until(isState)
  clock.move(15 * MINUTE)
  await Promise.all([alive.ended, another.ended])

  const last = await follow(t, origin, await tokenOf(app, client))
  await last.until(isState)
  await app.latchkey.clients.remove(client.id)
  await last.ended
  t.equal(
    last.received.some(
      item => item.event === 'rules' && item.rules.some(({ kind, value }) => kind === 'client' && value === client.id)
    ) || last.received.some(isState),
    true
  )
})

t.test('a stream whose key is revoked receives that, continues for a moment, and ends within the bound', async t => {
  const { app, origin, token } = await buildFeed(t)
  const receiver = await follow(t, origin, token)
  const { state } = await receiver.until(isState) as Received & { event: 'state' }
  const [kid = ''] = state.keys
  await app.latchkey.keys.revoke(kid)
  const acknowledged = performance.now()
  await receiver.until(item => item.event === 'state' && !item.state.keys.includes(kid))
  t.comment(`told after ${(performance.now() - acknowledged).toFixed(1)} ms`)
  t.equal((await app.inject({ url: '/revocations', headers: bearer(token) })).statusCode, 401, 'it opens no other')
  await receiver.ended
  const states = receiver.received.filter(item => item.event === 'state' && !item.state.keys.includes(kid))
  t.ok(states.length > 1 && states.length < 8, `${states.length} states while another stream can be opened`)
  t.ok(receiver.response.complete, 'it was ended, not cut')
})

t.test('a stream ends after its time, and a receiver that does not read is cut off', async t => {
  const file = databaseFile(t)
  const { app, clock, origin, token } = await buildFeed(
    t, { database: file, metrics: true }, { lifetime: 300, patience: 100_000 }
  )
  const receiver = await follow(t, origin, token)
  await receiver.ended
  t.ok(receiver.response.complete, 'it was ended, not cut')
  await app.latchkey.users.add({ username: 'scraper', password: PASSWORD, scopes: ['metrics:read'] })
  const { body } = await app.inject({ url: '/metrics', headers: bearer((await logIn(app, 'scraper')).access_token) })
  t.match(body, /latchkey_request_duration_seconds_count\{[^}]*route="\/token"/)
  t.notMatch(body, /route="\/revocations"/, 'how long it took is not how long an answer took')

  // More than the buffers of both ends of a connection hold.
  insertRules(file, 200_000, clock() + MINUTE)
  const slow = await follow(t, origin, token, { paused: true })
  t.equal(slow.response.readableEnded, false)
  const connections = () => new Promise<number>(resolve => app.server.getConnections((_error, count) => resolve(count)))
  while (await connections() > 0) await delay(20)
  t.equal(slow.received.length, 0)
})

t.test('a receiver that takes nothing for too long is cut off, and one beside it goes on', async t => {
  const file = databaseFile(t)
  const { app, clock, origin, token } = await buildFeed(t, { database: file }, { heartbeat: 20, patience: 300 })
  insertRules(file, 200_000, clock() + MINUTE)
  await follow(t, origin, token, { paused: true })
  const reader = await follow(t, origin, token)
  const connections = () => new Promise<number>(resolve => app.server.getConnections((_error, count) => resolve(count)))
  while (await connections() > 1) await delay(20)
  await reader.until(isState)
  t.equal(new Set(reader.values()).size, 200_000)
})

t.test('there are only so many streams', async t => {
  const { app, origin, token } = await buildFeed(t, { metrics: true }, { streams: 2 })
  await app.latchkey.users.add({ username: 'scraper', password: PASSWORD, scopes: ['metrics:read'] })
  const { access_token: scraper } = await logIn(app, 'scraper')
  const gauge = async () => /^latchkey_revocation_feed_streams (\d+)$/m.exec(
    (await app.inject({ url: '/metrics', headers: bearer(scraper) })).body
  )?.[1]
  const [first] = [await follow(t, origin, token), await follow(t, origin, token)]
  const refused = await app.inject({ url: '/revocations', headers: { ...EVENTS, ...bearer(token) } })
  assertProblem(t, refused, 503, 'feed_unavailable')
  t.match(refused.headers['retry-after'], /^\d+$/)
  t.equal((await app.inject({ url: '/revocations', headers: bearer(token) })).statusCode, 200, 'a poll is none')
  t.equal(
    (await app.inject({ method: 'HEAD', url: '/revocations', headers: { ...EVENTS, ...bearer(token) } })).statusCode,
    200, 'nor is a HEAD'
  )
  t.equal(await gauge(), '2')
  first.cut()
  while (await gauge() !== '1') await delay(5)
  t.equal((await follow(t, origin, token)).response.statusCode, 200)
})

t.test('while the store cannot be read a page is refused and a stream says nothing; it goes on when that works again', {
  skip: ON_POSTGRES && 'test/postgres/failover.test.ts stops the server'
}, async t => {
  const file = databaseFile(t)
  const { app, clock, origin, token } = await buildFeed(t, { database: file }, { heartbeat: 20 })
  const receiver = await follow(t, origin, token)
  await receiver.until(isState)
  query(file, 'alter table latchkey_rules rename to gone')
  const refused = await app.inject({ url: '/revocations', headers: bearer(token) })
  assertProblem(t, refused, 503, 'revocation_unknown')
  await delay(50) // What was on its way.
  const silentFrom = receiver.received.length
  await delay(100)
  t.equal(receiver.received.length, silentFrom)
  query(file, 'alter table gone rename to latchkey_rules')
  insertRules(file, 1, clock() + MINUTE, 'later')
  await receiver.until(hasRule('later-1'))
  await receiver.until(isState, silentFrom + 1)
})

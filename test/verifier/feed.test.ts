import t from 'tap'
import { createId } from '../../lib/identity/ids.js'
import { build, createFakeService, createMachineClocks, outcomeOf, until } from './support.js'

t.setTimeout(60_000)

const HOUR = 3_600_000

t.test('a stream that breaks is opened again where it stood, and what was revoked meanwhile is there before anything is accepted', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  const { verifier } = build(t, { issuer: service.issuer, ...clocks.options })
  const first = await service.stream(0)
  t.equal(first.cursor, undefined)
  first.rules([{ kind: 'user', value: 'bob', expires_at: clocks.now() + HOUR }], 'store-7')
  first.state(0)
  await verifier.ready()
  first.raw('event: rules\nid: \u{1F511} and more\ndata: {"rules":[]}\n\n')
  first.end()
  const second = await service.stream(1)
  t.equal(second.cursor, 'store-7', 'what cannot be sent back is no place to go on from')
  t.match(verifier.status().error, /ended the stream/)
  clocks.pass(1_001)
  t.equal(await outcomeOf(verifier, service.token()), 'revocation_unknown')
  second.rules([{ kind: 'user', value: 'alice', expires_at: clocks.now() + HOUR }], 'store-8')
  second.state(0)
  second.state(1_001)
  await until(() => verifier.status().accepting)
  t.equal(await outcomeOf(verifier, service.token()), 'token_revoked')
  t.equal(await outcomeOf(verifier, service.token({ sub: 'bob' })), 'token_revoked', 'what was told before is kept')
  t.equal(await outcomeOf(verifier, service.token({ sub: 'carol' })), 'carol')
  t.equal(verifier.status().error, undefined)
  t.equal(service.counts['/token'], 1, 'with the same access token')
})

t.test('what cannot be understood ends the stream, and is not passed over: it may be a revocation', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  const { verifier } = build(t, { issuer: service.issuer, ...clocks.options })
  const rule = { kind: 'user', value: 'bob', expires_at: 1 }
  const wrong = [
    { event: 'rules', data: '{' }, { event: 'rules', data: '[]' }, { event: 'rules', data: '{}' }, {
      event: 'rules', data: '{"rules":{}}'
    }, {
      event: 'rules', data: '{"rules":[null]}'
    },
    ...[
      { ...rule, kind: 'group' }, { ...rule, kind: 'constructor' }, { ...rule, value: 1 },
      { ...rule, issued_before: '1' }, { ...rule, expires_at: null }
    ].map(one => ({ event: 'rules', data: JSON.stringify({ rules: [rule, one] }) })),
    ...[{}, { as_of: '1' }, { as_of: 1.5 }, { as_of: null }, { time: '1' }, { keys: {} }, { keys: [1] }, { horizon: '1' },
      { horizon: null }].map(
      one => ({
        event: 'state',
        data: JSON.stringify({ ...(Object.keys(one).length === 0 ? {} : { as_of: 0, time: 1, keys: [] }), ...one })
      })
    )
  ]
  let index = 0
  for (const { event, data } of wrong) {
    const stream = await service.stream(index++)
    stream.raw(`event: ${event}\nid: wrong\ndata: ${data}\n\n`)
    await until(() => stream.closed)
    t.equal(verifier.status().fresh, false, data)
    // The next good one makes the pause short again.
    const next = await service.stream(index)
    t.not(next.cursor, 'wrong')
    clocks.pass(2_000)
    next.state(2_000)
    await until(() => verifier.status().fresh)
    next.end()
    index++
    clocks.pass(2_000)
  }
})

t.test('events of a later version, comments and odd line ends are no failure; an event without an end is', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  const { verifier } = build(t, { issuer: service.issuer, ...clocks.options })
  const stream = await service.stream(0)
  stream.raw(': hello\nretry: 10\nwhatever: x\nevent: news\ndata: {}\n\n')
  stream.raw(
    `event: rules\r\nid: a-1\r\ndata: {"rules":\r\ndata: [{"kind":"user","value":"b\u00f6b","expires_at":${clocks.now() + HOUR}}]}\r\n\r\n`
  )
  stream.state(0)
  await verifier.ready()
  t.equal(await outcomeOf(verifier, service.token({ sub: 'b\u00f6b' })), 'token_revoked')
  t.equal(service.streams.length, 1)
  for (let i = 0; i < 70; i++) stream.raw('x'.repeat(64 * 1024))
  await until(() => stream.closed)
})

t.test('the next stream is opened before the token of this one is over, and takes over without a gap', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  // The alarm is a real one; the half-life of the token is not.
  service.expiresIn = 0.25
  const { verifier } = build(t, { issuer: service.issuer, ...clocks.options })
  const first = await service.stream(0)
  first.state(0)
  await verifier.ready()
  clocks.pass(150)
  const second = await service.stream(1)
  t.equal(first.closed, false, 'both run')
  t.equal(service.counts['/token'], 2, 'with a token of its own')
  first.state(150)
  await until(() => (verifier.status().age ?? 1_000) < 1)
  t.equal(first.closed, false)
  second.state(0)
  await until(() => first.closed)
  t.equal(verifier.status().fresh, true)
  t.equal(verifier.status().error, undefined, 'that is no failure')
})

t.test('a token that the feed refuses is not used again; a client without the scope is told of', async t => {
  const service = await createFakeService(t)
  service.handlers['/revocations'] = (_request, _body, response) => {
    delete service.handlers['/revocations']
    response.writeHead(401, { 'content-type': 'application/problem+json' }).end('{"code":"token_revoked"}')
  }
  const { verifier } = build(t, { issuer: service.issuer })
  await until(() => /revocations answers 401 token_revoked/.test(verifier.status().error ?? ''))
  await service.beat()
  await verifier.ready()
  t.equal(service.counts['/token'], 2)

  service.handlers['/token'] = (_request, _body, response) => {
    response.writeHead(400).end(
      '{"error":"invalid_scope"}'
    )
  }
  const other = build(t, { issuer: service.issuer }).verifier
  await until(() => other.status().error !== undefined)
  t.match(other.status().error, /token answers 400 invalid_scope/)
  for (const body of [
    {}, { access_token: 'a', token_type: 'mac', expires_in: 1 },
    { access_token: 1, token_type: 'bearer', expires_in: 1 }, { access_token: 'a', token_type: 'bearer' },
    { access_token: 'a', token_type: 'bearer', expires_in: 0 }
  ]) {
    service.handlers['/token'] = (_request, _body, response) => { response.end(JSON.stringify(body)) }
    const { verifier: odd } = build(t, { issuer: service.issuer })
    await until(() => odd.status().error !== undefined)
    t.match(odd.status().error, /did not return a usable access token/)
    odd.close()
  }
})

t.test('a stream whose request was held up tells nothing that looks new, and is replaced while it goes on', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  const { verifier } = build(t, { issuer: service.issuer, ...clocks.options })
  const first = await service.stream(0)
  // It arrived 0.7 s after it was sent: what is told at once is 0.7 s old, and may be just that.
  clocks.pass(700)
  first.state(0)
  await verifier.ready()
  t.equal(verifier.status().age, 700)
  clocks.pass(250)
  first.state(250)
  const second = await service.stream(1)
  t.equal(first.closed, false)
  t.match(verifier.status().error, /lags behind/)
  second.state(0)
  await until(() => first.closed)
  t.match(verifier.status(), { fresh: true, age: 0, error: undefined })

  // One that comes late and is followed by newer ones is no reason.
  clocks.pass(900)
  second.state(300)
  second.state(900)
  await until(() => (verifier.status().age ?? 900) < 10)
  t.equal(service.streams.length, 2)
})

t.test('one heartbeat from 30 days ahead refuses tokens until the next one, and no longer', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  const { verifier } = build(t, { issuer: service.issuer, ...clocks.options })
  const stream = await service.stream(0)
  stream.rules([{ kind: 'session', value: 'ended', expires_at: clocks.now() + HOUR }])
  stream.state(0)
  await verifier.ready()
  const [token, revoked] = [service.token(), service.token({ sid: 'ended' })]
  t.equal(await outcomeOf(verifier, token), 'alice')
  stream.state(0, { time: clocks.now() + 30 * 24 * HOUR, horizon: clocks.now() - HOUR })
  await until(async () => await outcomeOf(verifier, token) === 'token_expired')
  stream.state(0, { horizon: clocks.now() - HOUR })
  await until(async () => await outcomeOf(verifier, token) === 'alice')
  t.equal(await outcomeOf(verifier, revoked), 'token_revoked', 'the leap has removed no rule')
  t.equal(service.streams.length, 1)
})

t.test('only the horizon removes rules, and tokens that expire by then stay dead when the clock of the service goes back', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  const { verifier } = build(t, { issuer: service.issuer, ...clocks.options })
  const start = clocks.now()
  const second = (time: number): number => Math.floor(time / 1_000)
  const stream = await service.stream(0)
  stream.rules([{ kind: 'session', value: 'ended', expires_at: start + HOUR }])
  stream.state(0)
  await verifier.ready()
  const revoked = service.token({ sid: 'ended', exp: second(start + HOUR) })
  const lasting = service.token({ exp: second(start + 3 * HOUR) })
  stream.state(0, { time: start + 2 * HOUR, horizon: start + HOUR + 2_000 })
  await until(async () => await outcomeOf(verifier, revoked) === 'token_expired')
  stream.state(0, { time: start, horizon: start + 2_000 })
  stream.state(0, { time: start, horizon: start + HOUR + 2_000 })
  // What is issued after the clock was set back is dated at the horizon.
  const fresh = service.token({ exp: second(start + HOUR), jti: createId(start + HOUR + 2_000) })
  await until(async () => await outcomeOf(verifier, fresh) === 'alice')
  t.equal(await outcomeOf(verifier, revoked), 'token_expired', 'its rule is gone, so it stays dead')
  t.equal(service.streams.length, 1, 'a state that is late has no effect')

  stream.state(0, { time: start, horizon: start - HOUR })
  const next = await service.stream(1)
  t.equal(next.cursor, undefined, 'far below it, all rules are read again')
  await until(() => stream.closed)
  next.rules([{ kind: 'session', value: 'ended', expires_at: start + HOUR }])
  next.state(0, { time: start, horizon: start - HOUR })
  await until(async () => await outcomeOf(verifier, revoked) === 'token_revoked')
  t.equal(await outcomeOf(verifier, lasting), 'alice')
})

t.test('a silent stream stays until another has caught up, and its next heartbeat counts', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  const { verifier } = build(t, { issuer: service.issuer, revocationBound: '500ms', ...clocks.options })
  const first = await service.stream(0)
  first.state(0)
  await verifier.ready()
  const token = service.token()
  clocks.pass(600)
  t.equal(await outcomeOf(verifier, token), 'revocation_unknown')
  let refused = 0
  service.handlers['/revocations'] = (_request, _body, response) => {
    refused++
    response.writeHead(503, { 'retry-after': '1' }).end('{"code":"revocation_unknown"}')
  }
  await until(() => refused === 3)
  t.equal(first.closed, false)
  t.match(verifier.status().error, /revocations answers 503 revocation_unknown/)
  first.state(600)
  await until(() => verifier.status().fresh)
  t.equal(await outcomeOf(verifier, token), 'alice')
  delete service.handlers['/revocations']
  const second = await service.stream(1)
  second.state(0)
  await until(() => first.closed)
  t.equal(verifier.status().error, undefined)
})

t.test('a verifier whose token is refused again and again pauses before it asks for another', async t => {
  const service = await createFakeService(t)
  const refusals: number[] = []
  service.handlers['/revocations'] = (_request, _body, response) => {
    refusals.push(performance.now())
    response.writeHead(401).end('{"code":"invalid_token"}')
  }
  build(t, { issuer: service.issuer })
  await until(() => refusals.length === 4)
  const [first = 0, second = 0, third = 0, fourth = 0] = refusals
  t.ok(third - second >= 99 && fourth - third >= 199, 'the pauses grow')
  t.ok(second - first < third - first)
  t.ok((service.counts['/token'] ?? 0) >= 4, 'each time with a new one')
})

t.test('when a key vanishes, the next stream is opened with a new token before this one ends', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  const { verifier } = build(t, { issuer: service.issuer, ...clocks.options })
  const first = await service.stream(0)
  first.state(0)
  await verifier.ready()
  const token = service.token()
  t.equal(await outcomeOf(verifier, token), 'alice')
  first.state(0, { keys: [] })
  const second = await service.stream(1)
  t.equal(first.closed, false)
  t.equal(service.counts['/token'], 2)
  t.equal(verifier.status().error, undefined, 'that is no failure')
  t.equal(await outcomeOf(verifier, token), 'invalid_token')
  t.equal(service.counts['/jwks'], 1, 'and the keys need not be read again')
  second.state(0, { keys: [] })
  await until(() => first.closed)
  t.equal(service.streams.length, 2)
})

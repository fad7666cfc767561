import t from 'tap'
import { createId } from '../../lib/identity/ids.js'
import { build, createFakeService, createMachineClocks, CREDENTIALS, generateKey, outcomeOf, until } from './support.js'

t.setTimeout(60_000)

const HOUR = 3_600_000

t.test('given an issuer and a client it finds the rest, and says who holds a token as the full plugin does', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { path: '/auth', now: clocks.now })
  const { verifier, told } = build(t, { issuer: service.issuer, ...clocks.options })
  const token = service.token({ tenant: 'ada' })
  t.equal(await outcomeOf(verifier, token), 'revocation_unknown', 'before it knows anything')
  t.same(verifier.status(), { accepting: false, fresh: false, age: undefined, error: undefined })
  t.equal(verifier.scopes(), undefined)

  await service.beat()
  await verifier.ready()
  const user = await verifier.verify(token)
  t.match(
    user,
    {
      id: 'alice',
      scopes: ['admin'],
      sessionId: 'session',
      clientId: 'latchkey',
      claims: { tenant: 'ada', iss: service.issuer }
    }
  )
  t.ok(Object.isFrozen(user.claims))
  t.equal(verifier.verify(token), user, 'from the cache, without a promise')
  t.same(verifier.status(), { accepting: true, fresh: true, age: 0, error: undefined })
  t.same(verifier.scopes(), ['admin', 'items:read'])
  t.match(told.at(-1), 'tokens are accepted')

  const [, basic = ''] = service.authorizations[0]?.split(' ') ?? []
  t.same(
    Buffer.from(basic, 'base64').toString().split(':').map(part => new URLSearchParams(`x=${part}`).get('x')),
    Object.values(CREDENTIALS), 'the client authenticates by Basic, form-encoded'
  )
  t.strictSame(
    service.counts,
    { '/.well-known/oauth-authorization-server/auth': 1, '/auth/jwks': 1, '/auth/token': 1, '/auth/revocations': 1 }
  )

  verifier.close()
  t.equal(await outcomeOf(verifier, token), 'revocation_unknown', 'closed')
})

t.test('a rule on the feed kills the token at once: by token, session, user and client', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  const { verifier } = build(t, { issuer: service.issuer, ...clocks.options })
  await service.beat()
  await verifier.ready()
  const [stream] = service.streams
  const expires = clocks.now() + HOUR
  const table = [['token', 'jti'], ['session', 'sid'], ['user', 'sub'], ['client', 'client_id']] as const
  for (const [kind, claim] of table) {
    const [dead, alive] = [service.token({ [claim]: `dead ${kind}` }), service.token({ jti: createId(clocks.now()) })]
    t.equal(await outcomeOf(verifier, dead), claim === 'sub' ? 'dead user' : 'alice')
    stream?.rules([{ kind, value: `dead ${kind}`, expires_at: expires }])
    await until(async () => await outcomeOf(verifier, dead) === 'token_revoked')
    t.equal(await outcomeOf(verifier, alive), 'alice', kind)
  }
  const iat = Math.floor(clocks.now() / 1000)
  const jti = createId((iat - 1) * 1000)
  const [before, after] = [service.token({ sub: 'bob', iat: iat - 1, jti }), service.token({ sub: 'bob', iat })]
  stream?.rules([{ kind: 'user', value: 'bob', issued_before: iat * 1000, expires_at: expires }])
  await until(async () => await outcomeOf(verifier, before) === 'token_revoked')
  t.equal(await outcomeOf(verifier, after), 'bob', 'issued later')
})

t.test('after the bound without news nothing is accepted, and a heartbeat that was held up proves nothing', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  const { verifier, told } = build(t, { issuer: service.issuer, ...clocks.options })
  await service.beat()
  await verifier.ready()
  const token = service.token()
  clocks.pass(1_000)
  t.equal(await outcomeOf(verifier, token), 'alice', 'at the bound')
  clocks.pass(1)
  t.throws(() => verifier.verify(token), { code: 'revocation_unknown', statusCode: 503, retryAfter: 1 })
  t.match(verifier.status(), { accepting: false, fresh: false, age: 1_001 })
  t.match(told.at(-1), /not accepted.*are 1001 ms old/)

  // Said when 0.9 s had gone by, and come through when it was 30.
  clocks.pass(29_000)
  const [stream] = service.streams
  stream?.state(900)
  stream?.state(29_000)
  await until(() => (verifier.status().age ?? 0) < 29_000)
  t.ok((verifier.status().age ?? 0) > 1_000)
  t.equal(await outcomeOf(verifier, token), 'revocation_unknown')
  stream?.state(30_001)
  await until(() => verifier.status().accepting)
  t.equal(await outcomeOf(verifier, token), 'alice', 'by itself')
  t.equal(Math.round(verifier.status().age ?? 0), 15, 'what the two clocks may run apart is taken off')
  t.match(told.at(-1), 'tokens are accepted')
  t.equal(service.streams.length, 1)
})

t.test('a key that was revoked does not come back by a heartbeat that is older', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  const other = await generateKey()
  service.jwks.push(other.jwk as object)
  const { verifier } = build(t, { issuer: service.issuer, ...clocks.options })
  await service.beat()
  await verifier.ready()
  const [stream] = service.streams
  clocks.pass(400)
  stream?.state(400, { keys: [other.kid] })
  await until(async () => await outcomeOf(verifier, service.token()) === 'invalid_token')
  stream?.state(200)
  stream?.rules([{ kind: 'user', value: 'marker', expires_at: clocks.now() + HOUR }])
  await until(async () => await outcomeOf(verifier, service.token({ sub: 'marker' }, other)) === 'token_revoked')
  t.equal(
    await outcomeOf(verifier, service.token()), 'invalid_token', 'what came after has been read, and it is still no key'
  )
  t.equal(await outcomeOf(verifier, service.token({}, other)), 'alice')
})

t.test('keys: a new one is fetched at once, a revoked one is dead at once, also for what was verified before', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  const { verifier } = build(t, { issuer: service.issuer, ...clocks.options })
  await service.beat()
  await verifier.ready()
  const old = service.token()
  t.equal(await outcomeOf(verifier, old), 'alice')

  const next = await generateKey('EdDSA')
  service.jwks.push(next.jwk as object)
  await service.beat()
  await until(() => service.counts['/jwks'] === 2)
  t.equal(await outcomeOf(verifier, service.token({}, next)), 'alice')

  service.streams[0]?.state(0, { keys: [next.kid] })
  await until(async () => await outcomeOf(verifier, old) === 'invalid_token')
  t.equal(await outcomeOf(verifier, service.token({}, next)), 'alice')
  t.equal(service.counts['/jwks'], 2, 'the set on the way may be old: what it has and the feed has not is no key')
})

t.test('a flood of made-up names of keys makes one request a minute, and the rest is refused without one', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  const { verifier } = build(t, { issuer: service.issuer, revocations: 'none', ...clocks.options })
  await verifier.ready()
  const stranger = await generateKey()
  const forged = (): string => service.token({}, { ...stranger, kid: createId(clocks.now()) })
  const flood = async (): Promise<Set<string>> => new Set(
    await Promise.all(Array.from({ length: 200 }, () => outcomeOf(verifier, forged())))
  )
  t.same(await flood(), new Set(['invalid_token']))
  t.equal(service.counts['/jwks'], 1, 'they were read just now')
  clocks.pass(60_000)
  t.same(await flood(), new Set(['invalid_token']))
  t.equal(service.counts['/jwks'], 2, 'all of them share one')
  t.same(await flood(), new Set(['invalid_token']))
  t.equal(service.counts['/jwks'], 2)

  service.handlers['/jwks'] = (_request, _body, response) => { response.writeHead(500).end() }
  clocks.pass(60_000)
  t.equal(await outcomeOf(verifier, forged()), 'revocation_unknown', 'whether there is such a key cannot be told')
  t.equal(await outcomeOf(verifier, service.token()), 'alice', 'the keys that are here are good')
})

t.test('without a feed: keys are read again after some minutes, and believed for an hour after the last reading', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  const { verifier } = build(t, { issuer: service.issuer, revocations: 'none', ...clocks.options })
  await verifier.ready()
  const lasting = service.token({ exp: Math.floor(clocks.now() / 1000) + 100_000 })
  t.equal(await outcomeOf(verifier, lasting), 'alice')
  t.strictSame(
    Object.keys(service.counts).sort(), ['/.well-known/oauth-authorization-server', '/jwks'], 'no client, no feed'
  )
  t.equal(verifier.status().accepting, true)

  clocks.pass(299_000)
  t.equal(await outcomeOf(verifier, lasting), 'alice')
  t.equal(service.counts['/jwks'], 1)
  clocks.pass(1_000)
  t.equal(await outcomeOf(verifier, lasting), 'alice')
  await until(() => service.counts['/jwks'] === 2)

  const revoked = service.jwks.splice(0, 1)
  clocks.pass(300_000)
  t.equal(
    await outcomeOf(verifier, lasting), 'invalid_token', 'after a quiet time the first who comes waits for the keys'
  )
  t.equal(service.counts['/jwks'], 3)

  service.jwks.push(...revoked)
  clocks.pass(300_000)
  await until(async () => await outcomeOf(verifier, lasting) === 'alice')
  service.handlers['/jwks'] = (_request, _body, response) => { response.writeHead(500).end() }
  clocks.pass(HOUR - 1)
  t.equal(await outcomeOf(verifier, lasting), 'alice')
  await until(() => verifier.status().error !== undefined)
  t.match(verifier.status().error, /jwks answers 500/)
  clocks.pass(1)
  t.equal(await outcomeOf(verifier, lasting), 'revocation_unknown')
  delete service.handlers['/jwks']
  clocks.pass(60_000)
  await until(async () => await outcomeOf(verifier, lasting) === 'alice')
  t.same(verifier.status(), { accepting: true, fresh: false, age: undefined, error: undefined }, 'by itself')
})

for (const ahead of [30_000, -30_000]) {
  t.test(`a machine whose clock is ${ahead} ms off: what the service makes is good, what it revokes is dead`, async t => {
    const clocks = createMachineClocks()
    const service = await createFakeService(t, { now: () => clocks.now() - ahead })
    const { verifier } = build(t, { issuer: service.issuer, ...clocks.options })
    await service.beat()
    await verifier.ready()
    const token = service.token()
    t.equal(await outcomeOf(verifier, token), 'alice')
    service.streams[0]?.rules([{ kind: 'session', value: 'session', expires_at: clocks.now() + HOUR }])
    await until(async () => await outcomeOf(verifier, token) === 'token_revoked')
    const over = service.token({ sid: 'another', exp: Math.floor((clocks.now() - ahead) / 1000) })
    t.equal(await outcomeOf(verifier, over), 'token_expired', 'and what is over for the service is so here')
  })
}

t.test('a machine that slept wakes up stale, and begins anew: a heartbeat from before its sleep says nothing', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  const { verifier, told } = build(t, { issuer: service.issuer, ...clocks.options })
  await service.beat()
  await verifier.ready()
  const token = service.token()
  clocks.sleep(600_000)
  t.equal(await outcomeOf(verifier, token), 'revocation_unknown', 'its stopwatch saw nothing of it')
  // It lay in the socket while the machine slept.
  service.streams[0]?.state(0)
  const next = await service.stream(1)
  t.equal(await outcomeOf(verifier, token), 'revocation_unknown')
  t.ok(told.some(line => /the machine slept/.test(line)), 'it says why it begins anew')
  next.state(0)
  await until(() => verifier.status().accepting)
  t.equal(await outcomeOf(verifier, token), 'alice')
})

t.test('a wall clock that is set: forwards it is stale until a stream is opened anew, backwards it does not look fresh', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  const { verifier } = build(t, { issuer: service.issuer, ...clocks.options })
  await service.beat()
  await verifier.ready()
  const token = service.token()
  clocks.setWall(-HOUR)
  clocks.pass(1_001)
  t.equal(await outcomeOf(verifier, token), 'revocation_unknown', 'by the stopwatch')
  service.streams[0]?.state(1_001)
  const next = await service.stream(1)
  next.state(0)
  await until(() => verifier.status().accepting)
  clocks.setWall(2_000)
  t.equal(await outcomeOf(verifier, token), 'revocation_unknown', 'by the wall clock')
})

t.test('while the feed is cut each token is asked for, where the option says so; no answer is older than the bound', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  const { verifier } = build(t, { issuer: service.issuer, whenStale: 'introspect', ...clocks.options })
  await verifier.ready()
  const token = service.token()
  const asked: string[] = []
  let active: unknown = true
  let during = (): void => {}
  let asOf: number | string | undefined = 3
  service.handlers['/introspect'] = (request, body, response) => {
    t.match(request.headers.authorization, /^Basic /)
    asked.push(new URLSearchParams(body).get('token') ?? '')
    during()
    if (asOf !== undefined) response.setHeader('revocation-as-of', asOf)
    response.end(JSON.stringify({ active }))
  }
  t.equal(await outcomeOf(verifier, token), 'alice', 'also before the feed was ever there')
  await service.beat()
  await until(() => verifier.status().fresh)
  asked.length = 0
  t.equal(await outcomeOf(verifier, token), 'alice')
  t.same(asked, [], 'not while the feed is there')

  clocks.pass(1_001)
  t.same(await Promise.all([outcomeOf(verifier, token), outcomeOf(verifier, token)]), ['alice', 'alice'])
  t.same(asked, [token], 'once for all who ask at a time')
  t.match(verifier.status(), { accepting: true, fresh: false })
  t.equal(await outcomeOf(verifier, service.token({ exp: 1 })), 'token_expired')
  t.equal(await outcomeOf(verifier, `${token.slice(0, -8)}AAAAAAAA`), 'invalid_token')
  t.equal(asked.length, 1, 'nobody asks for what is dead anyway')

  clocks.pass(1_001)
  active = false
  t.equal(await outcomeOf(verifier, token), 'token_revoked')
  t.equal(await outcomeOf(verifier, token), 'token_revoked')
  t.equal(asked.length, 2)
  clocks.pass(1_001)
  active = true
  during = () => clocks.pass(1_001)
  t.equal(await outcomeOf(verifier, token), 'revocation_unknown', 'an answer that took longer than the bound is none')
  during = () => {}
  asOf = -600
  clocks.pass(1_001)
  t.equal(await outcomeOf(verifier, token), 'alice', 'what the service knew 600 ms before it was asked')
  clocks.pass(300)
  t.equal(await outcomeOf(verifier, token), 'alice')
  clocks.pass(101)
  const before = asked.length
  t.equal(await outcomeOf(verifier, token), 'alice')
  t.equal(asked.length, before + 1, 'is older than the bound after 401 ms more: it is asked again')
  asOf = -1_001
  clocks.pass(1_001)
  t.equal(await outcomeOf(verifier, token), 'revocation_unknown', 'a service that is itself too far behind')
  asOf = undefined
  clocks.pass(1_001)
  t.equal(await outcomeOf(verifier, token), 'revocation_unknown', 'an answer that does not say how old it is')
  for (asOf of ['', ' ', '0x0', '1e0', 'now']) {
    t.equal(
      await outcomeOf(verifier, token), 'revocation_unknown', `as of '${asOf}'`
    )
  }
  asOf = 0
  for (const wrong of ['yes', 1, null, undefined]) {
    active = wrong
    clocks.pass(1_001)
    t.equal(await outcomeOf(verifier, token), 'revocation_unknown', `active: ${wrong}`)
  }
  service.handlers['/introspect'] = (_request, _body, response) => {
    response.writeHead(401).end(
      '{"error":"invalid_client"}'
    )
  }
  clocks.pass(1_001)
  t.equal(await outcomeOf(verifier, token), 'revocation_unknown')
  t.match(verifier.status().error, /introspect answers 401 invalid_client/)
})

t.test('a client that may not introspect is not believed when it is told that a token is dead', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  service.handlers['/token'] = (_request, _body, response) => {
    response.writeHead(400).end(
      '{"error":"invalid_scope"}'
    )
  }
  service.handlers['/introspect'] = (
    _request, _body, response
  ) => { response.setHeader('revocation-as-of', 0).end('{"active":false}') }
  const { verifier } = build(t, { issuer: service.issuer, whenStale: 'introspect', ...clocks.options })
  await until(() => verifier.status().error?.includes('invalid_scope') === true)
  t.equal(verifier.status().accepting, false, 'it cannot ask')
  t.equal(await outcomeOf(verifier, service.token()), 'revocation_unknown')
  delete service.handlers['/token']
  clocks.pass(1_001)
  t.same(
    await Promise.all(['a', 'b', 'c'].map(jti => outcomeOf(verifier, service.token({ jti })))),
    ['token_revoked', 'token_revoked', 'token_revoked']
  )
  t.ok((service.counts['/token'] ?? 0) < 6, 'who ask at a time share one access token')
})

t.test('introspection that does not answer at all is given up after the bound', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  const { verifier } = build(
    t, { issuer: service.issuer, whenStale: 'introspect', revocationBound: '500ms', ...clocks.options }
  )
  await verifier.ready()
  service.handlers['/introspect'] = () => {}
  t.equal(await outcomeOf(verifier, service.token()), 'revocation_unknown')
  t.match(verifier.status().error, /introspect cannot be reached: no answer within 500 ms/)
})

t.test('a token of a node whose clock is ahead waits for the next heartbeat, and is refused only where that says no later time', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  const { verifier } = build(t, { issuer: service.issuer, ...clocks.options })
  await service.beat()
  await verifier.ready()
  const iat = Math.floor(clocks.now() / 1000) + 30
  const ahead = service.token({ iat, exp: iat + 900 })
  const waiting = outcomeOf(verifier, ahead)
  const stream = await service.stream(0)
  stream.state(0, { time: iat * 1000 })
  t.equal(await waiting, 'alice')

  const further = service.token({ iat: iat + 60, exp: iat + 960, jti: 'further' })
  const refused = outcomeOf(verifier, further)
  stream.state(0, { time: iat * 1000 + 100 })
  t.equal(await refused, 'invalid_token')
})

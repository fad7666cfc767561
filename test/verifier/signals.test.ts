import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { createValue } from '../../lib/personal-access-tokens/value.js'
import { createRevocationIndex } from '../../lib/revocation/rule-index.js'
import { createTokenSignals } from '../../lib/tokens/signals.js'
import type { LatchkeyError } from '../../lib/errors.js'
import type { Verifier } from '../../verifier/index.js'
import { createCheckKey } from '../../verifier/personal-access-tokens.js'
import verifierPlugin from '../../verifier/plugin.js'
import { bearer, logIn } from '../helper.js'
import { addClient, createHost, listen } from '../routes/support.js'
import { build, createFakeService, createIssuer, until } from './support.js'

const codeOf = ({ reason }: AbortSignal): string => (reason as LatchkeyError).code

async function signalOf (verifier: Verifier, token: string): Promise<AbortSignal> {
  return (await verifier.verify(token)).signal
}

t.test('rules and keys from the feed abort the signals of their tokens, and no others', async t => {
  const service = await createFakeService(t)
  const { verifier } = build(t, { issuer: service.issuer })
  const stream = await service.stream(0)
  stream.state(0)
  await verifier.ready()
  const beats = setInterval(() => stream.state(0), 100)
  t.teardown(() => clearInterval(beats))

  const bystander = await signalOf(verifier, service.token())
  const table = [
    { kind: 'token', claim: 'jti' },
    { kind: 'session', claim: 'sid' },
    { kind: 'user', claim: 'sub', issued_before: Date.now() + 1_000 },
    { kind: 'client', claim: 'client_id', issued_before: Date.now() + 1_000 }
  ]
  for (const { kind, claim, ...times } of table) {
    const signal = await signalOf(verifier, service.token({ [claim]: 'revoked' }))
    t.equal(signal.aborted, false, kind)
    stream.rules([{ kind, value: 'revoked', expires_at: Date.now() + 3_600_000, ...times }])
    await until(() => signal.aborted)
    t.equal(codeOf(signal), 'token_revoked', kind)
    t.equal(bystander.aborted, false, kind)
  }
  clearInterval(beats)
  stream.state(0, { keys: [] })
  await until(() => bystander.aborted)
  t.equal(codeOf(bystander), 'invalid_token', 'its key')
})

t.test('a feed that is silent for longer than the bound aborts all signals', async t => {
  const service = await createFakeService(t)
  const { verifier } = build(t, { issuer: service.issuer })
  await service.beat()
  await verifier.ready()
  const signal = await signalOf(verifier, service.token())
  t.equal(signal.aborted, false)
  const begun = performance.now()
  await until(() => signal.aborted)
  t.equal(codeOf(signal), 'revocation_unknown')
  t.ok(performance.now() - begun < 1_300, `${performance.now() - begun} ms`)
})

t.test('without a feed, signals abort when their tokens expire and when the verifier closes', async t => {
  const service = await createFakeService(t)
  const { verifier } = build(t, { issuer: service.issuer, revocations: 'none' })
  await verifier.ready()
  const short = await signalOf(verifier, service.token({ exp: Math.floor(Date.now() / 1000) + 2 }))
  const long = await signalOf(verifier, service.token())
  t.equal(short.aborted, false)
  await until(() => short.aborted)
  t.equal(codeOf(short), 'token_expired')
  t.equal(long.aborted, false)
  verifier.close()
  t.equal(codeOf(long), 'revocation_unknown')
})

t.test('verifiers of several issuers end all signals', async t => {
  const services = [await createFakeService(t), await createFakeService(t)] as const
  const { verifier } = build(t, {
    issuer: services[0].issuer,
    revocations: 'none',
    otherIssuers: [{ issuer: services[1].issuer, revocations: 'none' }]
  })
  await verifier.ready()
  const signals = await Promise.all(services.map(service => signalOf(verifier, service.token())))
  t.same(signals.map(({ aborted }) => aborted), [false, false])
  verifier.endSignals()
  t.same(signals.map(codeOf), ['revocation_unknown', 'revocation_unknown'])
})

t.test('an event stream of another process ends within the bound of a revocation, and with its server', async t => {
  const { app: service, issuer } = await createIssuer(t)
  const { id: clientId, secret: clientSecret } = await addClient(service, { scopes: ['revocations:read'] })
  const app = createHost(t)
  await app.register(verifierPlugin, { issuer, clientId, clientSecret })
  app.get('/events', { onRequest: app.authenticate }, (request, reply) => {
    reply.hijack()
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
    const { signal } = request.user
    signal.addEventListener('abort', () => reply.raw.end(`data: ${codeOf(signal)}\n\n`))
  })
  const origin = await listen(app)
  const open = async (): Promise<{ token: string, text: Promise<string> }> => {
    const { access_token: token } = await logIn(service)
    const response = await fetch(`${origin}/events`, { headers: bearer(token) })
    return { token, text: response.text() }
  }
  const [revoked, other] = [await open(), await open()]
  await service.inject({ method: 'POST', url: '/revoke', payload: { token: revoked.token } })
  const begun = performance.now()
  t.equal(await revoked.text, 'data: token_revoked\n\n')
  t.ok(performance.now() - begun < 1_000, `${performance.now() - begun} ms`)
  t.equal(await Promise.race([other.text, sleep(100)]), undefined)
  await app.close()
  t.equal(await other.text, 'data: revocation_unknown\n\n')
})

t.test('a server with open event streams closes: the signals abort first', async t => {
  const { app } = await createIssuer(t, {}, async app => {
    app.get('/events', { onRequest: app.authenticate }, (request, reply) => {
      reply.hijack()
      reply.raw.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
      request.user.signal.addEventListener('abort', () => reply.raw.end())
    })
  })
  const { access_token: token } = await logIn(app)
  const address = app.server.address() as { port: number }
  const response = await fetch(`http://127.0.0.1:${address.port}/events`, { headers: bearer(token) })
  const text = response.text()
  await app.close()
  t.equal(await text, '')
})

t.test('a key: one signal for all answers, and a rule that its last answer did not know aborts it', async t => {
  const index = createRevocationIndex()
  const signals = createTokenSignals({
    clock: { now: Date.now },
    trusts: () => true,
    revocations: { ...index, horizon: () => 0 },
    knowledge: { refresh: () => undefined, age: () => 0 },
    bound: 1_000,
    stopwatch: () => performance.now()
  })
  t.teardown(signals.close)
  const claims = { iss: 'i', sub: 'bob', aud: 'a', client_id: 'c', exp: 253402300799, iat: 1, jti: 'key', scope: '' }
  const check = createCheckKey({
    issuer: 'i',
    audience: ['a'],
    clock: { now: Date.now } as never,
    introspection: { describe: async () => ({ ...claims }), assertLive: async () => {} },
    signalOf: signals.of,
    userIds: 'text',
    revocationBound: 1_000,
    reporter: { failed () {}, refused () {}, accepting () {}, error: () => undefined } as never
  })
  const value = createValue()
  const { signal } = await check(value)
  await sleep(5)
  t.equal((await check(value)).signal, signal)
  const rule = { kind: 'user', value: 'bob', issuedBefore: Date.now() - 200, expiresAt: Date.now() + 60_000 } as const
  index.add(rule)
  signals.noteRules([rule])
  t.equal(codeOf(signal), 'token_revoked')
})

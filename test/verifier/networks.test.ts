import t from 'tap'
import { readVerifierOptions } from '../../verifier/settings.js'
import { build, createFakeService, createMachineClocks, CREDENTIALS, outcomeOf, until } from './support.js'
import type { FakeService } from './support.js'

t.setTimeout(60_000)

const WELL_KNOWN = '/.well-known/oauth-authorization-server'
const PUBLIC = 'https://auth.example.com'

/** Lets a service name itself and its endpoints as the world outside does. */
function publish (service: FakeService, issuer: string): void {
  for (const [name, value] of Object.entries(service.metadata)) {
    if (typeof value === 'string') service.metadata[name] = value.replace(service.issuer, issuer)
  }
}

t.test('an address: everything is read there, and the issuer stays what the tokens name', async t => {
  for (const path of ['', '/auth']) {
    const service = await createFakeService(t, { path })
    const issuer = PUBLIC + path
    publish(service, issuer)
    const token = service.token({ iss: issuer, aud: issuer })
    const { verifier } = build(t, { issuer, address: service.issuer, whenStale: 'introspect' })
    await until(async () => await outcomeOf(verifier, token) === 'alice')
    await service.beat()
    await verifier.ready()
    t.equal(await outcomeOf(verifier, token), 'alice')
    t.equal(await outcomeOf(verifier, service.token()), 'invalid_token', 'the address is not an issuer')
    t.ok(['/token', '/jwks', '/revocations', '/introspect'].every(place => (service.counts[path + place] ?? 0) > 0))
  }
})

t.test('a proxy may have removed the path of the issuer: the endpoints below it follow', async t => {
  const service = await createFakeService(t)
  const issuer = `${PUBLIC}/auth`
  publish(service, issuer)
  const { verifier } = build(t, { issuer, address: `${service.origin}/` })
  await service.beat()
  await verifier.ready()
  t.equal(await outcomeOf(verifier, service.token({ iss: issuer, aud: issuer })), 'alice')
})

t.test('an address changes nothing about which metadata are believed', async t => {
  const elsewhere = await createFakeService(t)
  const table: Array<[change: (metadata: Record<string, unknown>, origin: string) => void, says: RegExp]> = [
    [(metadata, origin) => { metadata.issuer = origin }, /names the issuer "http:.*but the option issuer is "https:/],
    [(metadata, origin) => { metadata.token_endpoint = `${origin}/token` }, /token_endpoint that is not at https:/],
    [metadata => { metadata.jwks_uri = `${elsewhere.origin}/jwks` }, /jwks_uri that is not at https:/],
    [metadata => { metadata.token_endpoint = 'https://auth.example.com:8443/token' }, /token_endpoint that is not at/],
    [metadata => { metadata.token_endpoint = 'https://auth.example.com.evil.example/token' }, /token_endpoint/]
  ]
  for (const [change, says] of table) {
    const service = await createFakeService(t)
    publish(service, PUBLIC)
    change(service.metadata, service.origin)
    const { verifier } = build(t, { issuer: PUBLIC, address: service.origin })
    await until(() => verifier.status().error !== undefined)
    t.match(verifier.status().error, says)
    t.strictSame(Object.keys(service.counts), [WELL_KNOWN])
  }
  t.strictSame(elsewhere.counts, {})
})

t.test('addresses by http are those of a private network', async t => {
  const read = (address: unknown): string => readVerifierOptions({ issuer: PUBLIC, ...CREDENTIALS, address }).address
  t.equal(read(undefined), PUBLIC)
  for (const good of [
    'http://latchkey:3000', 'http://latchkey', 'http://my_service:80/auth', 'http://latchkey.auth.svc:3000',
    'http://latchkey.auth.svc.cluster.local', 'http://auth.internal', 'http://10.1.2.3:3000', 'http://172.16.0.1',
    'http://172.31.0.1', 'http://192.168.1.1', 'http://[fd00::1]:3000', 'http://127.0.0.1:3000', 'http://localhost',
    'https://latchkey.example.com', 'https://8.8.8.8/auth'
  ]) t.equal(read(good), good)
  for (const bad of [
    'http://auth.example.com', 'http://8.8.8.8', 'http://134744072', 'http://0x08080808', 'http://172.32.0.1',
    'http://172.15.0.1', 'http://10.evil.example', 'http://10.0.0.1.evil.example', 'http://svc.evil.example',
    'http://latchkey.local.evil.example', 'http://a:b@latchkey', 'http://latchkey@evil.example', 'http://[2001:db8::1]',
    'http://10.8.8.8.8', 'http://[fc::1]', 'http://[fd::1]',
    'http://latchkey?a', 'http://latchkey#a', 'latchkey:3000', 'ftp://latchkey', '', 5, null
  ]) {
    t.throws(
      () => read(bad), { name: 'TypeError', message: /^Latchkey: the option address is .*: it must be an https URL/ },
      String(bad)
    )
  }
})

t.test('metadata below the path of the issuer: found if the place of RFC 8414 answers 404, and only then', async t => {
  const service = await createFakeService(t, { path: '/auth' })
  const [first, second] = [`${WELL_KNOWN}/auth`, `/auth${WELL_KNOWN}`]
  service.handlers[first] = (_request, _body, response) => response.writeHead(404).end()
  service.handlers[WELL_KNOWN] = (_request, _body, response) => response.end(JSON.stringify(service.metadata))
  const { verifier } = build(t, { issuer: service.issuer })
  await service.beat()
  await verifier.ready()
  t.equal(await outcomeOf(verifier, service.token()), 'alice')
  t.match(service.counts, { [first]: 1, [second]: 1 })

  for (const [status, body] of [[500, ''], [403, ''], [302, ''], [200, '<html>'], [200, '{"issuer":"https://a"}']] as const) {
    const failing = await createFakeService(t, { path: '/auth' })
    failing.handlers[first] = (_request, _body, response) => response.writeHead(status).end(body)
    const other = build(t, { issuer: failing.issuer }).verifier
    await until(() => other.status().error !== undefined)
    t.strictSame(Object.keys(failing.counts), [first], `${status} ${body}`)
  }

  const nowhere = await createFakeService(t, { path: '/auth' })
  nowhere.handlers[first] = (_request, _body, response) => response.writeHead(404).end()
  const lost = build(t, { issuer: nowhere.issuer }).verifier
  await until(() => lost.status().error !== undefined)
  t.match(lost.status().error, /\/auth\/\.well-known\/oauth-authorization-server answers 404/)
})

t.test('a clock that differs is reported once in each direction, and tokens from the future say why', async t => {
  const clocks = createMachineClocks()
  const service = await createFakeService(t, { now: clocks.now })
  let offset = -20_000
  const lines: string[] = []
  const add = (details: object, message: string): void => { lines.push(`${message} ${JSON.stringify(details)}`) }
  const { verifier } = build(t, {
    issuer: service.issuer,
    revocations: 'none',
    now: () => clocks.now() + offset,
    log: { info: add, warn: add, debug: add }
  })
  const about = (pattern: RegExp): number => lines.filter(line => pattern.test(line)).length
  await verifier.ready()
  const behind = /clock of this machine is about (19|20|21) s behind that of http.*NTP.*"seconds":(19|20|21)/
  t.equal(about(behind), 1, 'once, although it was seen with each response')
  t.equal(await outcomeOf(verifier, service.token()), 'invalid_token')
  t.equal(about(/a token was refused .*valid in (19|20) s by the clock of this machine/), 1)

  /** Lets the keys be read again. */
  async function readAgain (): Promise<void> {
    const before = service.counts['/jwks'] ?? 0
    clocks.pass(3_600_000 - 1)
    await outcomeOf(verifier, service.token())
    await until(() => (service.counts['/jwks'] ?? 0) > before)
    await outcomeOf(verifier, service.token())
  }
  await readAgain()
  t.equal(about(/behind/), 1, 'nothing has changed')
  offset = 0
  await readAgain()
  t.equal(about(/agrees with that of/), 1)
  offset = 60_000
  await readAgain()
  t.equal(about(/is about (59|60|61) s ahead of that of/), 1)
  offset = 3_500
  await readAgain()
  t.equal(about(/agrees with that of/), 1, 'within the tolerance, but not yet close')
  t.equal(about(/ahead of|behind/), 2)
})

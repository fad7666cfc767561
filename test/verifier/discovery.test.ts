import type { ServerResponse } from 'node:http'
import t from 'tap'
import { build, createFakeService, outcomeOf, until } from './support.js'

t.setTimeout(60_000)

const WELL_KNOWN = '/.well-known/oauth-authorization-server'

t.test('metadata that are not the issuer\'s own, or name a place where nothing of ours must go, are not believed', async t => {
  const elsewhere = await createFakeService(t)
  const table: Array<[name: string, change: (
    metadata: Record<string, unknown>, issuer: string
  ) => void, says: RegExp]> = [
    [
      'another issuer', metadata => { metadata.issuer = 'https://evil.example' },
      /names the issuer .*, but the option issuer is/
    ],
    [
      'the issuer with a slash more', (metadata, issuer) => { metadata.issuer = `${issuer}/` },
      /names the issuer .*, but the option issuer is/
    ],
    ['no issuer', metadata => { delete metadata.issuer }, /names the issuer .*, but the option issuer is/],
    [
      'keys over http elsewhere', metadata => { metadata.jwks_uri = `${elsewhere.origin}/jwks` },
      /contains a jwks_uri that is not at/
    ],
    ['keys in a file', metadata => { metadata.jwks_uri = 'file:///etc/passwd' }, /contains a jwks_uri that is not at/],
    [
      'keys in the document', metadata => { metadata.jwks_uri = 'data:application/json,{"keys":[]}' },
      /contains a jwks_uri that is not at/
    ],
    [
      'keys at a URL with a password',
      (metadata, issuer) => { metadata.jwks_uri = `${issuer}/jwks`.replace('//', '//a:b@') },
      /contains a jwks_uri that is not at/
    ],
    ['keys at what is no URL', metadata => { metadata.jwks_uri = '/jwks' }, /contains a jwks_uri that is not at/],
    ['keys at a number', metadata => { metadata.jwks_uri = 1 }, /contains a jwks_uri that is not at/],
    ['no keys', metadata => { delete metadata.jwks_uri }, /has no jwks_uri/],
    [
      'a token endpoint elsewhere, by https', metadata => { metadata.token_endpoint = 'https://evil.example/token' },
      /contains a token_endpoint that is not at/
    ],
    [
      'a token endpoint on another port', metadata => { metadata.token_endpoint = `${elsewhere.origin}/token` },
      /contains a token_endpoint that is not at/
    ],
    [
      'a feed elsewhere', metadata => { metadata.revocation_feed_endpoint = 'https://evil.example/revocations' },
      /contains a revocation_feed_endpoint that is not at/
    ],
    [
      'introspection elsewhere', metadata => { metadata.introspection_endpoint = 'https://evil.example/introspect' },
      /contains a introspection_endpoint that is not at/
    ],
    [
      'no feed', metadata => { delete metadata.revocation_feed_endpoint }, /lacks the required revocation_feed_endpoint/
    ],
    [
      'scopes that are no list', metadata => { metadata.scopes_supported = 'admin' },
      /scopes_supported that is not a list/
    ]
  ]
  for (const [name, change, says] of table) {
    const service = await createFakeService(t)
    change(service.metadata, service.issuer)
    const { verifier, told } = build(t, { issuer: service.issuer })
    await until(() => verifier.status().error !== undefined)
    t.match(verifier.status().error, says, name)
    t.equal(await outcomeOf(verifier, service.token()), 'revocation_unknown', name)
    t.strictSame(Object.keys(service.counts), [WELL_KNOWN], `${name}: nothing else was asked for`)
    verifier.close()
    t.equal(told.filter(line => says.test(line)).length >= 1, true)
  }
  t.strictSame(elsewhere.counts, {})
})

t.test('answers that are none: said once each, tried again, and it works as soon as it can', async t => {
  const service = await createFakeService(t)
  const elsewhere = await createFakeService(t)
  const answers: Array<[name: string, answer: (response: ServerResponse) => void, says: RegExp]> = [
    [
      'a redirect', response => response.writeHead(302, { location: elsewhere.origin + WELL_KNOWN }).end(),
      /answers 302/
    ],
    ['not found', response => response.writeHead(404).end(), /answers 404/],
    ['a page', response => response.end('<html>'), /is not a JSON object/],
    ['a list', response => response.end('[]'), /is not a JSON object/],
    [
      'without an end', response => { for (let i = 0; i < 20; i++) response.write('x'.repeat(64 * 1024)) },
      /more than 262144 bytes/
    ],
    [
      'cut off', response => { response.write('{'); response.flushHeaders(); setImmediate(() => response.destroy()) },
      /cannot be read/
    ]
  ]
  let answer = answers[0]?.[1]
  service.handlers[WELL_KNOWN] = (_request, _body, response) => answer?.(response)
  const { verifier, told } = build(t, { issuer: service.issuer })
  for (const [name, next, says] of answers) {
    answer = next
    await until(() => says.test(verifier.status().error ?? ''))
    t.match(verifier.status(), { accepting: false, error: says }, name)
  }
  t.equal(told.filter(line => /answers 404/.test(line)).length, 1)
  delete service.handlers[WELL_KNOWN]
  await service.beat()
  await verifier.ready()
  t.equal(await outcomeOf(verifier, service.token()), 'alice')
  t.strictSame(elsewhere.counts, {}, 'no redirect was followed')
})

t.test('a service that is not there yet: it says so, and goes on trying', async t => {
  const service = await createFakeService(t)
  let isThere = false
  const fetch: typeof globalThis.fetch = async (...request) => {
    if (!isThere) throw new TypeError('fetch failed', { cause: Object.assign(new Error(''), { code: 'ECONNREFUSED' }) })
    return await globalThis.fetch(...request)
  }
  const { verifier } = build(t, { issuer: service.issuer, fetch })
  await until(() => verifier.status().error !== undefined)
  t.match(verifier.status().error, /cannot be reached: fetch failed \(ECONNREFUSED\)/)
  isThere = true
  await service.beat()
  await verifier.ready()
  t.equal(await outcomeOf(verifier, service.token()), 'alice')

  let isGone = false
  service.handlers[WELL_KNOWN] = (_request, _body, response) => { response.on('close', () => { isGone = true }) }
  const waiting = build(t, { issuer: service.issuer }).verifier
  const before = service.counts[WELL_KNOWN] ?? 0
  await until(() => (service.counts[WELL_KNOWN] ?? 0) > before)
  waiting.close()
  await until(() => isGone)
  await t.rejects(waiting.ready(), /was closed/, 'what is under way is ended')

  const never = build(t, { issuer: service.issuer, fetch: async () => { throw new Error('no') } }).verifier
  never.close()
  await t.rejects(never.ready(), /was closed/)
})

import type { AddressInfo } from 'node:net'
import t from 'tap'
import { buildServer } from '../../server.js'
import { run } from './support.js'

t.test('the document of a configuration, and of a deployed service', async t => {
  const directory = t.testdir({})
  const env = { LATCHKEY_SCOPES: 'items:read', LATCHKEY_PREFIX: '/auth' }
  const { code, stdout, stderr } = await run(directory, ['openapi'], { env })
  t.equal(code, 0, stderr)
  const document = JSON.parse(stdout) as {
    paths: object, components: { securitySchemes: { oauth2: { flows: { password: { scopes: object } } } } }
  }
  t.ok('/auth/token' in document.paths && !('/auth/register' in document.paths))
  t.ok('items:read' in document.components.securitySchemes.oauth2.flows.password.scopes)

  const service = await buildServer(
    { database: ':memory:', prefix: '/auth', scopes: { 'items:read': 'items:read' } },
    { host: '127.0.0.1', port: 0, trustProxy: [], logLevel: 'silent' }
  )
  t.teardown(() => service.close())
  service.get('/page', async (_request, reply) => reply.type('text/html').send('<p>'))
  await service.listen({ host: '127.0.0.1', port: 0 })
  const origin = `http://127.0.0.1:${(service.server.address() as AddressInfo).port}`
  const url = `${origin}/auth/openapi.json`

  const same = await run(directory, ['openapi', '--url', url], { env })
  t.match(same, { code: 0, stdout: /matches the document of this version and configuration\.\n$/, stderr: '' })

  const other = await run(directory, ['openapi', '--url', url], { env: { ...env, LATCHKEY_REGISTRATION: 'true' } })
  t.match(
    other,
    {
      code: 1,
      stdout: /lacks +paths > \/auth\/register\n/,
      stderr: /differs in \d+ places.*compare the versions and the environments/
    }
  )

  for (const [given, exit, says] of [
    [`${origin}/nowhere`, 4, /the response is 404.*use the URL/],
    [`${origin}/page`, 4, /The document at .* cannot be read/],
    ['http://127.0.0.1:1/openapi.json', 4, /The document at .* cannot be read/],
    ['auth.example.com', 2, /is not an http or https URL/],
    ['file:///etc/passwd', 2, /is not an http or https URL/]
  ] as const) {
    t.match(
      await run(directory, ['openapi', '--url', given]), { code: exit, stdout: '', stderr: says }, given
    )
  }
})

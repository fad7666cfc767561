import { readFile } from 'node:fs/promises'
import { BlockList } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { optionsFromEnvironment, readOptions, readServiceOptions } from '../../lib/options/options.js'
import { checkImage, runHealthCheck } from '../dockerfile-support.js'
import { build } from '../helper.js'

// What of the cluster can be checked without Docker: that its files agree with one another, and with the service.

const folder = join(import.meta.dirname, '..', '..', '..', 'examples', 'cluster')
const read = async (name: string): Promise<string> => await readFile(join(folder, name), 'utf8')

interface ComposeService {
  image: string
  environment: Record<string, string | number>
  ports?: string[]
  networks: string[] | Record<string, { ipv4_address: string }>
  healthcheck: { test: string[] }
  depends_on?: Record<string, { condition: string }>
}

interface Compose {
  services: Record<string, ComposeService>
  networks: Record<string, { ipam: { config: Array<{ subnet: string }> } }>
}

const compose = parse(await read('compose.yaml')) as Compose
const [caddyfile, readme] = await Promise.all(['Caddyfile', 'README.md'].map(read)) as [string, string]
const nodes = Object.entries(compose.services).filter(([name]) => name.startsWith('node'))
const [, node] = nodes[0] as [string, ComposeService]

/** As Compose does it: `${NAME:?message}` must be given, `${NAME:-default}` need not. */
function interpolate (
  environment: ComposeService['environment'], given: Record<string, string>
): Record<string, string> {
  return Object.fromEntries(Object.entries(environment).map((
    [name, value]
  ) => [name, String(value).replaceAll(/\$\{(\w+):([?-])([^}]*)\}/g, (
    _match, variable: string, kind: string, text: string
  ) => {
    const known = given[variable] ?? (kind === '-' ? text : undefined)
    if (known === undefined) throw new Error(`${variable} is missing`)
    return known
  })]))
}

/** What the file .env holds that the README has made. */
const GIVEN = { POSTGRES_PASSWORD: 'a'.repeat(48), LATCHKEY_SECRET: 'b'.repeat(64) }

t.test('three nodes of one environment, which the service takes as it is', async t => {
  t.equal(nodes.length, 3)
  for (const [name, service] of nodes) t.strictSame(service, node, name)
  const environment = interpolate(node.environment, GIVEN)
  const { options, service, unread } = optionsFromEnvironment(environment)
  t.strictSame(unread, [], 'no variable that nobody reads')
  const settings = readOptions(options)
  t.equal(settings.issuer, 'https://localhost')
  t.equal(settings.database, `postgres://latchkey:${GIVEN.POSTGRES_PASSWORD}@postgres:5432/latchkey`)
  t.match(readServiceOptions(service), { host: '0.0.0.0', port: 3000, trustProxy: ['172.31.250.2'] })
  for (const name of Object.keys(GIVEN)) {
    t.throws(
      () => interpolate(node.environment, { ...GIVEN, [name]: undefined as never }), new RegExp(`${name} is missing`)
    )
    t.match(readme, new RegExp(`${name}=%s`))
  }
})

t.test('the database of the URL is that of the container, and only the proxy can be reached from outside', async t => {
  const { proxy, postgres } = compose.services as Record<'proxy' | 'postgres', ComposeService>
  const url = new URL(interpolate(node.environment, GIVEN).LATCHKEY_DATABASE ?? '')
  const { POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB } = interpolate(postgres.environment, GIVEN)
  t.strictSame(
    [url.hostname, url.username, url.password, url.pathname],
    ['postgres', POSTGRES_USER, POSTGRES_PASSWORD, `/${POSTGRES_DB}`]
  )
  t.strictSame(
    Object.entries(compose.services).filter(([, { ports }]) => ports !== undefined).map(([name]) => name), ['proxy']
  )
  t.match(node.depends_on, { postgres: { condition: 'service_healthy' } })
  t.strictSame(Object.keys(proxy.depends_on ?? {}), nodes.map(([name]) => name))
})

t.test('the proxy has all nodes, by the port on which they listen, and the address that they trust', async t => {
  const { proxy } = compose.services as Record<'proxy', ComposeService>
  const [, upstreams = ''] = /reverse_proxy (.+) \{/.exec(caddyfile) ?? []
  t.strictSame(upstreams.split(' '), nodes.map(([name, { environment }]) => `${name}:${environment.PORT}`))
  const {
    ipv4_address: address
  } = (proxy.networks as Record<string, { ipv4_address: string }>).inside ?? { ipv4_address: '' }
  t.equal(node.environment.LATCHKEY_TRUST_PROXY, address)
  const [network = '', prefix] = compose.networks.inside?.ipam.config[0]?.subnet.split('/') ?? []
  const subnet = new BlockList()
  subnet.addSubnet(network, Number(prefix))
  t.ok(subnet.check(address))
  t.equal(proxy.environment.LATCHKEY_ISSUER, node.environment.LATCHKEY_ISSUER)
  t.match(caddyfile, '{$LATCHKEY_ISSUER:https://localhost} {')
})

t.test('the proxy has the tested settings of docs/proxies.md', async t => {
  const settingsOf = (text: string): string[] => {
    const lines = text.split('\n').map(line => line.trim()).filter(line => !line.startsWith('#'))
    return lines.slice(lines.findIndex(line => line.startsWith('reverse_proxy')) + 1)
  }
  const page = await readFile(join(folder, '..', '..', 'docs', 'proxies.md'), 'utf8')
  const [, block = ''] = /```caddy\n([^]*?)```/.exec(page) ?? []
  t.ok(settingsOf(block).length > 10)
  t.strictSame(settingsOf(caddyfile), settingsOf(block))
})

t.test('the health checks ask what there is, and hear what it says', async t => {
  const { app } = await build(t, {})
  const [, path = ''] = /health_uri (\S+)/.exec(caddyfile) ?? []
  t.equal(path, '/health/ready')
  t.equal((await app.inject(path)).statusCode, 200)

  const [kind, ...command] = node.healthcheck.test
  t.equal(kind, 'CMD')
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const url = `127.0.0.1:${node.environment.PORT}${path}`
  t.ok(command.some(text => text.includes(url)))
  const check = async (): Promise<void> => await runHealthCheck(command.map(
    text => text.replace(url, `127.0.0.1:${port}${path}`)
  ))
  await t.resolves(check())
  app.server.close()
  app.server.closeAllConnections()
  await t.rejects(check(), { code: 1 })
})

t.test('the image runs the packed command, not as root', async t => {
  await checkImage(t, 'examples/cluster/Dockerfile', { ignore: 'examples/cluster/Dockerfile.dockerignore' })
})

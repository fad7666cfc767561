import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingHttpHeaders, Server } from 'node:http'
import t from 'tap'
import type { Test } from 'tap'
import { freePort } from '../programs.js'
import { blockOf, PROXIES, skipWithout, startProxy } from '../proxies.js'
import { until } from '../verifier/support.js'

// The configurations of docs/proxies.md, in front of three programs that behave as nodes do. For real nodes, see
// test/faults/proxies.test.ts.

t.setTimeout(120_000)

/** A program that answers like a node. */
interface Node {
  port: number
  /** Whether it answers 503 to every request. */
  isUnready: boolean
  /** What it received, apart from health checks. */
  received: Array<{ request: string, headers: IncomingHttpHeaders }>
  start (): Promise<void>
  stop (): void
}

async function createNode (t: Test): Promise<Node> {
  let server: Server | undefined
  const node: Node = {
    port: await freePort(),
    isUnready: false,
    received: [],
    async start () {
      server = createServer(({ method, url, headers }, response) => {
        if (url !== '/health/ready') node.received.push({ request: `${method} ${url}`, headers })
        if (url === '/revocations') {
          // It does not ask the proxy to turn buffering off, and its body does not end.
          response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: first\n\n')
          setTimeout(() => response.write('data: second\n\n'), 200)
          return
        }
        response.writeHead(node.isUnready ? 503 : 200).end()
      }).listen(node.port, '127.0.0.1')
      await once(server, 'listening')
    },
    stop () {
      server?.close()
      server?.closeAllConnections()
    }
  }
  t.teardown(node.stop)
  await node.start()
  return node
}

for (const name of ['nginx', 'haproxy', 'caddy'] as const) {
  const hasHealthChecks = name !== 'nginx'

  t.test(`${name} in front of several nodes`, { skip: skipWithout(PROXIES[name]) }, async t => {
    const nodes = [await createNode(t), await createNode(t), await createNode(t)]
    const block = await blockOf('proxies.md', name, '10.0.0.11:3000')
    const configuration = nodes.reduce((text, { port }, index) =>
      text.replace(`10.0.0.1${index + 1}:3000`, `127.0.0.1:${port}`), block)
    const origin = await startProxy(t, PROXIES[name], configuration, '/health/ready')
    const send = async (path: string, method = 'GET', headers = {}): Promise<number> => {
      const response = await fetch(origin + path, { method, headers, ...(method === 'POST' ? { body: 'a=b' } : {}) })
      await response.arrayBuffer()
      return response.status
    }
    const sendAll = async (): Promise<number[]> => {
      const statuses: number[] = []
      for (let round = 0; round < 4; round++) statuses.push(await send('/users/me'), await send('/token', 'POST'))
      return statuses
    }
    const isGood = async (): Promise<boolean> => (await sendAll()).every(status => status === 200)
    const arrivalsOf = (request: string): number =>
      nodes.flatMap(({ received }) => received).filter(one => one.request === request).length

    const abort = new AbortController()
    const signal = AbortSignal.any([abort.signal, AbortSignal.timeout(4_000)])
    const { body } = await fetch(`${origin}/revocations`, { signal })
    let text = ''
    for await (const chunk of body ?? []) {
      text += Buffer.from(chunk).toString()
      if (text.includes('second')) break
    }
    t.match(text, 'data: first\n\ndata: second\n\n', 'events come before the body ends')
    abort.abort()

    await send('/sessions', 'GET', { 'x-forwarded-for': '203.0.113.9' })
    const seen = nodes.flatMap(({ received }) => received).find(({ request }) => request === 'GET /sessions')
    t.equal(seen?.headers['x-forwarded-for'], '127.0.0.1', 'the address is not the one that the client sends')

    const [first] = nodes as [Node]
    first.isUnready = true
    if (hasHealthChecks) await until(isGood)
    t.ok(await isGood(), 'a node that is not ready answers no request')
    first.isUnready = false

    for (const node of nodes) node.isUnready = true
    t.equal(await send('/users', 'POST'), 503)
    t.ok(arrivalsOf('POST /users') <= 1, 'a request that must not be repeated is sent once at most')
    for (const node of nodes) node.isUnready = false
    if (hasHealthChecks) await until(isGood)

    for (const node of nodes) node.stop()
    for (let round = 0; round < 2; round++) t.ok((await send('/users/me')) >= 502)
    await Promise.all(nodes.map(async node => await node.start()))
    if (hasHealthChecks) await until(async () => await send('/health/live') === 200)
    t.ok(await isGood(), 'all nodes were down and are back: the first requests work')
  })
}

import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import type { TokenBody } from '../helper.js'
import { PASSWORD } from '../helper.js'
import { askRefresh, askRevoke, call, claimsOf, register } from './support.js'
import type { Service } from './support.js'
import {
  isYes, logInWith, look, makeDatabase, must, readiness, runVerb, startNode, until
} from '../postgres/nodes.js'
import { createLink } from '../postgres/proxy.js'
import type { Link } from '../postgres/proxy.js'
import { follow, hasRule, isState } from '../routes/feed-support.js'
import { blockOf, PROXIES, skipWithout, startProxy } from '../proxies.js'
import { freePort } from '../programs.js'

// The proxies with the configuration of docs/proxies.md, in front of three nodes on PostgreSQL that die, freeze, lose
// their database and come back.

t.setTimeout(600_000)

/** Without it, each node would be an issuer of its own, named after its port. */
const ISSUER = 'https://auth.example.com'

/** An address that a client makes up. */
const FORGED = '203.0.113.9'

interface Cluster {
  /** Of the proxy. */
  origin: string
  nodes: Service[]
  /** Between the last node and its database. */
  link: Link
  /** Starts the node with this index on the port that it had. */
  start (index: number): Promise<void>
}

async function startCluster (t: Test, name: keyof typeof PROXIES): Promise<Cluster> {
  const database = await makeDatabase()
  const link = await createLink(t, database)
  const ports = [await freePort(), await freePort(), await freePort()]
  const nodes: Service[] = []
  const start = async (index: number): Promise<void> => {
    const env = { PORT: String(ports[index]), LATCHKEY_TRUST_PROXY: '127.0.0.1', LATCHKEY_ISSUER: ISSUER }
    nodes[index] = await startNode(t, index === 2 ? link.url : database, { env })
  }
  await start(0)
  await Promise.all([start(1), start(2)])
  const block = await blockOf('proxies.md', name, '10.0.0.11:3000')
  const configuration = ports.reduce((text, port, index) =>
    text.replace(`10.0.0.1${index + 1}:3000`, `127.0.0.1:${port}`), block)
  const origin = await startProxy(t, PROXIES[name], configuration, '/health/ready')
  for (const username of ['alice', 'bob']) await must(201, register(origin, username))
  return { origin, nodes, link, start }
}

/** Where the requests of a client went wrong, and how many milliseconds the slowest took. */
interface Outcome { faults: string[], slowest: number }

/** Protected calls, refreshes and logins through the proxy, one after the other. */
async function use (origin: string, rounds: number): Promise<Outcome> {
  const outcome: Outcome = { faults: [], slowest: 0 }
  let session = await logInWith(origin, 'alice', PASSWORD)
  // Another user logs in again and again, because the limit on sessions ends the oldest ones.
  const form = { grant_type: 'password', username: 'bob', password: PASSWORD }
  const note = (what: string, isGood: boolean, milliseconds: number, status: number | undefined): void => {
    if (!isGood) outcome.faults.push(`${what}: ${status} after ${Math.round(milliseconds)} ms`)
    outcome.slowest = Math.max(outcome.slowest, milliseconds)
  }
  for (let round = 0; round < rounds; round++) {
    const seen = await look(origin, session.access_token)
    note('protected', isYes(seen), seen.answered - seen.asked, seen.status)
    const next = await askRefresh(origin, session.refresh_token)
    note('refresh', next?.status === 200, next?.milliseconds ?? 0, next?.status)
    if (next?.status === 200) session = next.body as unknown as TokenBody
    const login = await call(origin, '/token', { form })
    note('login', login?.status === 200, login?.milliseconds ?? 0, login?.status)
  }
  return outcome
}

/** Several clients at once, so that each node gets some of the requests. */
async function useTogether (origin: string, rounds = 4): Promise<Outcome> {
  const outcomes = await Promise.all(Array.from({ length: 3 }, async () => await use(origin, rounds)))
  return {
    faults: outcomes.flatMap(({ faults }) => faults),
    slowest: Math.max(...outcomes.map(({ slowest }) => slowest))
  }
}

/** Waits until a proxy with health checks has taken a node out. */
async function untilItIsOut (origin: string): Promise<void> {
  await until('the proxy takes the node out', async () => await useTogether(origin).then(
    ({ faults, slowest }) => faults.length === 0 && slowest < 1_000,
    () => false // The first login of a client fails, or the proxy responds without JSON.
  ))
}

for (const name of ['nginx', 'haproxy', 'caddy'] as const) {
  const hasHealthChecks = name !== 'nginx'

  t.test(`${name} in front of three nodes`, { skip: skipWithout(PROXIES[name]) }, async t => {
    const { origin, nodes, link, start } = await startCluster(t, name)

    await t.test('streams the feed, and replaces the addresses that clients send', async t => {
      const added = JSON.parse(await runVerb(link.url, ['clients', 'add', 'api', '--scope', 'revocations:read', '--json']))
      const form = {
        grant_type: 'client_credentials',
        client_id: String(added.id),
        client_secret: String(added.secret)
      }
      const { access_token: token } = await must(200, call(origin, '/token', { form })) as unknown as TokenBody
      const session = await logInWith(origin, 'alice', PASSWORD)
      const times: number[] = [performance.now()]
      const receiver = await follow(t, origin, token, { onEvent: () => { times.push(performance.now()) } })
      t.equal(receiver.response.statusCode, 200)
      await receiver.until(isState)
      const acknowledged = await must(200, askRevoke(origin, session.refresh_token)).then(() => performance.now())
      await receiver.until(hasRule(claimsOf(session.access_token).sid))
      t.ok(performance.now() - acknowledged < 1_000, 'a rule arrives within the bound')
      await delay(2_000)
      const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0))
      t.ok(times.length > 6 && Math.max(...gaps) < 1_000, `each of ${times.length} events comes at once`)
      receiver.cut()

      await must(200, call(origin, '/token', {
        headers: { 'x-forwarded-for': FORGED, forwarded: `for=${FORGED}`, 'x-real-ip': FORGED },
        form: { grant_type: 'password', username: 'alice', password: PASSWORD }
      }))
      t.notOk(nodes.some(({ output }) => output.includes(FORGED)), 'no node takes a made-up address for true')
    })

    await t.test('a node is killed: its clients notice nothing', async t => {
      const using = useTogether(origin, 12)
      await delay(100)
      nodes[1]?.kill('SIGKILL')
      t.strictSame((await using).faults, [])
      await start(1)
    })

    await t.test('a node that is not ready answers no request', async t => {
      link.cut()
      await until('the node is not ready', async () => await readiness(nodes[2]?.url ?? '') === 503)
      if (hasHealthChecks) await untilItIsOut(origin)
      t.strictSame((await useTogether(origin, 2)).faults, [])
      link.restore()
      await until('the node is ready', async () => await readiness(nodes[2]?.url ?? '') === 200)
    })

    await t.test('a node that freezes for two seconds only delays its own requests', async t => {
      nodes[0]?.kill('SIGSTOP')
      const using = useTogether(origin)
      await delay(2_000)
      nodes[0]?.kill('SIGCONT')
      const { faults, slowest } = await using
      t.strictSame(faults, [])
      t.ok(slowest < 4_500, `the slowest request takes ${Math.round(slowest)} ms`)
    })

    if (hasHealthChecks) {
      await t.test('a node that stays frozen is removed', async t => {
        nodes[0]?.kill('SIGSTOP')
        await untilItIsOut(origin)
        nodes[0]?.kill('SIGCONT')
        t.pass('all requests work within a second')
      })
    }

    await t.test('all nodes die and return: the first requests work', async t => {
      for (const node of nodes) node.kill('SIGKILL')
      await Promise.all(nodes.map(async ({ exited }) => await exited))
      for (let count = 0; count < 10; count++) {
        t.ok([502, 503].includes(await readiness(origin)))
        await delay(200)
      }
      await start(0)
      await Promise.all([start(1), start(2)])
      if (hasHealthChecks) await until('the proxy uses a node', async () => await readiness(origin) === 200)
      t.strictSame((await useTogether(origin)).faults, [])
    })
  })
}

import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { createVerifier } from '../../verifier/index.js'
import type { Verifier } from '../../verifier/index.js'
import { bearer } from '../helper.js'
import { BOUND, describeTimes, isYes, lookUntil, must, runVerb, startNode, until } from '../postgres/nodes.js'
import { startPostgres } from '../postgres/server.js'
import type { PostgresServer } from '../postgres/server.js'
import { outcomeOf } from '../verifier/support.js'
import { askRevoke, call, logIn, register } from './support.js'
import type { Service } from './support.js'

// Fifty verifiers follow three nodes behind a load balancer.
//   node dist/test/faults/verifiers.test.js

const VERIFIERS = 50

/** How often each kind is revoked. */
const ROUNDS = 3

t.setTimeout(300_000)

/** Leads each new connection to the next node. */
async function createBalancer (t: Test): Promise<{ url: string, targets: string[] }> {
  const targets: string[] = []
  const sockets = new Set<Socket>()
  let turn = 0
  const server = createServer(near => {
    const far = connect(Number(new URL(targets[turn++ % targets.length] ?? '').port), '127.0.0.1')
    for (const [from, to] of [[near, far], [far, near]] as const) {
      sockets.add(from)
      from.on('error', () => {}).on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
      from.pipe(to)
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, targets }
}

interface Fleet {
  server: PostgresServer
  nodes: Service[]
  verifiers: Verifier[]
}

/** Starts PostgreSQL, the nodes and the verifiers. Resolves when all of them accept tokens. */
async function startFleet (t: Test): Promise<Fleet> {
  const server = await startPostgres()
  t.teardown(() => server.stop())
  const balancer = await createBalancer(t)
  const env = { LATCHKEY_ISSUER: balancer.url }
  const nodes = await Promise.all([1, 2, 3].map(() => startNode(t, server.url, { env })))
  balancer.targets.push(...nodes.map(({ url }) => url))
  const { id, secret } = await addClient(server.url, 'verifier', 'revocations:read')
  await must(201, register(balancer.url, 'alice'))
  const verifiers = Array.from(
    { length: VERIFIERS }, () => createVerifier({ issuer: balancer.url, clientId: id, clientSecret: secret })
  )
  t.teardown(() => { for (const verifier of verifiers) verifier.close() })
  await Promise.all(verifiers.map(verifier => verifier.ready()))
  return { server, nodes, verifiers }
}

async function addClient (database: string, name: string, scope: string): Promise<{ id: string, secret: string }> {
  const added = JSON.parse(await runVerb(database, ['clients', 'add', name, '--scope', scope, '--json']))
  return { id: added.client_id ?? added.id, secret: added.client_secret ?? added.secret }
}

/** An answer of a verifier that differs from the previous one, and when it came. */
interface Change {
  /** Milliseconds of `performance.now()`. */
  at: number
  outcome: string
}

/** Asks each verifier about a token until it is stopped. Returns the changes of each. */
function watch (verifiers: readonly Verifier[], token: string): { stop (): Promise<Change[][]> } {
  const all = verifiers.map((): Change[] => [])
  const over = new AbortController()
  const watching = Promise.all(verifiers.map(async (verifier, index) => {
    const changes = all[index] ?? []
    while (!over.signal.aborted) {
      const outcome = await outcomeOf(verifier, token)
      if (changes.at(-1)?.outcome !== outcome) changes.push({ at: performance.now(), outcome })
      await delay(5)
    }
    changes.push({ at: performance.now(), outcome: 'end' })
  }))
  return {
    async stop () {
      over.abort()
      await watching
      return all
    }
  }
}

const isGood = ({ outcome }: Change): boolean => /^(lkc_)?[0-9a-zA-Z_-]{20,}$/.test(outcome)
const isRefusal = ({ outcome }: Change): boolean => outcome === 'token_revoked' || outcome === 'invalid_token'

/** For how long a verifier answered 503, in milliseconds. */
function unknownTime (changes: readonly Change[]): number {
  return changes.reduce((sum, { at, outcome }, index) => {
    return outcome === 'revocation_unknown' ? sum + (changes[index + 1]?.at ?? at) - at : sum
  }, 0)
}

/** When a verifier accepted the token, at `since` or after it. */
function firstYes (changes: readonly Change[], since: number): number {
  const known = changes.findLast(({ at }) => at <= since)
  if (known !== undefined && isGood(known)) return since
  return changes.find(change => change.at > since && isGood(change))?.at ?? Infinity
}

function describeUnknown (all: ReadonlyArray<readonly Change[]>): string {
  const times = all.map(unknownTime)
  const count = times.filter(milliseconds => milliseconds > 0).length
  return `${count} of ${VERIFIERS} answered 503, for at most ${Math.max(...times).toFixed(0)} ms`
}

t.test('after PostgreSQL restarts, every verifier is back within a second of the nodes', async t => {
  const { server, nodes, verifiers } = await startFleet(t)
  const { access_token: token } = await logIn(nodes[0]?.url ?? '', 'alice')
  for (const downtime of [0, 1_500, 6_000]) {
    const watching = watch(verifiers, token)
    await server.crash()
    await delay(downtime)
    await server.start()
    const started = performance.now()
    // A node may still answer within the bound from before the crash.
    await delay(Math.max(0, BOUND - downtime))
    const answered = await Promise.all(nodes.map(
      async ({ url }) => (await lookUntil(url, token, isYes)).at(-1)?.answered ?? Infinity
    ))
    const nodesAt = Math.max(...answered)
    await until('every verifier', async () => verifiers.every(verifier => verifier.status().fresh))
    await delay(2 * BOUND)
    const all = await watching.stop()
    const later = Math.max(...all.map(changes => firstYes(changes, nodesAt) - nodesAt))
    t.comment(`down for ${downtime} ms: the nodes are back after ${(nodesAt - started).toFixed(0)} ms, ` +
      `the last verifier ${later.toFixed(0)} ms after them; ${describeUnknown(all)}`)
    t.ok(later < 1_000, `down for ${downtime} ms`)
    t.same(all.flat().filter(isRefusal), [], 'a valid token is never refused')
  }
})

t.test('each kind of revocation reaches every verifier at once, and without a 503', async t => {
  const { server, nodes, verifiers } = await startFleet(t)
  const [{ url }] = nodes as [Service]
  const results = new Map<string, { delays: number[], unknown: number[] }>()

  async function measure (kind: string, token: string, revoke: () => Promise<unknown>): Promise<void> {
    await until('a yes of every verifier', async () => {
      const outcomes = await Promise.all(verifiers.map(verifier => outcomeOf(verifier, token)))
      return outcomes.every(outcome => isGood({ at: 0, outcome }))
    })
    const watching = watch(verifiers, token)
    await revoke()
    const acknowledged = performance.now()
    await delay(3 * BOUND)
    const all = await watching.stop()
    const delays = all.map(changes => Math.max(0, (changes.find(isRefusal)?.at ?? Infinity) - acknowledged))
    t.ok(Math.max(...delays) < BOUND, `${kind}: refused within the bound`)
    for (const changes of all) {
      t.notOk(changes.slice(changes.findIndex(isRefusal)).some(isGood), `${kind}: no yes after a no`)
    }
    const result = results.get(kind) ?? { delays: [], unknown: [] }
    result.delays.push(...delays)
    result.unknown.push(...all.map(unknownTime))
    results.set(kind, result)
  }

  for (let round = 0; round < ROUNDS; round++) {
    const single = await logIn(url, 'alice')
    await measure('a token', single.access_token, () => must(200, askRevoke(url, single.access_token)))
    const session = await logIn(url, 'alice')
    await measure('a session', session.access_token, () => must(200, askRevoke(url, session.refresh_token)))
    const user = await logIn(url, 'alice')
    await measure('a user', user.access_token, () => must(
      204, call(url, '/logout', { headers: bearer(user.access_token), json: { target: 'all' } })
    ))
    const { id, secret } = await addClient(server.url, 'billing', 'users:read')
    const machine = await must(200, call(
      url, '/token', { form: { grant_type: 'client_credentials', client_id: id, client_secret: secret } }
    ))
    await measure('a client', String(machine.access_token), () => runVerb(server.url, ['clients', 'remove', id, '--yes']))
    const { access_token: token } = await logIn(url, 'alice')
    const { kid } = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as { kid: string }
    await measure('a key', token, () => runVerb(server.url, ['keys', 'revoke', kid, '--yes']))
  }
  for (const [kind, { delays, unknown }] of results) {
    const stale = unknown.filter(milliseconds => milliseconds > 0).length
    t.comment(`${kind}, from acknowledged to refused: ${describeTimes(delays)}; ` +
      `${stale} of ${unknown.length} answered 503, for at most ${Math.max(...unknown).toFixed(0)} ms`)
    t.equal(stale, 0, `${kind}: no 503`)
  }
})

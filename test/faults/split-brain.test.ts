import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import pg from 'pg'
import { BOUND, isYes, look, must, readiness, startNode, until } from '../postgres/nodes.js'
import { createLink } from '../postgres/proxy.js'
import { findPort, startPostgres } from '../postgres/server.js'
import type { PostgresServer } from '../postgres/server.js'
import { askRefresh, askRevoke, logIn, register } from './support.js'
import type { Service } from './support.js'

// A standby is promoted while the previous primary still runs and accepts writes.
//   node dist/test/faults/split-brain.test.js

t.setTimeout(300_000)

/** Milliseconds after which every node has found the new primary: the pause of the search, and a loaded machine. */
const FOUND = 5_000

async function startPair (t: Test): Promise<{ first: PostgresServer, second: PostgresServer }> {
  const first = await startPostgres()
  t.teardown(() => first.stop())
  const second = await first.replicate()
  t.teardown(() => second.stop())
  return { first, second }
}

async function ask<Row extends object> (url: string, text: string): Promise<Row | undefined> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    const { rows: [row] } = await client.query<Row>(text)
    return row
  } finally {
    await client.end()
  }
}

/** Waits until the standby has everything, and promotes it. */
async function promote ({ first, second }: { first: PostgresServer, second: PostgresServer }): Promise<void> {
  const { lsn } = await ask<{ lsn: string }>(first.url, 'select pg_current_wal_flush_lsn() as lsn') ?? { lsn: '' }
  await until('the standby has everything', async () =>
    (await ask<{ has: boolean }>(second.url, `select pg_last_wal_replay_lsn() >= '${lsn}'::pg_lsn as has`))?.has === true)
  await second.promote()
}

interface Counts {
  acknowledged: number
  accepted: number
}

/** Logs in and revokes at each node in turn. Counts the acknowledged revocations that another node still ignores. */
async function revokeAll (nodes: readonly Service[], rounds: number, pause: number): Promise<Counts> {
  const counts = { acknowledged: 0, accepted: 0 }
  const revoked: string[] = []
  for (let round = 0; round < rounds; round++) {
    const url = nodes[round % nodes.length]?.url ?? ''
    const tokens = await logIn(url, 'alice').catch(() => undefined)
    if (tokens === undefined) continue
    const answer = await askRevoke(url, tokens.access_token)
    if (answer?.status === 200) revoked.push(tokens.access_token)
  }
  await delay(pause)
  for (const token of revoked) {
    const looks = await Promise.all(nodes.map(({ url }) => look(url, token)))
    if (looks.some(isYes)) counts.accepted++
  }
  return { ...counts, acknowledged: revoked.length }
}

/** Starts haproxy with both servers behind one port. Returns the URL, and a function that runs a command of haproxy. */
async function startHaproxy (t: Test, pair: { first: PostgresServer, second: PostgresServer }): Promise<{
  url: string, run: (command: string) => Promise<void>
}> {
  const [port, control] = [await findPort(), await findPort()]
  const [first, second] = [new URL(pair.first.url).host, new URL(pair.second.url).host]
  const file = join(t.testdir(), 'haproxy.cfg')
  await writeFile(file, `global
  stats socket ipv4@127.0.0.1:${control} level admin
defaults
  mode tcp
  timeout connect 2s
  timeout client 1h
  timeout server 1h
listen postgres
  bind 127.0.0.1:${port}
  balance roundrobin
  server first ${first}
  server second ${second} disabled
`)
  const child = spawn('haproxy', ['-db', '-f', file], { stdio: ['ignore', 'ignore', 'pipe'] })
  let errors = ''
  child.stderr.on('data', chunk => { errors += String(chunk) })
  t.teardown(async () => {
    const ended = once(child, 'exit')
    if (child.exitCode === null && child.kill()) await ended
  })
  async function run (command: string): Promise<void> {
    const socket = connect(control, '127.0.0.1')
    socket.end(`${command}\n`)
    socket.resume()
    await once(socket, 'close')
  }
  const url = Object.assign(new URL(pair.first.url), { host: `127.0.0.1:${port}` }).href
  await until('haproxy is ready', async () => {
    if (child.exitCode !== null) throw new Error(`haproxy has ended: ${errors}`)
    return await ask(url, 'select 1').then(() => true, () => false)
  })
  return { url, run }
}

async function detailOf ({ url }: Service): Promise<string> {
  return (await (await fetch(`${url}/health/ready`)).json() as { detail: string }).detail
}

t.test('nodes do not return to the previous primary, and accept no revoked token', async t => {
  const pair = await startPair(t)
  const link = await createLink(t, pair.first.url)
  const nodes = [await startNode(t, link.url), await startNode(t, link.url)]
  await must(201, register(nodes[0]?.url ?? '', 'alice'))
  const before = await logIn(nodes[0]?.url ?? '', 'alice')
  await promote(pair)

  link.lead(pair.second.url)
  // The connections to the previous primary stay open. Only a new connection shows the new primary.
  await delay(FOUND)
  const forward = await revokeAll(nodes, 48, 1.5 * BOUND)
  t.comment(`on the new primary: ${forward.acknowledged} acknowledged, ${forward.accepted} still accepted`)
  t.same(forward, { acknowledged: 48, accepted: 0 })
  const { rules } = await ask<{ rules: number }>(pair.first.url,
    "select count(*)::int as rules from latchkey_rules where kind = 'token'") ?? {}
  t.equal(rules, 0, 'the previous primary has none of them')

  link.lead(pair.first.url)
  link.reset()
  const back = await revokeAll(nodes, 12, 1.5 * BOUND)
  t.same(back, { acknowledged: 0, accepted: 0 }, 'nothing is acknowledged on the previous primary')
  for (const node of nodes) {
    t.equal(await readiness(node.url), 503)
    t.match(await detailOf(node), /previous primary, on timeline 1, and this node has seen timeline 2/)
    t.equal((await look(node.url, before.access_token)).status, 503)
    t.equal((await askRefresh(node.url, before.refresh_token))?.status, 503)
    t.equal(node.output.match(/this node refuses the database server/g)?.length, 1, 'it is logged once')
  }

  link.lead(pair.second.url)
  link.reset()
  for (const { url } of nodes) await until('ready again', async () => await readiness(url) === 200)
  t.same(await revokeAll(nodes, 12, 1.5 * BOUND), { acknowledged: 12, accepted: 0 })
})

t.test('a new primary that lacks what a node has seen acknowledged is refused until the node is restarted', async t => {
  const pair = await startPair(t)
  const link = await createLink(t, pair.first.url)
  const strict = await startNode(t, link.url)
  const tolerant = await startNode(t, link.url, { env: { LATCHKEY_ACCEPT_LOST_COMMITS: 'true' } })
  await must(201, register(strict.url, 'alice'))
  const kept = await logIn(strict.url, 'alice')
  const { access_token: lost } = await logIn(strict.url, 'alice')
  await until('the standby has the sessions', async () => {
    const row = await ask<{ sessions: number }>(pair.second.url, 'select count(*)::int as sessions from latchkey_sessions')
    return row?.sessions === 2
  })
  await pair.second.crash()
  await must(200, askRevoke(strict.url, lost))
  await until('the other node knows it', async () => (await look(tolerant.url, lost)).status === 401)
  await delay(BOUND)
  await pair.first.crash()
  await pair.second.start()
  await pair.second.promote()
  link.lead(pair.second.url)
  link.reset()

  await until('the tolerant node is back', async () => await readiness(tolerant.url) === 200)
  t.match(tolerant.output, /acknowledged revocations or keys may be lost/)
  t.equal((await look(tolerant.url, lost)).status, 401, 'the process keeps the rules that it knows')
  await until('the strict node knows why', async () => /lacks changes/.test(await detailOf(strict)))
  await delay(BOUND)
  t.equal(await readiness(strict.url), 503)
  t.equal((await look(strict.url, kept.access_token)).status, 503)
  t.equal((await askRefresh(strict.url, kept.refresh_token))?.status, 503)

  const restarted = await startNode(t, link.url)
  t.ok(isYes(await look(restarted.url, kept.access_token)), 'a new process accepts the loss')
})

t.test('a URL with several hosts leads to the primary, and never back to a previous one', async t => {
  const pair = await startPair(t)
  const [{ host: one, pathname }, { host: two }] = [new URL(pair.first.url), new URL(pair.second.url)]
  const url = `postgres://latchkey@${two},${one}${pathname}?target_session_attrs=read-write`
  const nodes = [await startNode(t, url), await startNode(t, url)]
  const [{ url: node = '' } = {}] = nodes
  await must(201, register(node, 'alice'))
  const { access_token: token } = await logIn(node, 'alice')
  await must(200, askRevoke(node, token))
  const kept = await logIn(node, 'alice')
  await until('the standby has the session', async () => {
    const row = await ask<{ sessions: number }>(pair.second.url, 'select count(*)::int as sessions from latchkey_sessions')
    return row?.sessions === 2
  })
  await pair.first.crash()
  await pair.second.promote()
  const promoted = performance.now()
  for (const { url } of nodes) await until('ready', async () => await readiness(url) === 200)
  t.comment(`ready ${(performance.now() - promoted).toFixed(0)} ms after the promotion`)
  await pair.first.start()
  await delay(FOUND)
  t.same(await revokeAll(nodes, 12, 1.5 * BOUND), { acknowledged: 12, accepted: 0 })
  for (const { url } of nodes) {
    t.equal(await readiness(url), 200)
    t.ok(isYes(await look(url, kept.access_token)))
    t.equal((await look(url, token)).status, 401)
  }
  const fresh = await startNode(t, url)
  t.same(await revokeAll([...nodes, fresh], 12, 1.5 * BOUND), { acknowledged: 12, accepted: 0 },
    'a new node asks both servers, and uses the one with the higher timeline')
})

t.test('nodes that reach both primaries through haproxy choose the new one', {
  skip: spawnSync('haproxy', ['-v'], { stdio: 'ignore' }).error !== undefined && 'haproxy is not installed'
}, async t => {
  const pair = await startPair(t)
  const { url, run } = await startHaproxy(t, pair)
  const nodes = [await startNode(t, url), await startNode(t, url)]
  await must(201, register(nodes[0]?.url ?? '', 'alice'))
  await promote(pair)
  await run('enable server postgres/second')
  await delay(FOUND)
  const counts = await revokeAll(nodes, 48, 1.5 * BOUND)
  t.comment(`both primaries behind haproxy: ${counts.acknowledged} acknowledged, ${counts.accepted} still accepted`)
  t.equal(counts.accepted, 0)
  t.ok(counts.acknowledged > 24, 'every other new connection is refused, but most requests reuse a connection')

  await run('disable server postgres/second')
  await run('shutdown sessions server postgres/second')
  t.same(await revokeAll(nodes, 12, 1.5 * BOUND), { acknowledged: 0, accepted: 0 })
  for (const { url } of nodes) t.equal(await readiness(url), 503)

  await run('enable server postgres/second')
  await run('disable server postgres/first')
  for (const { url } of nodes) await until('ready again', async () => await readiness(url) === 200)
  t.same(await revokeAll(nodes, 12, 1.5 * BOUND), { acknowledged: 12, accepted: 0 })
})

import t from 'tap'
import type { Test } from 'tap'
import pg from 'pg'
import { openStore } from '../../lib/store/open.js'
import { createWorld } from '../lib/support.js'
import type { World } from '../lib/support.js'
import { makeDatabase, until } from './nodes.js'
import { createLink } from './proxy.js'
import type { Link } from './proxy.js'
import { startPostgres } from './server.js'
import { revokeToken } from '../revoke-token.js'

// Another server takes over at the same address while the one before can still be reached, so that one connection leads
// here and another there: what one server confirms must not be read of the other.

t.setTimeout(120_000)

const BOUND = 1_000

async function open (t: Test, url: string): Promise<World> {
  const store = await openStore(url, { bound: BOUND, log () {} })
  t.teardown(() => store.close())
  return await createWorld(t, { store })
}

/**
 * A node whose address leads to a first server, and now to a second one; and another node that was on the second from
 * the start.
 */
async function takeOver (t: Test): Promise<{ node: World, other: World, link: Link, first: string }> {
  const first = await makeDatabase()
  const server = await startPostgres()
  t.teardown(() => server.stop())
  const client = new pg.Client(server.url)
  await client.connect()
  await client.query(`create database ${new URL(first).pathname.slice(1)}`)
  await client.end()
  const second = Object.assign(new URL(first), { host: new URL(server.url).host }).href

  const link = await createLink(t, first)
  const node = await open(t, link.url)
  await node.store.poll()
  await node.follower.refresh()
  // Idle connections, as many as there may be.
  await Promise.all(Array.from(
    { length: 10 }, () => node.store.read(db => db.selectFrom('latchkey_meta').selectAll().execute())
  ))
  const other = await open(t, second)
  link.lead(second)
  return { node, other, link, first }
}

async function run (url: string, text: string): Promise<void> {
  const client = new pg.Client(url)
  await client.connect()
  await client.query(text)
  await client.end()
}

/** Whether the node refuses the token; where it cannot know it does not say yes. */
async function isDead ({ follower, revocations }: World, tokenId: string): Promise<boolean> {
  try {
    await follower.refresh()
  } catch {
    return true
  }
  return revocations.isRevoked({ tokenId, sessionId: undefined, userId: 'a', clientId: 'b', issuedAt: 0 })
}

t.test('the connection that listens leads to the new server: the rules are not read of the old one', async t => {
  const { node, other, first } = await takeOver(t)
  const epoch = node.store.epoch()
  await run(
    first,
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'latchkey listener' and datname = current_database()"
  )
  await until('another epoch', async () => node.store.epoch() !== epoch)
  await revokeToken(other.revocations, 'revoked on the new server', Number.MAX_SAFE_INTEGER)
  const acknowledged = performance.now()
  await until('a no', async () => await isDead(node, 'revoked on the new server'))
  t.ok(performance.now() - acknowledged < 2 * BOUND, 'soon')
  t.same(
    await node.store.read(db => db.selectFrom('latchkey_rules').select('value').execute()),
    [{ value: 'revoked on the new server' }], 'and reads go there'
  )
  await revokeToken(node.revocations, 'written to the new server', Number.MAX_SAFE_INTEGER)
  t.equal((await other.store.read(db => db.selectFrom('latchkey_rules').select('value').execute())).length, 2, 'and writes too')
})

t.test('a connection of the pool leads to the new server: the one that listens does not go on confirming the old one', async t => {
  const { node, other, first } = await takeOver(t)
  const epoch = node.store.epoch()
  await run(
    first,
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'latchkey' and datname = current_database() and state = 'idle'"
  )
  await until('another epoch', async () => {
    await node.store.read(db => db.selectFrom('latchkey_meta').selectAll().execute()).catch(() => {})
    return node.store.epoch() !== epoch
  })
  await revokeToken(other.revocations, 'revoked on the new server', Number.MAX_SAFE_INTEGER)
  const acknowledged = performance.now()
  await until('a no', async () => await isDead(node, 'revoked on the new server'))
  t.ok(performance.now() - acknowledged < 2 * BOUND, 'soon')
})

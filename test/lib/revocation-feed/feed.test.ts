import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { FEED_LIMITS } from '../../../lib/revocation-feed/stream-limits.js'
import type { FeedLimits } from '../../../lib/revocation-feed/stream-limits.js'
import type { FeedEvent } from '../../../lib/revocation-feed/reader.js'
import { createRevocationFeed } from '../../../lib/revocation-feed/feed.js'
import type { FeedStream, RevocationFeed } from '../../../lib/revocation-feed/feed.js'
import type { Revocations } from '../../../lib/revocation/revocations.js'
import { readStoreId } from '../../../lib/store/meta.js'
import type { Store } from '../../../lib/store/store.js'
import {
  createGate, createWorld, databaseIn, isPending, libUrl, MINUTE, openKeys, openStore, startScript
} from '../support.js'
import type { World } from '../support.js'
import { revokeToken } from '../../revoke-token.js'

/**
 * A feed over a store whose reads can be counted and held up, with a stopwatch of its own; no heartbeat comes unless a
 * test asks for it.
 */
async function createFeed (
  t: Test, { file = ':memory:', limits = {} }: { file?: string, limits?: Partial<FeedLimits> } = {}
): Promise<{
  world: World,
  feed: RevocationFeed,
  open: (after?: string) => FeedStream,
  ended: string[],
  reads: {
    count: number, before: () => Promise<void>
  },
  stopwatch: { offset: number },
  horizon: { time: number },
  server: { epoch: number },
  warnings: object[]
}> {
  const world = await createWorld(t, { file })
  const { keyring, tokens } = await openKeys(world)
  const reads = { count: 0, before: async () => {} }
  const server = { epoch: 1 }
  const store: Store = {
    ...world.store,
    epoch: () => server.epoch,
    async read (work) {
      reads.count++
      await reads.before()
      return await world.store.read(work)
    }
  }
  const stopwatch = { offset: 0 }
  const horizon = { time: 0 }
  const warnings: object[] = []
  const feed = createRevocationFeed({
    ...world,
    store,
    storeId: await readStoreId(world.store, 36),
    readHorizon: async () => horizon.time,
    keyring,
    tokens: {
      ...tokens, verify: () => ({ scopes: ['revocations:read'] }) as unknown as ReturnType<typeof tokens.verify>
    },
    stopwatch: () => performance.now() + stopwatch.offset,
    log: { warn: details => warnings.push(details), info: message => warnings.push({ message }) },
    limits: { ...FEED_LIMITS, heartbeat: 1_000_000, look: 1_000_000, ...limits }
  })
  t.teardown(() => feed.close())
  const ended: string[] = []
  const open = (after?: string): FeedStream => feed.open({
    after, arrivedAt: performance.now(), token: '', owner: 'one', onEnd: () => ended.push('')
  })
  return { world, feed, open, ended, reads, stopwatch, horizon, server, warnings }
}

const revoke = (
  revocations: Revocations, ...ids: string[]
): Promise<void> => revocations.write([], ({ revoke }) => revoke.sessions(ids))
const valuesOf = (
  event: FeedEvent | undefined
): string[] => event?.event === 'rules'
  ? JSON.parse(event.data).rules.map((
    { value }: { value: string }
  ) => value)
  : []
const names = (count: number, prefix: string): string[] => Array.from(
  { length: count }, (_, index) => `${prefix}${index}`
)

t.test('what is new is read once for all streams that are level', async t => {
  const { world, open, reads } = await createFeed(t)
  await revoke(world.revocations, ...names(10, 'old'))
  const streams = Array.from({ length: 50 }, () => open())
  for (const stream of streams) {
    t.equal(valuesOf(await stream.next()).length, 10)
    t.equal((await stream.next())?.event, 'state')
  }
  const before = reads.count
  const asked = streams.map(stream => stream.next())
  await revoke(world.revocations, 'new')
  for (const event of await Promise.all(asked)) t.strictSame(valuesOf(event), ['new'])
  t.equal(reads.count, before + 1)
})

t.test('nobody follows the store while there is no stream', async t => {
  const { world, feed, open, reads } = await createFeed(t)
  await revoke(world.revocations, 'first')
  t.equal(reads.count, 0)
  const stream = open()
  await stream.next()
  stream.close()
  t.equal(await stream.next(), undefined)
  t.equal(feed.streams, 0)
  await nextTurn()
  const before = reads.count
  await revoke(world.revocations, 'second')
  await nextTurn()
  t.equal(reads.count, before)
  const later = open()
  t.strictSame(valuesOf(await later.next()), ['first', 'second'], 'the next one is sent what nobody has followed')
})

t.test('while a page of the snapshot is being read others commit and heartbeats pass: no state until they have been sent', async t => {
  const { world, open, reads } = await createFeed(t)
  await revoke(world.revocations, ...names(1_500, 'old'))
  const stream = open()
  t.equal(valuesOf(await stream.next()).length, 1_000)

  const gate = createGate()
  reads.before = gate.pass
  const second = stream.next()
  t.ok(await isPending(second))
  reads.before = async () => {}
  const other = open() // Demands a beat.
  await revoke(world.revocations, 'meanwhile')
  while ((await other.next())?.event !== 'state');
  t.ok(await isPending(second), 'the one has been told that it has everything, the other has not')
  gate.open()
  t.equal(valuesOf(await second).at(-1), 'meanwhile', 'the page was read after the commit, and has it')
  t.equal((await stream.next())?.event, 'state')
})

t.test('a rule that is committed between the look and the reading comes before the state of that look', async t => {
  const { world, open, reads } = await createFeed(t)
  const stream = open()
  await stream.next()
  let isFirst = true
  reads.before = async () => {
    if (!isFirst) return
    isFirst = false
    await revoke(world.revocations, 'between')
  }
  open()
  const [first, second] = [await stream.next(), await stream.next()]
  t.strictSame(valuesOf(first), ['between'])
  t.equal(second?.event, 'state')
})

t.test('a burst of more than the reader keeps is sent whole, in order, to who is level and to who is not', async t => {
  const { world, open } = await createFeed(t)
  const level = open()
  await level.next()
  const slow = open()
  const values = names(3_500, 'burst')
  await revoke(world.revocations, ...values)
  for (const stream of [level, slow]) {
    const found: string[] = []
    while (found.length < values.length) found.push(...valuesOf(await stream.next()))
    t.strictSame(found, values)
  }
})

t.test('one after the other, each commit is sent once', async t => {
  const { world, open } = await createFeed(t)
  const stream = open()
  await stream.next()
  const found: string[] = []
  const reading = (async () => { while (found.length < 2_500) found.push(...valuesOf(await stream.next())) })()
  for (const value of names(2_500, 'each')) await revoke(world.revocations, value)
  await reading
  t.strictSame(found, names(2_500, 'each'))
})

t.test('a cursor that is ahead of what was read here, because another process made it, goes on where it is', async t => {
  const file = databaseIn(t)
  const [here, there] = [await createFeed(t, { file }), await createFeed(t, { file })]
  await revoke(here.world.revocations, 'first')
  const watching = here.open()
  await watching.next()
  await watching.next()
  await revoke(there.world.revocations, 'second')
  const { page } = await there.feed.read({ after: undefined, limit: 10 })
  const stream = here.open(page.cursor)
  t.equal((await stream.next())?.event, 'state', 'it is level, and is not sent everything once more')
})

t.test('rules that are purged while a stream is behind them are not waited for', async t => {
  const { world, open } = await createFeed(t)
  await revoke(world.revocations, ...names(1_200, 'old'))
  const stream = open()
  t.equal(valuesOf(await stream.next()).length, 1_000)
  await world.store.transaction(trx => trx.deleteFrom('latchkey_rules').execute())
  t.equal((await stream.next())?.event, 'state')
})

t.test('a stream ends after its time, and when its receiver takes nothing', async t => {
  const { open, ended, stopwatch } = await createFeed(t, { limits: { lifetime: 10_000, patience: 1_000 } })
  const [reading, idle] = [open(), open()]
  await reading.next()
  await idle.next()
  const waiting = reading.next()
  stopwatch.offset += 1_001
  open()
  t.equal((await waiting)?.event, 'state')
  t.equal(await idle.next(), undefined)
  t.equal(ended.length, 1)
  const still = reading.next()
  stopwatch.offset += 9_000
  open()
  t.equal((await still) === undefined || await reading.next() === undefined, true)
  t.equal(ended.length, 3, 'and the one that nobody has read, which ran out of patience too')
})

t.test('a stream that is closed twice has ended once; a closed feed opens none', async t => {
  const { feed, open, ended } = await createFeed(t)
  const stream = open()
  const waiting = stream.next()
  feed.close()
  stream.close()
  t.equal(await waiting, undefined)
  t.equal(ended.length, 1)
  t.throws(() => open(), { code: 'feed_unavailable', statusCode: 503, retryAfter: 1 })
})

t.test('a failure of the store is told once, and that it is over', async t => {
  const { world, open, reads, warnings } = await createFeed(t, { limits: { heartbeat: 5 } })
  const alive = setInterval(() => {}, MINUTE) // The feed's own timers keep no process running.
  t.teardown(() => clearInterval(alive))
  const stream = open()
  await stream.next()
  let failures = 0
  const tried = new Promise<void>(resolve => {
    reads.before = async () => {
      if (++failures === 5) resolve()
      throw new Error('broken')
    }
  })
  const waiting = stream.next()
  await tried
  reads.before = async () => {}
  await revoke(world.revocations, 'later')
  const events = [await waiting]
  while (valuesOf(events.at(-1))[0] !== 'later') events.push(await stream.next())
  t.match(warnings, [{ err: { message: 'broken' } }, { message: /follows the store again/ }])
  t.equal(warnings.length, 2)
})

t.test('the id of a store is made once, also by processes that begin in the same moment', async t => {
  const file = databaseIn(t)
  const script = (fresh: number): string => `
    const { openSqlite } = await import(${libUrl('store/sqlite/open.js')})
    const { readStoreId } = await import(${libUrl('store/meta.js')})
    const store = await openSqlite(${JSON.stringify(file)})
    process.stdout.write('ready\\n')
    await new Promise(resolve => process.stdin.once('data', resolve))
    process.stdout.write(String(await readStoreId(store, ${fresh})))
    await store.close()
    process.exit()`
  const started = [11, 12, 13, 14].map(fresh => startScript(t, script(fresh)))
  await Promise.all(started.map(({ child }) => once(child.stdout ?? child, 'data')))
  for (const { child } of started) child.stdin?.write('go\n')
  const ids = (await Promise.all(started.map(({ result }) => result))).map(({ stdout }) => stdout.split('\n')[1])
  t.equal(new Set(ids).size, 1, ids.join())
  t.ok(['11', '12', '13', '14'].includes(ids[0] ?? ''))
  t.equal(String(await readStoreId(await openStore(t, file), 99)), ids[0], 'and is never another')
})

t.test('the position of a page is that of its last rule, though the rule is left out', async t => {
  const { world, feed, horizon } = await createFeed(t)
  horizon.time = world.wall() - 24 * 60 * MINUTE
  await revokeToken(world.revocations, 'live', world.wall() + MINUTE)
  await revokeToken(world.revocations, 'forgotten', world.wall() - 2 * 24 * 60 * MINUTE)
  const { page } = await feed.read({ after: undefined, limit: 10 })
  t.match(page, { cursor: /^10-[0-9a-z]+-2$/, more: false, horizon: horizon.time, rules: [{ value: 'live' }] })
  t.equal(page.rules.length, 1)
})

t.test('after another server has taken over, a stream starts again with all rules, and does not end', async t => {
  const { world, feed, open, ended, server } = await createFeed(t, { limits: { heartbeat: 5 } })
  const alive = setInterval(() => {}, MINUTE) // The feed's own timers keep no process running.
  t.teardown(() => clearInterval(alive))
  await revoke(world.revocations, 'first', 'second')
  const { page: { cursor } } = await feed.read({ after: undefined, limit: 10 })
  const stream = open(cursor)
  t.equal((await stream.next())?.event, 'state', 'it is up to date')
  server.epoch = 2
  let event = await stream.next()
  while (event?.event === 'state') event = await stream.next()
  t.strictSame(valuesOf(event), ['first', 'second'])
  const { page } = await feed.read({ after: undefined, limit: 10 })
  t.equal(event?.id, page.cursor, 'with the cursor of the new server')
  t.equal((await stream.next())?.event, 'state')
  t.strictSame(ended, [])

  stream.close()
  server.epoch = 3
  const later = open(page.cursor)
  t.strictSame(valuesOf(await later.next()), ['first', 'second'], 'the first stream after a change is not ended either')
  t.equal((await later.next())?.event, 'state')
  t.equal(feed.streams, 1)
})

t.test('if a server takes over while a heartbeat is made or a page is read, no state comes before its rules', async t => {
  const { world, open, reads, server } = await createFeed(t)
  await revoke(world.revocations, ...names(1_500, 'old'))
  let left = 2
  reads.before = async () => { if (left-- > 0) server.epoch++ }
  const stream = open()
  const found: string[] = []
  for (;;) {
    const event = await stream.next()
    if (event?.event === 'state') break
    found.push(...valuesOf(event))
  }
  t.strictSame(found.slice(-1_500), names(1_500, 'old'))
})

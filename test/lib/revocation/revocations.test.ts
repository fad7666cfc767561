import { once } from 'node:events'
import t from 'tap'
import { createStoreClock } from '../../../lib/time/clock.js'
import { LatchkeyError } from '../../../lib/errors.js'
import { createEvents } from '../../../lib/ledger/events.js'
import { createLedger } from '../../../lib/ledger/ledger.js'
import { createFollower } from '../../../lib/store/change-follower.js'
import type { Revocable } from '../../../lib/revocation/rule-index.js'
import { openRevocations } from '../../../lib/revocation/revocations.js'
import { openSqlite } from '../../../lib/store/sqlite/open.js'
import type { Store } from '../../../lib/store/store.js'
import {
  connectTo,
  createGate,
  createWall,
  createWorld,
  databaseIn,
  DAY,
  HOUR,
  isPending,
  libUrl,
  MINUTE,
  openCaptured,
  openStore,
  SECOND,
  startScript
} from '../support.js'
import { revokeToken } from '../../revoke-token.js'

const TTL = 15 * MINUTE

function token (members: Partial<Revocable> = {}): Revocable {
  return { tokenId: 't', sessionId: 's', userId: 'u', clientId: 'c', issuedAt: 0, ...members }
}

/** A store whose reads can be made to wait after they have read, or to fail. */
function createSlowStore (store: Store): {
  store: Store
  beforeRead: () => Promise<void>
  afterRead: () => Promise<void>
  reads: number
} {
  const slow = {
    reads: 0,
    beforeRead: async () => {},
    afterRead: async () => {},
    store: {
      ...store,
      async read (work) {
        slow.reads++
        await slow.beforeRead()
        const result = await store.read(work)
        await slow.afterRead()
        return result
      }
    } as Store
  }
  return slow
}

t.test('a rule is in the file when the promise resolves, and in force here', async t => {
  const file = databaseIn(t)
  const { revocations } = await createWorld(t, { file })
  const other = connectTo(t, file)
  const find = other.prepare('select kind, value, issued_before is null as always from latchkey_rules where value = ?')
  await revokeToken(revocations, 't', 5)
  t.same(find.all('t'), [{ kind: 'token', value: 't', always: 1 }])
  t.equal(revocations.isRevoked(token()), true)
  await revocations.revokeUser('u')
  t.same(find.all('u'), [{ kind: 'user', value: 'u', always: 0 }])
  await revocations.write([], ({ revoke }) => revoke.sessions(['s1', 's2']))
  t.same(find.all('s2'), [{ kind: 'session', value: 's2', always: 1 }])
  t.equal(revocations.size, 4)
})

t.test('a rule acknowledged by a process that is then killed with SIGKILL is there', async t => {
  const file = databaseIn(t)
  const script = `
    const { openSqlite } = await import(${libUrl('store/sqlite/open.js')})
    const { openRevocations } = await import(${libUrl('revocation/revocations.js')})
    const { createStoreClock } = await import(${libUrl('time/clock.js')})
    const { createLedger } = await import(${libUrl('ledger/ledger.js')})
    const { createFollower } = await import(${libUrl('store/change-follower.js')})
    const { createEvents } = await import(${libUrl('ledger/events.js')})
    const store = await openSqlite(${JSON.stringify(file)})
    const clock = createStoreClock(store.now)
    const ledger = createLedger({ store, clock, events: createEvents() })
    const follower = createFollower(store)
    const revocations = await openRevocations({ store, ledger, follower, accessTokenTtl: 900000 })
    const end = id => revocations.write([], ({ revoke }) => revoke.token(id, null, Date.now() + 900000))
    for (let i = 0; ; i++) {
      await end('t' + i)
      process.stdout.write(i + '\\n')
    }`
  const { child, result } = startScript(t, script)
  for (let chunks = 0; chunks < 20; chunks++) await once(child.stdout ?? child, 'data')
  child.kill('SIGKILL')
  const { stdout } = await result
  const acknowledged = stdout.split('\n').slice(0, -1).map(Number)
  t.ok(acknowledged.length >= 10, `${acknowledged.length} were acknowledged`)
  const { revocations } = await createWorld(t, { file })
  t.ok(acknowledged.every(i => revocations.isRevoked(token({ tokenId: `t${i}` }))))
})

t.test('a transaction that throws writes and indexes nothing', async t => {
  const file = databaseIn(t)
  const { revocations } = await createWorld(t, { file })
  await t.rejects(revocations.write([], async ({ revoke }) => {
    await revoke.token('t', null, 5)
    await revoke.sessions(['s'])
    await revoke.user('u')
    throw new LatchkeyError('invalid_scope')
  }), { code: 'invalid_scope' })
  t.equal(revocations.size, 0)
  t.equal(revocations.isRevoked(token()), false)
  t.equal(connectTo(t, file).prepare('select count(*) from latchkey_rules').pluck().get(), 0)
})

t.test('a commit that fails revokes nothing and says so; the next one works', async t => {
  const file = databaseIn(t)
  const { store, connection } = await openCaptured(t, file)
  const { revocations } = await createWorld(t, { store })
  connection.pragma(`max_page_count = ${connection.pragma('page_count', { simple: true })}`)
  const values = Array.from({ length: 500 }, (_, i) => `session ${i} ${'x'.repeat(100)}`)
  await t.rejects(
    revocations.write([], ({ revoke }) => revoke.sessions(values)),
    { code: 'store_unavailable', statusCode: 503 }
  )
  t.equal(revocations.size, 0)
  connection.pragma('max_page_count = 1000000')
  await revocations.write([], ({ revoke }) => revoke.sessions(values))
  t.equal(revocations.size, 500)
})

t.test('work that is run twice by the store indexes what the last run wrote', async t => {
  const inner = await openStore(t)
  const store: Store = {
    ...inner,
    async transaction (work) {
      await t.rejects(inner.transaction(async (trx, now) => {
        await work(trx, now)
        throw new Error('locked')
      }), /locked/)
      return await inner.transaction(work)
    }
  }
  const { revocations } = await createWorld(t, { store })
  let runs = 0
  await revocations.write([], async ({ revoke }) => {
    runs++
    await revoke.token(`run ${runs}`, null, 5)
  })
  t.equal(runs, 2)
  t.equal(revocations.isRevoked(token({ tokenId: 'run 1' })), false)
  t.equal(revocations.isRevoked(token({ tokenId: 'run 2' })), true)
})

t.test('refresh() is undefined while nothing changed, also after our own commits', async t => {
  const { follower, revocations, file } = await createWorld(t, { file: databaseIn(t) })
  t.equal(follower.refresh(), undefined)
  await revokeToken(revocations, 't', 5)
  t.equal(follower.refresh(), undefined)
  const other = await createWorld(t, { file })
  await revokeToken(other.revocations, 'theirs', 5)
  const refreshing = follower.refresh()
  t.type(refreshing, Promise)
  await refreshing
  t.equal(revocations.isRevoked(token({ tokenId: 'theirs' })), true)
  t.equal(follower.refresh(), undefined)
})

t.test('every kind of rule crosses over to another process, and is there after a restart', async t => {
  const file = databaseIn(t)
  const first = await createWorld(t, { file })
  const second = await createWorld(t, { file })
  await first.revocations.write([], async ({ revoke }) => {
    await revoke.token('t1', null, first.clock.now() + TTL)
    await revoke.sessions(['s1'])
    await revoke.user('u1')
  })
  await second.follower.refresh()
  const restarted = await createWorld(t, { file })
  for (const { revocations } of [first, second, restarted]) {
    t.equal(revocations.size, 3)
    t.equal(revocations.isRevoked(token({ tokenId: 't1' })), true)
    t.equal(revocations.isRevoked(token({ sessionId: 's1', issuedAt: Number.MAX_SAFE_INTEGER })), true)
    t.equal(revocations.isRevoked(token({ userId: 'u1', issuedAt: first.wall() })), true)
    t.equal(revocations.isRevoked(token({ userId: 'u1', issuedAt: first.wall() + 1 })), false)
    t.equal(revocations.isRevoked(token()), false)
  }
})

t.test('a thousand times two and more are loaded, at boot and later', async t => {
  const file = databaseIn(t)
  const first = await createWorld(t, { file })
  const second = await createWorld(t, { file })
  const ids = Array.from({ length: 2_001 }, (_, i) => `s${i}`)
  await first.revocations.write([], ({ revoke }) => revoke.sessions(ids))
  await second.follower.refresh()
  t.equal(second.revocations.size, 2_001)
  const restarted = await createWorld(t, { file })
  t.equal(restarted.revocations.size, 2_001)
  t.equal(restarted.revocations.isRevoked(token({ sessionId: 's2000' })), true)
})

t.test('a load of many rules lets others go on between its steps, and who asked waits for all of them', async t => {
  const file = databaseIn(t)
  const first = await createWorld(t, { file })
  const second = await createWorld(t, { file })
  await first.revocations.write([], ({ revoke }) => revoke.sessions(Array.from({ length: 5_000 }, (_, i) => `s${i}`)))
  const sizes: number[] = []
  let isLoading = true
  function look (): void {
    sizes.push(second.revocations.size)
    if (isLoading) setImmediate(look)
  }
  setImmediate(look)
  await second.follower.refresh()
  isLoading = false
  t.equal(second.revocations.size, 5_000)
  t.ok(sizes.some(size => size > 0 && size < 5_000), `others saw ${sizes.join(', ')} rules`)
})

t.test('a change noticed while a load is under way is not missed', async t => {
  const file = databaseIn(t)
  const slow = createSlowStore(await openStore(t, file))
  const { follower, revocations } = await createWorld(t, { store: slow.store })
  const other = await createWorld(t, { file })

  const gate = createGate()
  slow.afterRead = gate.pass
  await revokeToken(other.revocations, 'first', 5)
  const one = follower.refresh()
  t.ok(one)
  t.ok(await isPending(one as Promise<void>), 'the first rows are read, and not taken in yet')

  // Committed after those rows were read: who asks now must not be answered from them alone.
  await revokeToken(other.revocations, 'second', 5)
  let seen: boolean | undefined
  const two = (follower.refresh() as Promise<void>).then(() => {
    seen = revocations.isRevoked(token({ tokenId: 'second' }))
  })
  const three = (follower.refresh() as Promise<void>).then(() => revocations.isRevoked(token({ tokenId: 'second' })))
  gate.open()
  await two
  t.equal(seen, true, 'the request that noticed it')
  t.equal(await three, true, 'the request behind it')
  await one
  t.equal(revocations.isRevoked(token({ tokenId: 'first' })), true)
  t.equal(follower.refresh(), undefined)
})

t.test('a hundred requests while others commit: each sees what was committed before it asked', async t => {
  const file = databaseIn(t)
  const slow = createSlowStore(await openStore(t, file))
  slow.afterRead = () => new Promise(resolve => setImmediate(resolve))
  const { follower, revocations } = await createWorld(t, { store: slow.store })
  const other = connectTo(t, file)
  const insert = other.prepare(
    "insert into latchkey_rules (kind, value, issued_before, expires_at) values ('token', ?, null, 1)"
  )
  const answers: Array<Promise<boolean>> = []
  for (let i = 0; i < 100; i++) {
    insert.run(`t${i}`)
    answers.push(Promise.resolve(follower.refresh()).then(() => revocations.isRevoked(token({ tokenId: `t${i}` }))))
    if (i % 3 === 0) await new Promise(resolve => setImmediate(resolve))
  }
  t.notOk((await Promise.all(answers)).includes(false))
})

t.test('a load that fails rejects for all who wait, and the next call tries again', async t => {
  const file = databaseIn(t)
  const slow = createSlowStore(await openStore(t, file))
  const { follower, revocations } = await createWorld(t, { store: slow.store })
  const other = await createWorld(t, { file })
  await revokeToken(other.revocations, 't', 5)
  const failure = new LatchkeyError('store_unavailable')
  slow.beforeRead = async () => { throw failure }
  await Promise.all(
    [follower.refresh(), follower.refresh()].map(waiting => t.rejects(waiting as Promise<void>, failure))
  )
  const again = follower.refresh()
  t.type(again, Promise, 'nothing new, but the old is still not known')
  await t.rejects(again as Promise<void>, failure)
  slow.beforeRead = async () => {}
  await follower.refresh()
  t.equal(revocations.isRevoked(token()), true)
  t.equal(follower.refresh(), undefined)
})

t.test('a load that fails in its second step takes in both when it is tried again', async t => {
  const file = databaseIn(t)
  const slow = createSlowStore(await openStore(t, file))
  const { follower, revocations } = await createWorld(t, { store: slow.store })
  const other = await createWorld(t, { file })
  await other.revocations.write([], ({ revoke }) => revoke.sessions(Array.from({ length: 1_500 }, (_, i) => `s${i}`)))
  const before = slow.reads
  slow.beforeRead = async () => { if (slow.reads === before + 2) throw new Error('gone') }
  await t.rejects(follower.refresh() as Promise<void>, { code: 'store_unavailable', cause: { message: 'gone' } })
  await follower.refresh()
  t.equal(revocations.size, 1_500)
})

t.test('refresh() throws where the store cannot tell whether something changed', async t => {
  const store = await openSqlite(databaseIn(t))
  const { follower } = await createWorld(t, { store })
  await store.close()
  t.throws(() => follower.refresh(), { code: 'store_unavailable' })
})

t.test(
  'with a clock that stands still, a user rule kills what was issued before it in this millisecond and nothing issued after',
  async t => {
    const { revocations, clock } = await createWorld(t)
    for (let round = 0; round < 5; round++) {
      const before = clock.now()
      await revocations.revokeUser('u')
      const after = clock.now()
      t.equal(revocations.isRevoked(token({ issuedAt: before })), true, `before, round ${round}`)
      t.equal(revocations.isRevoked(token({ issuedAt: after })), false, `after, round ${round}`)
      t.equal(revocations.isRevoked(token({ userId: 'somebody else', issuedAt: 0 })), false)
    }
  }
)

t.test('a user rule holds against a token that another process issued with a clock further on', async t => {
  // A wall clock that stepped back: the process that lived through it stands still at the later time, the new one
  // starts at what the store says. Whatever that is, an acknowledged revocation must kill every token issued before it.
  const file = databaseIn(t)
  const wall = createWall()
  const service = await createWorld(t, { file, wall })
  const user = await service.addUser()
  const { issuedAt } = await service.sessions.start(user)
  wall.move(-HOUR)
  const commandLine = await createWorld(t, { file, wall })
  await commandLine.users.setScopes(user.id, [])
  await service.follower.refresh()
  for (const { revocations } of [service, commandLine]) {
    t.equal(revocations.isRevoked(token({ userId: user.id, issuedAt })), true)
  }
})

t.test('a user rule holds after a restart with a clock that stepped back and no purge in between', async t => {
  const file = databaseIn(t)
  const wall = createWall()
  const before = await createWorld(t, { file, wall })
  const user = await before.addUser()
  const { issuedAt } = await before.sessions.start(user)
  await before.store.close()
  wall.move(-MINUTE)
  const after = await createWorld(t, { file, wall })
  await after.revocations.revokeUser(user.id)
  t.equal(after.revocations.isRevoked(token({ userId: user.id, issuedAt })), true)
})

t.test('revoking one token a thousand times writes one rule', async t => {
  const file = databaseIn(t)
  const { revocations, clock } = await createWorld(t, { file })
  for (let i = 0; i < 1_000; i++) await revokeToken(revocations, 't', clock.now() + TTL)
  t.equal(connectTo(t, file).prepare('select count(*) from latchkey_rules').pluck().get(), 1)
})

t.test('no sessions to revoke: nothing is written', async t => {
  const { revocations } = await createWorld(t)
  await revocations.write([], ({ revoke }) => revoke.sessions([]))
  t.equal(revocations.size, 0)
})

t.test('how long a rule is kept: a token until its exp, the others until the longest token is over, and each a day longer', async t => {
  const file = databaseIn(t)
  const { revocations, clock, wall } = await createWorld(t, { file })
  const start = clock.now()
  await revokeToken(revocations, 't', start + MINUTE)
  await revocations.write([], ({ revoke }) => revoke.sessions(['s']))
  await revocations.revokeUser('u')
  const left = connectTo(t, file).prepare('select kind from latchkey_rules order by seq').pluck()

  async function purgeAt (time: number): Promise<unknown[]> {
    wall.move(time - wall())
    while (await revocations.purge(wall()));
    return left.all()
  }
  t.same(await purgeAt(start + MINUTE + DAY), ['token', 'session', 'user'], 'a day after the token')
  t.equal(revocations.isRevoked(token()), true)
  t.same(await purgeAt(start + MINUTE + DAY + 1), ['session', 'user'], 'a millisecond later')
  t.same(await purgeAt(start + TTL + DAY), ['session', 'user'])
  t.equal(revocations.isRevoked(token({ issuedAt: start })), true)
  t.same(await purgeAt(start + TTL + DAY + 1), ['user'])
  t.same(await purgeAt(start + TTL + DAY + 2), [])
  await revocations.purge(wall())
  t.equal(revocations.size, 0, 'nor in the index')
})

t.test('rules are kept for the longest lifetime ever configured', async t => {
  const file = databaseIn(t)
  const wall = createWall()
  const long = await createWorld(t, { file, wall, accessTokenTtl: 30 * DAY })
  await long.store.close()
  const short = await createWorld(t, { file, wall, accessTokenTtl: TTL })
  await short.revocations.write([], ({ revoke }) => revoke.sessions(['s']))
  wall.move(29 * DAY)
  await short.revocations.purge(wall())
  const restarted = await createWorld(t, { file, wall, accessTokenTtl: TTL })
  t.equal(restarted.revocations.isRevoked(token({ issuedAt: wall() - 29 * DAY })), true)
})

t.test('a lifetime that another process lengthened meanwhile counts too', async t => {
  const file = databaseIn(t)
  const wall = createWall()
  const short = await createWorld(t, { file, wall, accessTokenTtl: TTL })
  // A rolling restart with a longer lifetime: the old process still runs, and ends a session of the new one.
  const long = await createWorld(t, { file, wall, accessTokenTtl: 30 * DAY })
  await short.revocations.write([], ({ revoke }) => revoke.sessions(['s']))
  wall.move(3 * DAY)
  await long.follower.refresh()
  while (await long.revocations.purge(wall()));
  const restarted = await createWorld(t, { file, wall, accessTokenTtl: 30 * DAY })
  t.equal(
    restarted.revocations.isRevoked(token({ issuedAt: wall() - 3 * DAY })),
    true,
    'the token lives 27 days yet, its session was ended'
  )
})

t.test('the purge goes in steps of a thousand, and being stopped between two loses nothing', async t => {
  const file = databaseIn(t)
  const wall = createWall()
  const first = await createWorld(t, { file, wall })
  const count = connectTo(t, file).prepare('select count(*) from latchkey_rules').pluck()
  const old = first.clock.now() + MINUTE
  await first.revocations.write([], async ({ revoke }) => {
    for (let i = 0; i < 2_500; i++) await revoke.token(`old${i}`, null, old)
  })
  wall.move(2 * DAY)
  await revokeToken(first.revocations, 'young', first.clock.now() + TTL)
  t.equal(await first.revocations.purge(wall()), true)
  t.equal(count.get(), 1_501)
  await first.store.close()

  const second = await createWorld(t, { file, wall })
  t.equal(second.revocations.size, 1_501)
  t.equal(await second.revocations.purge(wall()), true)
  t.equal(await second.revocations.purge(wall()), false)
  t.equal(count.get(), 1)
  t.equal(second.revocations.isRevoked(token({ tokenId: 'young' })), true)
  t.equal(await second.revocations.purge(wall()), false, 'and again')
  t.equal(count.get(), 1)
})

t.test('a purge that fails says so, forgets nothing that matters and works later', async t => {
  const file = databaseIn(t)
  const wall = createWall()
  const { store, connection } = await openCaptured(t, file, wall)
  const { revocations, clock } = await createWorld(t, { store, wall })
  await revokeToken(revocations, 't', clock.now() + DAY)
  await revokeToken(revocations, 'old', clock.now())
  wall.move(DAY + HOUR)
  connection.pragma('query_only = 1')
  await t.rejects(revocations.purge(wall()), { code: 'store_unavailable' })
  t.equal(revocations.isRevoked(token()), true)
  connection.pragma('query_only = 0')
  t.equal(await revocations.purge(wall()), false)
  t.equal(connectTo(t, file).prepare('select count(*) from latchkey_rules').pluck().get(), 1)
})

t.test('another process that purges does not bring a token back here', async t => {
  const file = databaseIn(t)
  const wall = createWall()
  const first = await createWorld(t, { file, wall })
  const second = await createWorld(t, { file, wall })
  await revokeToken(first.revocations, 't', first.clock.now())
  await second.follower.refresh()
  wall.move(2 * DAY)
  await first.revocations.purge(wall())
  await second.follower.refresh()
  t.equal(second.revocations.isRevoked(token()), true)
  await second.revocations.purge(wall())
  t.equal(second.revocations.size, 0)
})

t.test('a token whose rule was purged stays dead in a process that never saw the rule, after the clock is set back', async t => {
  const file = databaseIn(t)
  const wall = createWall()
  const one = await createWorld(t, { file, wall })
  const two = await createWorld(t, { file, wall })
  const expiresAt = wall() + MINUTE
  await revokeToken(one.revocations, 't', expiresAt)
  wall.move(2 * DAY)
  await one.revocations.purge(wall())
  wall.move(-2 * DAY)
  await two.follower.refresh()
  t.equal(two.revocations.isRevoked(token()), false, 'the rule is gone')
  t.ok(expiresAt <= two.revocations.horizon(), 'and the token is beyond the horizon')
})

t.test('a clock that is set back after a purge and a restart brings no revoked token back', async t => {
  const file = databaseIn(t)
  const wall = createWall()
  const first = await createWorld(t, { file, wall })
  const expiresAt = first.clock.now() + TTL
  await revokeToken(first.revocations, 't', expiresAt)
  wall.move(TTL + DAY + SECOND)
  await first.revocations.purge(wall())
  t.equal(first.revocations.size, 0, 'the rule is forgotten')
  wall.move(-2 * DAY)
  t.equal(first.clock.now(), wall(), 'time is set back too')
  t.ok(expiresAt <= first.revocations.horizon(), 'in the same process')
  await first.store.close()
  const second = await createWorld(t, { file, wall })
  t.ok(expiresAt <= second.revocations.horizon(), 'in the next one')
  await second.revocations.purge(wall())
  t.ok(expiresAt <= second.revocations.horizon(), 'and a purge with the wrong clock does not lower the horizon')
})

t.test('while a process sees the wrong time, it forgets no rule', async t => {
  const file = databaseIn(t)
  const wall = createWall()
  const { revocations } = await createWorld(t, { file, wall })
  await revokeToken(revocations, 't', wall() + TTL)
  wall.move(400 * DAY)
  await revocations.sweep()
  wall.move(-400 * DAY)
  t.equal(revocations.isRevoked(token()), true)
})

t.test('tokens of a user are clear if they are dated at or after the latest rule', async t => {
  const { revocations, wall } = await createWorld(t)
  const holder = { userId: 'u', clientId: 'c' }
  t.equal(revocations.clearFrom(holder), 0)
  await revocations.revokeUser('u')
  const clearFrom = revocations.clearFrom(holder)
  t.equal(clearFrom, wall() + 1)
  t.equal(revocations.isRevoked(token({ userId: 'u', issuedAt: clearFrom - 1 })), true)
  t.equal(revocations.isRevoked(token({ userId: 'u', issuedAt: clearFrom })), false)
  await revocations.write([], ({ revoke }) => revoke.client('c'))
  t.ok(revocations.clearFrom(holder) > clearFrom, 'or of the latest rule of the client')
})

t.test('opening on a store that cannot answer rejects', async t => {
  const store = await openSqlite(databaseIn(t))
  await store.close()
  const clock = createStoreClock(store.now)
  const ledger = createLedger({ store, clock, events: createEvents() })
  await t.rejects(openRevocations({ store, ledger, follower: createFollower(store), accessTokenTtl: TTL }))
})

t.test('two processes revoke in turn, for real: neither misses one of the other\'s', async t => {
  const file = databaseIn(t)
  const { follower, revocations, clock } = await createWorld(t, { file })
  const script = `
    const { openSqlite } = await import(${libUrl('store/sqlite/open.js')})
    const { openRevocations } = await import(${libUrl('revocation/revocations.js')})
    const { createStoreClock } = await import(${libUrl('time/clock.js')})
    const { createLedger } = await import(${libUrl('ledger/ledger.js')})
    const { createFollower } = await import(${libUrl('store/change-follower.js')})
    const { createEvents } = await import(${libUrl('ledger/events.js')})
    const { createInterface } = await import('node:readline')
    const store = await openSqlite(${JSON.stringify(file)})
    const clock = createStoreClock(store.now)
    const ledger = createLedger({ store, clock, events: createEvents() })
    const follower = createFollower(store)
    const revocations = await openRevocations({ store, ledger, follower, accessTokenTtl: 900000 })
    const end = id => revocations.write([], ({ revoke }) => revoke.token(id, null, Date.now() + 900000))
    const seen = id => revocations.isRevoked({ tokenId: id, sessionId: '', userId: '', clientId: '', issuedAt: 0 })
    process.stdout.write('ready\\n')
    for await (const line of createInterface({ input: process.stdin })) {
      await follower.refresh()
      const saw = seen('parent' + line)
      await end('child' + line)
      process.stdout.write(saw + '\\n')
    }`
  const { child, result } = startScript(t, script)
  t.equal(String((await once(child.stdout ?? child, 'data'))[0]), 'ready\n')
  for (let i = 0; i < 30; i++) {
    await revokeToken(revocations, `parent${i}`, clock.now() + TTL)
    child.stdin?.write(`${i}\n`)
    const [answer] = await once(child.stdout ?? child, 'data')
    await follower.refresh()
    if (String(answer) !== 'true\n' || !revocations.isRevoked(token({ tokenId: `child${i}` }))) {
      t.fail(`round ${i}: ${String(answer)}`)
    }
  }
  child.stdin?.end()
  t.match(await result, { code: 0, stderr: '' })
})

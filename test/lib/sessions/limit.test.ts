import t from 'tap'
import type { Test } from 'tap'
import type { Grant } from '../../../lib/sessions/issued.js'
import { ENDING_STEP } from '../../../lib/revocation/session-ending.js'
import type { User } from '../../../schemas/host.js'
import { MAX_SESSIONS } from '../../../schemas/sessions.js'
import { createWorld, DAY, MINUTE, PASSWORD, SECOND } from '../support.js'
import type { World, WorldOptions } from '../support.js'

async function begin (t: Test, options: WorldOptions): Promise<{ world: World, user: User }> {
  const world = await createWorld(t, options)
  return { world, user: await world.addUser() }
}

async function idsOf ({ sessions }: World, user: User): Promise<string[]> {
  return (await sessions.list(user.id)).map(({ id }) => id)
}

/** Begins this many sessions, each a second after the previous one. */
async function startMany (world: World, user: User, count: number): Promise<Grant[]> {
  const grants: Grant[] = []
  for (let turn = 0; turn < count; turn++) {
    world.wall.move(SECOND)
    grants.push(await world.sessions.start(user))
  }
  return grants
}

async function kinds ({ store }: World): Promise<string[]> {
  const rules = await store.read(db => db.selectFrom('latchkey_rules').select('kind').orderBy('seq').execute())
  return rules.map(({ kind }) => kind)
}

function isDead ({ revocations }: World, { sessionId, user, clientId, issuedAt }: Grant): boolean {
  return revocations.isRevoked({ tokenId: 'any', sessionId, userId: user.id, clientId, issuedAt })
}

interface Entry { session_id: string | null, details: string, actor_kind: string }

async function eventsOf ({ store }: World, type: string): Promise<Entry[]> {
  return await store.read(db => db.selectFrom('latchkey_events').select(['session_id', 'details', 'actor_kind'])
    .where('type', '=', type).orderBy('seq').execute())
}

t.test('one session too many ends the least recently used one, with its tokens and an entry in the trail', async t => {
  const { world, user } = await begin(t, { maxSessions: 3 })
  const [first, second, third] = await startMany(world, user, 3) as [Grant, Grant, Grant]
  t.strictSame(await idsOf(world, user), [third, second, first].map(({ sessionId }) => sessionId))
  world.wall.move(SECOND)
  await world.sessions.refresh(first.refreshToken)
  const [fourth] = await startMany(world, user, 1) as [Grant]
  t.strictSame(await idsOf(world, user), [fourth, first, third].map(({ sessionId }) => sessionId))
  t.equal(isDead(world, second), true)
  t.strictSame([first, third, fourth].map(grant => isDead(world, grant)), [false, false, false])
  await t.rejects(world.sessions.refresh(second.refreshToken), { code: 'invalid_refresh_token' })
  t.strictSame(await eventsOf(world, 'session_ended'), [
    { session_id: second.sessionId, details: '{"reason":"too_many_sessions"}', actor_kind: 'system' }
  ])
})

t.test('other users keep their sessions', async t => {
  const { world, user } = await begin(t, { maxSessions: 1 })
  const bob = await world.addUser('bob')
  const [bobs] = await startMany(world, bob, 1) as [Grant]
  await startMany(world, user, 3)
  t.strictSame(await idsOf(world, bob), [bobs.sessionId])
  t.equal((await idsOf(world, user)).length, 1)
})

t.test('logins at the same moment do not exceed the limit', async t => {
  const { world, user } = await begin(t, { maxSessions: 5 })
  await Promise.all(Array.from({ length: 20 }, () => world.sessions.start(user)))
  t.equal((await idsOf(world, user)).length, 5)
})

t.test('the limit applies to the accounts of the host too', async t => {
  const user = { id: 'u1', username: 'hers', scopes: ['items:read'] }
  const directory = { authenticate: async () => user, find: async () => user }
  const world = await createWorld(t, { maxSessions: 2, directory })
  await startMany(world, user, 4)
  t.equal((await idsOf(world, user)).length, 2)
})

t.test('a login that is refused ends no session', async t => {
  const { world, user } = await begin(t, { maxSessions: 1 })
  const [grant] = await startMany(world, user, 1) as [Grant]
  await t.rejects(world.sessions.start({ ...user, passwordChangedAt: 1 }), { code: 'invalid_credentials' })
  t.strictSame(await idsOf(world, user), [grant.sessionId])
})

t.test('an account with more sessions than one step ends keeps the most recently used ones', async t => {
  const options = { maxSessions: 1_000 }
  const { world, user } = await begin(t, options)
  const grants = await startMany(world, user, 3 * ENDING_STEP)
  world.wall.move(SECOND)
  await world.sessions.refresh(grants[0]?.refreshToken ?? '')
  // The limit was lowered.
  const narrower = await createWorld(t, { maxSessions: 10, store: world.store, wall: world.wall })
  const last = await narrower.sessions.start(user)
  const kept = [last, grants[0], ...grants.slice(-8).reverse()].map(grant => grant?.sessionId)
  t.strictSame(await idsOf(narrower, user), kept)
  t.equal(isDead(narrower, last), false)
  t.ok(grants.slice(1, -8).every(grant => isDead(narrower, grant)), 'no ended session has a live token')
  t.strictSame([last, grants[0], ...grants.slice(-8)].map(
    grant => isDead(world, grant as Grant)
  ), Array(10).fill(false),
  'the tokens of the kept sessions live')
  t.strictSame([...new Set(await kinds(world))], ['session'])
  const [ended] = await eventsOf(world, 'sessions_ended')
  t.strictSame(JSON.parse(ended?.details ?? ''), { sessions: 3 * ENDING_STEP - 9, reason: 'too_many_sessions' })
})

t.test('a list that cannot hold all sessions has the current one', async t => {
  const { world, user } = await begin(t, { maxSessions: 1_000 })
  const ids = (await startMany(world, user, MAX_SESSIONS + 20)).map(({ sessionId }) => sessionId)
  const bob = await world.addUser('bob')
  const [bobs] = await startMany(world, bob, 1) as [Grant]
  for (const current of [...ids.slice(0, 5), ...ids.slice(-5)]) {
    const listed = (await world.sessions.list(user.id, current)).map(({ id }) => id)
    t.equal(listed.length, MAX_SESSIONS)
    t.equal(new Set(listed).size, MAX_SESSIONS)
    t.ok(listed.includes(current))
  }
  for (const foreign of [bobs.sessionId, 'none']) {
    t.notOk((await world.sessions.list(user.id, foreign)).some(({ id }) => id === foreign), "somebody else's is not")
  }
})

t.test('ending the others writes one rule, and the tokens of the kept session live', async t => {
  const { world, user } = await begin(t, { maxSessions: 1_000 })
  const others = await startMany(world, user, ENDING_STEP + 20)
  const [kept] = await startMany(world, user, 1) as [Grant]
  world.wall.move(SECOND)
  const next = await world.sessions.refresh(kept.refreshToken)
  t.equal(await world.sessions.endOthers(user.id, kept.sessionId), ENDING_STEP + 20)
  t.strictSame(await kinds(world), ['user'])
  t.strictSame([kept, next].map(grant => isDead(world, grant)), [false, false])
  t.ok(others.every(grant => isDead(world, grant)))
})

t.test('sessions that were used since the kept one began need a rule each', async t => {
  const { world, user } = await begin(t, {})
  const [older, oldest, used] = await startMany(world, user, 3) as [Grant, Grant, Grant]
  const [kept, newer] = await startMany(world, user, 2) as [Grant, Grant]
  const refreshed = await world.sessions.refresh(used.refreshToken)
  world.wall.move(SECOND)
  const retried = await world.sessions.refresh(used.refreshToken)
  await world.sessions.endOthers(user.id, kept.sessionId)
  t.strictSame((await kinds(world)).sort(), ['session', 'session', 'user'])
  for (const grant of [older, oldest, used, newer, refreshed, retried]) t.equal(isDead(world, grant), true)
  t.equal(isDead(world, kept), false)
})

t.test('a retry counts as use, so its token dies with the others', async t => {
  const { world, user } = await begin(t, {})
  const [first, second] = await startMany(world, user, 2) as [Grant, Grant]
  await world.sessions.refresh(first.refreshToken)
  const [kept] = await startMany(world, user, 1) as [Grant]
  world.wall.move(SECOND)
  const retried = await world.sessions.refresh(first.refreshToken)
  await world.sessions.endOthers(user.id, kept.sessionId)
  t.strictSame([first, second, retried, kept].map(grant => isDead(world, grant)), [true, true, true, false])
})

t.test('a session whose tokens expired before the horizon needs no rule', async t => {
  const { world, user } = await begin(t, {})
  await startMany(world, user, 5)
  world.wall.move(DAY + 15 * MINUTE + SECOND)
  const [kept] = await startMany(world, user, 1) as [Grant]
  await world.revocations.purge(world.wall())
  t.equal(await world.sessions.endOthers(user.id, kept.sessionId), 5)
  t.strictSame(await kinds(world), [])
})

t.test('a session that ends while the clock is ahead stays ended', async t => {
  const { world, user } = await begin(t, {})
  const grants = await startMany(world, user, 2)
  world.wall.move(2 * DAY)
  const [kept] = await startMany(world, user, 1) as [Grant]
  await world.sessions.endOthers(user.id, kept.sessionId)
  world.wall.move(-2 * DAY)
  t.ok(grants.every(grant => isDead(world, grant)))
})

t.test('the rule of a session outlives a token that was issued while the clock was ahead', async t => {
  const { world, user } = await begin(t, {})
  world.wall.move(400 * DAY)
  const [grant] = await startMany(world, user, 1) as [Grant]
  world.wall.move(-400 * DAY)
  await world.sessions.end(user.id, grant.sessionId)
  world.wall.move(2 * DAY)
  while (await world.revocations.purge(world.wall()));
  while (await world.sessions.purge(100, world.wall()));
  t.ok(isDead(world, grant))
  t.strictSame(await kinds(world), ['session'])
})

t.test('a session is kept until a token that was issued while the clock was ahead has expired', async t => {
  const { world, user } = await begin(t, {})
  const [grant] = await startMany(world, user, 1) as [Grant]
  world.wall.move(20 * DAY)
  const { refreshToken } = await world.sessions.refresh(grant.refreshToken)
  world.wall.move(-20 * DAY)
  const ahead = await world.sessions.refresh(refreshToken)
  world.wall.move(DAY)
  while (await world.sessions.purge(100, world.wall() + 30 * DAY));
  await world.sessions.endAll(user.id)
  t.ok(isDead(world, ahead))
})

t.test("with the host's accounts, the first token of the kept session lives", async t => {
  const user = { id: 'u1', username: 'hers', scopes: ['items:read'] }
  const world = await createWorld(t, { directory: { authenticate: async () => user, find: async () => user } })
  await startMany(world, user, 3)
  // Its date is the moment before the host was asked.
  const askedAt = world.clock.now() + 1
  world.wall.move(SECOND)
  const kept = await world.sessions.start(user, { askedAt })
  await world.sessions.endOthers(user.id, kept.sessionId)
  t.equal(isDead(world, kept), false)
  t.strictSame(await kinds(world), ['user'])
})

t.test('ending all in several steps writes a rule in the first and in the last', async t => {
  const { world, user } = await begin(t, { maxSessions: 1_000 })
  const grants = await startMany(world, user, 2 * ENDING_STEP + 1)
  t.equal(await world.sessions.endAll(user.id), grants.length)
  t.strictSame(await kinds(world), ['user', 'user'])
  t.ok(grants.every(grant => isDead(world, grant)))
  t.match(await eventsOf(world, 'sessions_ended'), [{ details: `{"sessions":${grants.length}}` }])
})

t.test('a step that fails leaves the rest as it was, and a second call finishes it', async t => {
  const { world, user } = await begin(t, { maxSessions: 1_000 })
  await startMany(world, user, ENDING_STEP + 1)
  const { transaction } = world.store
  let left = 1
  world.store.transaction = async work => {
    if (left-- === 0) throw new Error('the disk is full')
    return await transaction(work)
  }
  const password = 'seven green lamps upstairs'
  await t.rejects(world.users.setPassword(user.id, password), /the disk is full/)
  world.store.transaction = transaction
  t.not(await world.users.authenticate(user.username, PASSWORD), null, 'the password is the old one')
  t.equal((await idsOf(world, user)).length, 1)
  await world.users.setPassword(user.id, password)
  t.strictSame(await idsOf(world, user), [])
})

t.test('an administrator with many sessions can disable and remove their own account', async t => {
  const { world } = await begin(t, { maxSessions: 1_000 })
  await world.addUser('another', ['users:write'])
  for (const act of ['disable', 'remove'] as const) {
    const root = await world.addUser(`root to ${act}`, ['users:write'])
    const [own] = await startMany(world, root, 2 * ENDING_STEP) as [Grant]
    const by = { kind: 'user', id: root.id, address: null, scopes: ['users:write'], sessionId: own.sessionId } as const
    await world.users[act](root.id, by)
    t.strictSame(await idsOf(world, root), [], act)
  }
})

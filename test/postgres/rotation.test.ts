import pg from 'pg'
import t from 'tap'
import type { Test } from 'tap'
import { exclusive, ruling } from '../../lib/store/lock.js'
import type { RotatedSession, Rotation } from '../../lib/store/rotation.js'
import type { Store } from '../../lib/store/store.js'
import { createWorld, DAY, isPending, partsOf, SECOND } from '../lib/support.js'
import type { World } from '../lib/support.js'
import { makeDatabase } from './nodes.js'

// The refresh in one statement: what it decides on, and what it waits for.

t.jobs = 4
t.setTimeout(120_000)

interface Bench {
  world: World
  /** The rotation of the current refresh token. */
  rotation: Rotation
  userId: string
  sessionId: string
  other: pg.Client
  rotate (changes?: Partial<Rotation>): Promise<RotatedSession | undefined>
  generation (): Promise<number | undefined>
}

async function build (t: Test): Promise<Bench> {
  const database = await makeDatabase()
  const world = await createWorld(t, { file: database })
  const other = new pg.Client(database)
  await other.connect()
  t.teardown(() => other.end())
  const user = await world.addUser()
  const { refreshToken, sessionId } = await world.sessions.start(user)
  const { rows: [row] } = await other.query<{ nonce: string }>('select nonce from latchkey_sessions')
  const rotation: Rotation = {
    sessionId,
    nonce: row?.nonce ?? '',
    generation: partsOf(refreshToken).generation,
    clientId: 'latchkey',
    refreshIdleTtl: 30 * DAY,
    needsStatus: false,
    account: { isBuiltIn: true }
  }
  return {
    world,
    rotation,
    userId: user.id,
    sessionId,
    other,
    rotate: changes => (world.store.rotate as NonNullable<Store['rotate']>)({ ...rotation, ...changes }),
    async generation () {
      const { rows: [session] } = await other.query<{ generation: string }>('select generation from latchkey_sessions')
      return session === undefined ? undefined : Number(session.generation)
    }
  }
}

await makeDatabase()

t.test('it rotates, and returns the session, its account and the time', async t => {
  const { world, rotate, sessionId, userId } = await build(t)
  world.wall.move(SECOND)
  const rotated = await rotate()
  t.match(rotated, {
    session: { id: sessionId, user_id: userId, generation: 2, ended_at: null },
    account: { id: userId, username: 'alice', scope: 'admin items:read' },
    now: world.wall()
  })
  const { session } = rotated as RotatedSession
  t.equal(session.rotated_at, world.wall())
  t.equal(session.last_used_at, world.wall())
  t.equal(session.idle_expires_at, world.wall() + 30 * DAY)
  const longer = await rotate({ generation: 2, refreshIdleTtl: 1_000 * DAY })
  t.equal(longer?.session.idle_expires_at, session.expires_at)
})

t.test('if any condition does not hold, it changes nothing', async t => {
  const { world, rotate, generation, other, userId } = await build(t)
  const table: Array<[name: string, changes: Partial<Rotation>]> = [
    ['another session', { sessionId: '01a22e95-8c4c-737d-8428-aa3d6d73c934' }],
    ['another nonce', { nonce: 'A'.repeat(24) }],
    ['an older generation', { generation: 0 }],
    ['a later generation', { generation: 2 }],
    ['another client', { clientId: 'lkc_x' }],
    ['a place in a status list that it lacks', { needsStatus: true }],
    ['other scopes of the account', { account: { isBuiltIn: true, grants: { scope: 'admin', roles: '' } } }],
    ['other roles of the account', { account: { isBuiltIn: true, grants: { scope: 'admin items:read', roles: 'editor' } } }]
  ]
  for (const [name, changes] of table) {
    t.equal(await rotate(changes), undefined, name)
    t.equal(await generation(), 1, name)
  }
  t.ok(await rotate({ account: { isBuiltIn: true, grants: { scope: 'admin items:read', roles: '' } } }), 'the scopes that it has')

  await other.query('update latchkey_users set disabled_at = 1')
  t.equal(await rotate({ generation: 2 }), undefined, 'a disabled account')
  t.ok(await rotate({ generation: 2, account: { isBuiltIn: false, userId } }), 'which does not count if the host keeps the users')
  await other.query('update latchkey_users set disabled_at = null')
  await other.query('update latchkey_sessions set ended_at = 1')
  t.equal(await rotate({ generation: 3 }), undefined, 'an ended session')
  await other.query('update latchkey_sessions set ended_at = null')
  world.wall.move(30 * DAY - 1)
  t.ok(await rotate({ generation: 3 }), 'a millisecond before it expires')
  world.wall.move(30 * DAY)
  t.equal(await rotate({ generation: 4 }), undefined, 'an idle session')
  await other.query('delete from latchkey_users')
  t.equal(await rotate({ generation: 4 }), undefined, 'an account that was removed')
  t.equal(await generation(), 4)
})

t.test('of many rotations at the same moment, one succeeds', async t => {
  const { rotate, generation } = await build(t)
  const rotated = await Promise.all(Array.from({ length: 40 }, () => rotate()))
  t.equal(rotated.filter(result => result !== undefined).length, 1)
  t.equal(await generation(), 2)
})

t.test('it waits for a change of the account or of the session, and uses the committed row', async t => {
  const { world, rotate, generation, other, userId, sessionId } = await build(t)
  async function during (sql: string, end: 'commit' | 'rollback', changes: Partial<Rotation>): Promise<RotatedSession | undefined> {
    await other.query(`begin; ${sql}`)
    const rotating = rotate(changes)
    await new Promise(resolve => setTimeout(resolve, 50))
    t.ok(await isPending(rotating), sql)
    await other.query(end)
    return await rotating
  }
  const scopes = "update latchkey_users set scope = 'items:read'"
  t.match(await during(scopes, 'commit', {}), { account: { scope: 'items:read' } }, 'never the old scopes')
  t.ok(await during('update latchkey_users set disabled_at = 1', 'rollback', { generation: 2 }))
  t.equal(await during('update latchkey_users set disabled_at = 1', 'commit', { generation: 3 }), undefined)
  await other.query('update latchkey_users set disabled_at = null')
  t.ok(await during('delete from latchkey_sessions', 'rollback', { generation: 3 }))
  t.equal(await during('update latchkey_sessions set ended_at = 1', 'commit', { generation: 4 }), undefined)
  await other.query('update latchkey_sessions set ended_at = null')
  t.equal(await during('update latchkey_sessions set generation = 7', 'commit', { generation: 4 }), undefined)
  t.equal(await generation(), 7)

  const isBuiltIn = { generation: 7 }
  const isOfHost = { generation: 8, account: { isBuiltIn: false, userId } } as const
  for (const changes of [isBuiltIn, isOfHost]) {
    let finish = (): void => {}
    const finished = new Promise<void>(resolve => { finish = resolve })
    const writing = world.store.transaction(async () => await finished, ruling(userId))
    await new Promise(resolve => setTimeout(resolve, 50))
    const rotating = rotate(changes)
    await new Promise(resolve => setTimeout(resolve, 50))
    t.ok(await isPending(rotating), 'it waits for a transaction that writes a rule for the user')
    finish()
    await writing
    t.ok(await rotating)
  }
  let finish = (): void => {}
  const finished = new Promise<void>(resolve => { finish = resolve })
  const writing = world.store.transaction(async () => await finished, [exclusive('user', 'another')])
  t.ok(await rotate({ generation: 9 }), 'but not for other users')
  finish()
  await writing
  t.equal(sessionId.length, 36)
})

t.test('a rule kills the token of an earlier refresh, and not that of a later one', async t => {
  const { world, userId } = await build(t)
  for (let round = 0; round < 20; round++) {
    const user = await world.users.find(userId)
    const grant = await world.sessions.start(user as NonNullable<typeof user>)
    const [refreshed] = await Promise.all([
      world.sessions.refresh(grant.refreshToken).catch(() => undefined), world.sessions.endAll(userId)
    ])
    for (const { sessionId, issuedAt, clientId } of [grant, ...refreshed === undefined ? [] : [refreshed]]) {
      const isDead = world.revocations.isRevoked({ tokenId: '', sessionId, userId, clientId, issuedAt })
      if (!isDead) t.fail(`round ${round}: a token outlived the end of all sessions`)
    }
  }
})

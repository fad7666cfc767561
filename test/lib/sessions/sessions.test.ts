import t from 'tap'
import type { Test } from 'tap'
import { formatRefreshToken } from '../../../lib/sessions/refresh-token.js'
import type { Grant } from '../../../lib/sessions/issued.js'
import type { User } from '../../../schemas/host.js'
import { MAX_SESSIONS } from '../../../schemas/sessions.js'
import {
  connectTo, createGate, createRandom, createWall, createWorld, databaseIn, DAY, HOUR, isPending, MINUTE, PASSWORD,
  partsOf, REFRESH_KEY, SECOND
} from '../support.js'
import type { World, WorldOptions } from '../support.js'

const REFUSED = { name: 'LatchkeyError', code: 'invalid_refresh_token', statusCode: 401 }
const STOLEN = { name: 'LatchkeyError', code: 'session_stolen', statusCode: 401 }

async function begin (t: Test, options: WorldOptions = {}): Promise<{ world: World, user: User, grant: Grant }> {
  const world = await createWorld(t, options)
  const user = await world.addUser()
  return { world, user, grant: await world.sessions.start(user) }
}

function generationOf (token: string): number | undefined {
  return partsOf(token).generation
}

function isDead (world: World, grant: Grant): boolean {
  return world.revocations.isRevoked({
    tokenId: 'any',
    sessionId: grant.sessionId,
    userId: grant.user.id,
    clientId: grant.clientId,
    issuedAt: grant.issuedAt
  })
}

/** A guard accepts an access token of the grant. */
function use (world: World, { sessionId, session }: Grant): void {
  world.seen.note({ sessionId, generation: session?.generation ?? 0 })
}

t.test('a session as it begins', async t => {
  const { world, user, grant } = await begin(t)
  t.match(
    grant,
    {
      sessionId: String,
      clientId: 'latchkey',
      scopes: ['admin', 'items:read'],
      issuedAt: world.wall(),
      refreshExpiresAt: world.wall() + 30 * DAY
    }
  )
  t.match(grant.user, { id: user.id, username: 'alice' })
  t.equal(generationOf(grant.refreshToken), 1)
  t.equal(isDead(world, grant), false)
  t.same(
    await world.sessions.identify(grant.refreshToken),
    { sessionId: grant.sessionId, userId: user.id, clientId: 'latchkey', live: true }
  )
})

t.test('the rules of a refresh, as a table', async t => {
  // What is done before (r: refresh with the current token), which generation is then presented after how long, what
  // happens.
  const table: Array<[
    name: string, rotations: number, wait: number, presented: number, outcome: number | 'reuse' | 'refused',
    isUnseen?: 'unseen'
  ]> = [
    ['current, at once', 0, 0, 1, 2],
    ['current, after a while', 0, 29 * DAY, 1, 2],
    ['current, after rotations', 5, HOUR, 6, 7],
    ['predecessor, at once', 1, 0, 1, 2],
    ['predecessor, a millisecond before the grace is over', 1, 10 * SECOND - 1, 1, 2],
    ['predecessor, when the grace is over', 1, 10 * SECOND, 1, 'reuse'],
    ['predecessor, long after', 1, DAY, 1, 'reuse'],
    ['predecessor of an unseen one, when the grace is over', 1, 10 * SECOND, 1, 2, 'unseen'],
    ['predecessor of an unseen one, weeks later', 1, 29 * DAY, 1, 2, 'unseen'],
    ['predecessor of an unseen one, idle for too long', 1, 30 * DAY, 1, 'refused', 'unseen'],
    ['grandparent of an unseen one', 2, 0, 1, 'reuse', 'unseen'],
    ['predecessor of a later one, within the grace', 4, SECOND, 4, 5],
    ['grandparent, at once', 2, 0, 1, 'reuse'],
    ['the first of many', 6, 0, 1, 'reuse'],
    ['a generation that is to come', 0, 0, 2, 'reuse'],
    ['far ahead', 0, 0, 2 ** 40, 'reuse'],
    ['idle for too long', 1, 30 * DAY, 2, 'refused'],
    ['a millisecond before it is idle for too long', 1, 30 * DAY - 1, 2, 3]
  ]
  for (const [name, rotations, wait, presented, outcome, isUnseen] of table) {
    await t.test(name, async t => {
      const { world, user, grant } = await begin(t)
      const other = await world.sessions.start(user)
      let current = grant
      for (let i = 0; i < rotations; i++) current = await world.sessions.refresh(current.refreshToken)
      if (isUnseen === undefined) use(world, current)
      world.wall.move(wait)
      const { nonce } = await world.store.read(
        db => db.selectFrom('latchkey_sessions').select('nonce').where('id', '=', grant.sessionId).executeTakeFirstOrThrow()
      )
      const refreshing = world.sessions.refresh(formatRefreshToken({
        key: REFRESH_KEY, nonce, sessionId: grant.sessionId, generation: presented
      }))
      if (typeof outcome === 'number') {
        t.equal(generationOf((await refreshing).refreshToken), outcome)
        t.equal(isDead(world, grant), false)
        t.same(world.reuses, [])
        return
      }
      const refusal = outcome === 'reuse' ? STOLEN : REFUSED
      await t.rejects(refreshing, refusal)
      t.equal(isDead(world, grant), outcome === 'reuse', 'its access tokens')
      t.match(
        world.reuses,
        outcome === 'reuse'
          ? [
              { type: 'refresh_token_reuse', outcome: 'failure', sessionId: grant.sessionId, subject: user.id }
            ]
          : []
      )
      t.equal(world.reuses.length, outcome === 'reuse' ? 1 : 0)
      await t.rejects(world.sessions.refresh(current.refreshToken), refusal, 'the current token')
      t.equal(isDead(world, other), false, 'the other session')
      if (wait < 30 * DAY) t.equal(generationOf((await world.sessions.refresh(other.refreshToken)).refreshToken), 2)
      t.equal(world.reuses.length, outcome === 'reuse' ? 1 : 0, 'a dead session warns once')
    })
  }
})

t.test('the end of a reuse is durable, with its rule, in one transaction', async t => {
  const file = databaseIn(t)
  const { world, grant } = await begin(t, { file })
  const other = connectTo(t, file)
  const second = await world.sessions.refresh(grant.refreshToken)
  await world.sessions.refresh(second.refreshToken)
  await t.rejects(world.sessions.refresh(grant.refreshToken), STOLEN)
  t.same(other.prepare('select ended_at is null as live from latchkey_sessions').all(), [{ live: 0 }])
  t.same(other.prepare('select kind, value from latchkey_rules').all(), [{ kind: 'session', value: grant.sessionId }])
})

t.test('fifty at once with one token: one generation moves, all get the same successor', async t => {
  const { world, grant } = await begin(t, { file: databaseIn(t) })
  const grants = await Promise.all(Array.from({ length: 50 }, () => world.sessions.refresh(grant.refreshToken)))
  t.equal(new Set(grants.map(({ refreshToken }) => refreshToken)).size, 1)
  t.equal(generationOf(grants[0]?.refreshToken ?? ''), 2)
  t.same(world.reuses, [])
})

t.test('fifty at once over two processes\' connections, with one token', async t => {
  const file = databaseIn(t)
  const wall = createWall()
  const { world, grant } = await begin(t, { file, wall })
  const second = await createWorld(t, { file, wall })
  const grants = await Promise.all(Array.from(
    { length: 50 }, (_, i) => (i % 2 === 0 ? world : second).sessions.refresh(grant.refreshToken)
  ))
  t.equal(new Set(grants.map(({ refreshToken }) => refreshToken)).size, 1)
  t.same([...world.reuses, ...second.reuses], [])
})

t.test('the grace counts from the rotation, and a retry does not lengthen it', async t => {
  const { world, grant } = await begin(t)
  const next = await world.sessions.refresh(grant.refreshToken)
  const { refreshToken } = next
  use(world, next)
  for (let i = 0; i < 9; i++) {
    world.wall.move(SECOND)
    t.equal((await world.sessions.refresh(grant.refreshToken)).refreshToken, refreshToken)
  }
  world.wall.move(SECOND)
  await t.rejects(world.sessions.refresh(grant.refreshToken), STOLEN)
  t.equal(world.reuses.length, 1)
})

t.test('a predecessor whose successor was used is reuse, also within the grace', async t => {
  const { world, grant } = await begin(t)
  const second = await world.sessions.refresh(grant.refreshToken)
  await world.sessions.refresh(second.refreshToken)
  await t.rejects(world.sessions.refresh(grant.refreshToken), STOLEN)
  t.equal(isDead(world, grant), true)
})

t.test('a clock that is set back logs out no honest client', async t => {
  const { world, grant } = await begin(t)
  await world.sessions.refresh(grant.refreshToken)
  world.wall.move(-HOUR)
  const { refreshToken } = await world.sessions.refresh(grant.refreshToken)
  t.equal(generationOf((await world.sessions.refresh(refreshToken)).refreshToken), 3)
})

t.test('a refresh while the clock is behind logs out no honest client when the clock is right again', async t => {
  const { world, grant } = await begin(t)
  world.wall.move(-400 * DAY)
  const { refreshToken } = await world.sessions.refresh(grant.refreshToken)
  world.wall.move(400 * DAY)
  t.equal(generationOf((await world.sessions.refresh(refreshToken)).refreshToken), 3)
})

t.test('lifetimes: idle and absolute both hold, and the absolute one is never passed', async t => {
  const { world, grant } = await begin(t)
  const start = world.wall()
  let current = grant
  for (let day = 29; day <= 87; day += 29) {
    world.wall.move(29 * DAY)
    current = await world.sessions.refresh(current.refreshToken)
    t.equal(current.refreshExpiresAt, Math.min(world.wall() + 30 * DAY, start + 90 * DAY), `after ${day} days`)
  }
  world.wall.move(3 * DAY - 1)
  current = await world.sessions.refresh(current.refreshToken)
  t.equal(current.refreshExpiresAt, start + 90 * DAY)
  world.wall.move(1)
  await t.rejects(world.sessions.refresh(current.refreshToken), REFUSED)
  t.match(await world.sessions.identify(current.refreshToken), { live: false })
  t.same(await world.sessions.list(grant.user.id), [])
  t.same(world.reuses, [], 'too late is no theft')

  const short = await begin(t, { sessionTtl: HOUR })
  t.equal(short.grant.refreshExpiresAt, short.world.wall() + HOUR, 'a session shorter than the idle time')
})

t.test('the predecessor within the grace is refused once the session is over', async t => {
  const { world, grant } = await begin(t, { sessionTtl: MINUTE })
  world.wall.move(MINUTE - SECOND)
  await world.sessions.refresh(grant.refreshToken)
  world.wall.move(SECOND)
  await t.rejects(world.sessions.refresh(grant.refreshToken), REFUSED)
})

t.test('what is no refresh token of ours is refused in the same words, and ends nothing', async t => {
  const { world, user, grant } = await begin(t)
  const foreign = await begin(t, { refreshKeys: [Buffer.alloc(32, 9)] })
  const table: Array<[name: string, token: string]> = [
    ['nothing', ''],
    ['text', 'lkr_hello'],
    ['without its prefix', grant.refreshToken.slice(4)],
    ['of another service', foreign.grant.refreshToken],
    [
      'of a session that is not there',
      formatRefreshToken({
        key: REFRESH_KEY, nonce: 'nonce', sessionId: '019a0000-0000-7000-8000-000000000000', generation: 1
      })
    ],
    [
      'with another nonce',
      formatRefreshToken({ key: REFRESH_KEY, nonce: 'nonce', sessionId: grant.sessionId, generation: 1 })
    ],
    ['longer', grant.refreshToken + 'A'],
    ['with a blank', grant.refreshToken + ' '],
    ['a JWT', 'eyJhbGciOiJub25lIn0.e30.'],
    ['a megabyte', 'lkr_' + 'A'.repeat(2 ** 20)]
  ]
  for (const [name, token] of table) {
    await t.rejects(
      world.sessions.refresh(token), { ...REFUSED, message: 'The refresh token is invalid, expired or revoked.' }, name
    )
    t.equal(await world.sessions.identify(token), undefined, name)
  }
  t.same(world.reuses, [])
  t.equal((await world.sessions.list(user.id)).length, 1)
  t.equal(generationOf((await world.sessions.refresh(grant.refreshToken)).refreshToken), 2)
})

t.test('rotating the secret: tokens of the old one work, new ones are signed by the first', async t => {
  const file = databaseIn(t)
  const [oldKey, newKey] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]
  const before = await begin(t, { file, refreshKeys: [oldKey] })
  const during = await createWorld(t, { file, refreshKeys: [newKey, oldKey] })
  const { refreshToken } = await during.sessions.refresh(before.grant.refreshToken)
  t.equal(generationOf(refreshToken), 2)
  t.equal(
    (await during.sessions.refresh(before.grant.refreshToken)).refreshToken, refreshToken, 'a retry across the rotation'
  )
  const after = await createWorld(t, { file, refreshKeys: [newKey] })
  await t.rejects(after.sessions.refresh(before.grant.refreshToken), REFUSED, 'the old secret is gone')
  t.equal(generationOf((await after.sessions.refresh(refreshToken)).refreshToken), 3)
})

t.test('scopes: narrowed for this access token only, never widened, and refusing does not rotate', async t => {
  const world = await createWorld(t)
  const user = await world.addUser()
  await t.rejects(world.sessions.start(user, { scope: 'admin items:write' }), { code: 'invalid_scope' })
  await t.rejects(world.sessions.start(user, { scope: 'unheard:of' }), { code: 'invalid_scope' })
  t.same(await world.sessions.list(user.id), [], 'no session was begun')

  const grant = await world.sessions.start(user, { scope: 'items:read' })
  t.same(grant.scopes, ['items:read'])
  await t.rejects(
    world.sessions.refresh(grant.refreshToken, { scope: 'admin' }), { code: 'invalid_scope' },
    'granted to the user, not to this session'
  )
  t.same(world.reuses, [])
  const full = await world.sessions.start(user)
  const narrow = await world.sessions.refresh(full.refreshToken, { scope: 'admin' })
  t.same(narrow.scopes, ['admin'])
  t.equal(generationOf(narrow.refreshToken), 2)
  t.same(
    (await world.sessions.refresh(narrow.refreshToken)).scopes, ['admin', 'items:read'],
    'the next one may have all again'
  )
  const second = await world.sessions.refresh(grant.refreshToken)
  t.equal(generationOf(second.refreshToken), 2, 'the refused one had not rotated')
  t.same(
    (await world.sessions.refresh(grant.refreshToken, { scope: 'items:read' })).scopes, ['items:read'],
    'a retry may narrow too'
  )
  await t.rejects(
    world.sessions.refresh(grant.refreshToken, { scope: 'admin' }), { code: 'invalid_scope' }, 'a retry may not widen'
  )
})

t.test('reuse is found out whatever scope is asked for', async t => {
  const { world, grant } = await begin(t)
  const second = await world.sessions.refresh(grant.refreshToken)
  await world.sessions.refresh(second.refreshToken)
  await t.rejects(world.sessions.refresh(grant.refreshToken, { scope: 'unheard:of' }), STOLEN)
  t.equal(isDead(world, grant), true)
})

t.test('a scope that the user lost is not refreshed, one that was gained is not added', async t => {
  const { world, user, grant } = await begin(t)
  await world.users.setScopes(user.id, ['items:read', 'items:write'])
  const second = await world.sessions.refresh(grant.refreshToken)
  t.same(second.scopes, ['items:read'])
  t.equal(isDead(world, grant), true, 'the access token with the lost scope')
  t.equal(isDead(world, second), false, 'the one made after')
  await world.users.setScopes(user.id, [])
  t.same((await world.sessions.refresh(second.refreshToken)).scopes, [])
})

t.test('in the millisecond of a user rule: what was issued before is dead, what is issued after lives', async t => {
  const { world, user, grant } = await begin(t)
  await world.revocations.revokeUser(user.id)
  t.equal(isDead(world, grant), true)
  const refreshed = await world.sessions.refresh(grant.refreshToken)
  t.equal(isDead(world, refreshed), false, 'refreshed')
  const started = await world.sessions.start(await world.users.findByName('alice') ?? user)
  t.equal(isDead(world, started), false, 'begun')
})

t.test('in another process, too, a token issued after a user rule lives', async t => {
  const file = databaseIn(t)
  const wall = createWall()
  const { world, user, grant } = await begin(t, { file, wall })
  const other = await createWorld(t, { file, wall })
  await other.revocations.revokeUser(user.id)
  // No request has come by here since: the index does not know of the rule yet.
  const refreshed = await world.sessions.refresh(grant.refreshToken)
  await world.follower.refresh()
  t.equal(isDead(world, grant), true)
  t.equal(isDead(world, refreshed), false)
})

t.test('ending one: only the owner can, once, and everything of it is dead when the promise resolves', async t => {
  const { world, user, grant } = await begin(t)
  const bob = await world.addUser('bob')
  const other = await world.sessions.start(user)
  t.equal(await world.sessions.end(bob.id, grant.sessionId), false, 'somebody else')
  t.equal(await world.sessions.end(user.id, 'nothing'), false, 'no such session')
  t.equal(isDead(world, grant), false)
  t.equal(await world.sessions.end(user.id, grant.sessionId), true)
  t.equal(isDead(world, grant), true)
  await t.rejects(world.sessions.refresh(grant.refreshToken), REFUSED)
  t.equal(await world.sessions.identify(grant.refreshToken), undefined)
  t.equal(await world.sessions.end(user.id, grant.sessionId), false, 'twice')
  t.same((await world.sessions.list(user.id)).map(({ id }) => id), [other.sessionId])
  t.same(world.reuses, [], 'a token of a session that was logged out is no theft')
})

t.test('ending the others, and all', async t => {
  const { world, user, grant } = await begin(t)
  const others = [await world.sessions.start(user), await world.sessions.start(user)]
  const bob = await world.sessions.start(await world.addUser('bob'))
  t.equal(await world.sessions.endOthers(user.id, grant.sessionId), 2)
  t.same([grant, ...others].map(one => isDead(world, one)), [false, true, true])
  t.equal(await world.sessions.endOthers(user.id, grant.sessionId), 0)
  t.equal(await world.sessions.endAll(user.id), 1)
  t.equal(isDead(world, grant), true)
  t.equal(await world.sessions.endAll(user.id), 0)
  t.equal(isDead(world, bob), false, 'nobody else\'s')
  t.equal(generationOf((await world.sessions.refresh(bob.refreshToken)).refreshToken), 2)
})

t.test('a session that expired was not live: ending it says so', async t => {
  const { world, user, grant } = await begin(t)
  world.wall.move(31 * DAY)
  t.same(await world.sessions.list(user.id), [])
  t.equal(await world.sessions.end(user.id, grant.sessionId), false, 'end tells whether it was live')
  const later = await begin(t)
  later.world.wall.move(31 * DAY)
  t.equal(await later.world.sessions.endAll(later.user.id), 0, 'endAll returns how many were live')
})

t.test('tokens and sessions ended after their expiry stay dead in another process when the clock is set back', async t => {
  const file = databaseIn(t)
  const wall = createWall()
  const { world: ahead, grant } = await begin(t, { file, wall })
  const behind = await createWorld(t, { file, wall })
  const claims = {
    iss: '',
    aud: '',
    sub: grant.user.id,
    client_id: 'app',
    iat: 0,
    exp: Math.floor(wall() / SECOND) + 60,
    jti: 'a',
    sid: grant.sessionId,
    scope: ''
  }
  wall.move(MINUTE)
  await ahead.sessions.endToken(claims)
  wall.move(-MINUTE)
  await behind.follower.refresh()
  t.ok(behind.revocations.isTokenRevoked(claims.jti), 'an access token')

  wall.move(31 * DAY)
  await ahead.sessions.end(grant.user.id, grant.sessionId)
  wall.move(-31 * DAY)
  await t.rejects(behind.sessions.refresh(grant.refreshToken), REFUSED, 'a refresh token')
})

t.test('asking again to end what has expired writes nothing', async t => {
  const file = databaseIn(t)
  const { world, grant } = await begin(t, { file })
  const claims = {
    iss: '', aud: '', sub: grant.user.id, client_id: 'app', iat: 0, exp: 1, jti: 'a', sid: grant.sessionId, scope: ''
  }
  world.wall.move(31 * DAY)
  await world.sessions.end(grant.user.id, grant.sessionId)
  const other = connectTo(t, file)
  const version = other.pragma('data_version', { simple: true })
  for (let i = 0; i < 10; i++) {
    world.wall.move(SECOND)
    t.equal(await world.sessions.identify(grant.refreshToken), undefined)
    await world.sessions.endToken(claims)
  }
  t.equal(other.pragma('data_version', { simple: true }), version)
})

t.test('two thousand sessions end in one transaction', async t => {
  const { world, user } = await begin(t)
  const row = await world.store.read(db => db.selectFrom('latchkey_sessions').selectAll().executeTakeFirstOrThrow())
  await world.store.transaction(async trx => {
    for (let i = 0; i < 2_000; i++) await trx.insertInto('latchkey_sessions').values({ ...row, id: `session ${i}` }).execute()
  })
  t.equal((await world.sessions.list(user.id)).length, MAX_SESSIONS, 'a list is bounded')
  t.equal(await world.sessions.endAll(user.id), 2_001)
  t.equal(world.revocations.size, 1, 'with one rule for all their tokens')
})

t.test('a disabled, a deleted and a re-enabled user', async t => {
  for (const how of ['disable', 'remove'] as const) {
    const { world, user, grant } = await begin(t)
    await world.users[how](user.id)
    t.equal(isDead(world, grant), true, how)
    await t.rejects(world.sessions.refresh(grant.refreshToken), REFUSED, how)
    await t.rejects(
      world.sessions.start(user), { code: 'invalid_credentials' }, `${how}: a login whose password was checked before`
    )
    t.same(await world.sessions.list(user.id), [])
    if (how === 'disable') await world.users.enable(user.id)
    await t.rejects(world.sessions.refresh(grant.refreshToken), REFUSED, `${how}: what died stays dead`)
    t.equal(isDead(world, grant), true, how)
  }
})

t.test('a password that was changed, or a scope that was taken, between the check and the login', async t => {
  const world = await createWorld(t)
  await world.addUser()
  const checked = await world.users.authenticate('alice', PASSWORD)
  if (checked === null) throw new Error('not authenticated')
  const account = checked as User & { passwordChangedAt: number }
  await world.users.setScopes(account.id, ['items:read'])
  t.same((await world.sessions.start(account)).scopes, ['items:read'], 'what is left')
  await t.rejects(world.sessions.start(account, { scope: 'admin' }), { code: 'invalid_scope' })
  await world.users.setPassword(account.id, 'another lantern walrus cobalt')
  await t.rejects(world.sessions.start(account), { code: 'invalid_credentials' })
})

t.test('what is kept of a login: the list, the last used first; long user agents are cut', async t => {
  const { world, user, grant } = await begin(t)
  world.wall.move(SECOND)
  const second = await world.sessions.start(
    user, { scope: 'admin', userAgent: 'x'.repeat(5_000), address: '192.0.2.1' }
  )
  t.same((await world.sessions.list(user.id)).map(({ id }) => id), [second.sessionId, grant.sessionId])
  world.wall.move(SECOND)
  await world.sessions.refresh(grant.refreshToken)
  const [one, two] = await world.sessions.list(user.id)
  t.match(
    one,
    {
      id: grant.sessionId,
      clientId: 'latchkey',
      scopes: ['admin', 'items:read'],
      lastUsedAt: world.wall(),
      createdAt: world.wall() - 2 * SECOND,
      userAgent: null,
      address: null
    }
  )
  t.match(
    two,
    { id: second.sessionId, clientId: 'latchkey', scopes: ['admin'], userAgent: 'x'.repeat(512), address: '192.0.2.1' }
  )
  t.same(await world.sessions.list('nobody'), [])
})

t.test('nothing in the store mints a refresh token: not even two databases of one service', async t => {
  const file = databaseIn(t)
  const { grant } = await begin(t, { file })
  const other = connectTo(t, file)
  const row = other.prepare('select * from latchkey_sessions').get() as Record<string, unknown>
  const mac = grant.refreshToken.slice(-43)
  t.notOk(Object.values(row).some(value => String(value).includes(mac) || String(value).includes(grant.refreshToken)))
})

t.test('purging: a day after the refresh token and the last access token expired, in steps, ended or not', async t => {
  const { world, user, grant } = await begin(t)
  for (let i = 0; i < 4; i++) await world.sessions.start(user)
  await world.sessions.end(user.id, grant.sessionId)
  const count = async (): Promise<number> => (await world.store.read(
    db => db.selectFrom('latchkey_sessions').select('id').execute()
  )).length
  world.wall.move(31 * DAY + 15 * MINUTE)
  t.equal(await world.sessions.purge(2, world.wall()), false)
  t.equal(await count(), 5, 'not a millisecond before')
  world.wall.move(1)
  t.equal(await world.sessions.purge(2, world.wall()), true)
  t.equal(await count(), 3)
  t.equal(await world.sessions.purge(2, world.wall()), true)
  t.equal(await world.sessions.purge(2, world.wall()), false)
  t.equal(await count(), 0)
  await t.rejects(world.sessions.refresh(grant.refreshToken), REFUSED)
})

t.test('access tokens that live longer than their session: a purge does not hide it from who ends it', async t => {
  const { world, user, grant } = await begin(t, { accessTokenTtl: 7 * DAY, refreshIdleTtl: HOUR })
  world.wall.move(2 * DAY)
  await world.sessions.purge(100, world.wall())
  const { sessionId } = await world.sessions.start(user)
  await world.sessions.endOthers(user.id, sessionId)
  t.equal(isDead(world, grant), true)
})

t.test('the host\'s own accounts', async t => {
  const account = { id: 'host-1', username: 'alice', scopes: ['admin', 'items:read'] }
  let found: () => Promise<User | null> = async () => account
  const world = await createWorld(t, { directory: { authenticate: async () => account, find: () => found() } })
  const grant = await world.sessions.start(account)
  t.equal(grant.user.id, 'host-1')

  const failure = new Error('the host\'s database is down')
  found = async () => { throw failure }
  await t.rejects(world.sessions.refresh(grant.refreshToken), failure, 'its error comes out')
  t.equal(isDead(world, grant), false, 'and ends nothing')

  const gate = createGate()
  found = async () => { await gate.pass(); return account }
  const refreshing = world.sessions.refresh(grant.refreshToken)
  t.ok(await isPending(refreshing))
  await world.sessions.start(account)
  t.ok(await isPending(refreshing), 'a slow host holds up nobody else')
  gate.open()
  const second = await refreshing

  found = async () => ({ ...account, scopes: ['items:read'] })
  t.same((await world.sessions.refresh(second.refreshToken)).scopes, ['items:read'])
  found = async () => null
  await t.rejects(world.sessions.refresh(second.refreshToken), REFUSED)
  t.equal(isDead(world, grant), true, 'the account is gone, its session ends')
  t.same(world.reuses, [])
})

t.test('a session that was ended while the host was asked does not rotate', async t => {
  const account = { id: 'host-1', username: 'alice', scopes: ['admin'] }
  const gate = createGate()
  const world = await createWorld(
    t, { directory: { authenticate: async () => account, find: async () => { await gate.pass(); return account } } }
  )
  const grant = await world.sessions.start(account)
  const refreshing = t.rejects(world.sessions.refresh(grant.refreshToken), REFUSED)
  await world.sessions.end(account.id, grant.sessionId)
  gate.open()
  await refreshing
})

/** What docs/tokens-and-sessions.md promises, in a few lines, over plain objects. */
interface ModelSession {
  owner: number
  generation: number
  rotatedAt: number
  idleExpiresAt: number
  expiresAt: number
  isEnded: boolean
  tokens: string[]
  grants: Grant[]
  /** What the honest client holds: the last token that reached it. */
  held: string
  /** Whether an access token of the current generation was used. */
  isSeen: boolean
  id: string
}

for (const seed of [1, 2, 3, 4, 5, 6]) {
  t.test(`random interleavings against the model, seed ${seed}`, async t => {
    const random = createRandom(seed)
    const world = await createWorld(t, { sessionTtl: 60 * MINUTE, refreshIdleTtl: 20 * MINUTE })
    const users = [await world.addUser('one'), await world.addUser('two')]
    const disabled = [false, false]
    const model: ModelSession[] = []
    const trace: string[] = []
    let warnings = 0
    const now = (): number => world.clock.now()
    // Mostly a live one, so that the walk goes somewhere.
    const choose = (): ModelSession | undefined => {
      const live = model.filter(isLive)
      return random.next() < 0.1 || live.length === 0 ? model[random.below(model.length)] : random.pick(live)
    }
    const isLive = (
      session: ModelSession
    ): boolean => !session.isEnded && now() < session.expiresAt && now() < session.idleExpiresAt

    function expectation (session: ModelSession, generation: number): { generation: number } | 'reuse' | 'refused' {
      if (!isLive(session)) return 'refused'
      if (generation === session.generation) return { generation: generation + 1 }
      const isInGrace = now() < session.rotatedAt + 10 * SECOND
      if (generation === session.generation - 1 && (isInGrace || !session.isSeen)) {
        return {
          generation: session.generation
        }
      }
      return 'reuse'
    }

    async function present (session: ModelSession, token: string): Promise<string | undefined> {
      const generation = session.tokens.indexOf(token) + 1
      const expected = expectation(session, generation)
      let grant: Grant | undefined
      try {
        grant = await world.sessions.refresh(token)
      } catch (error) {
        const { code } = error as { code?: string }
        if (code !== 'invalid_refresh_token' && code !== 'session_stolen') throw error
      }
      const got = grant === undefined ? undefined : generationOf(grant.refreshToken)
      if (typeof expected === 'object') {
        if (got !== expected.generation) {
          throw new Error(
          `generation ${generation} gave ${got}, not ${expected.generation}`
          )
        }
        if (expected.generation > session.generation) {
          session.generation = expected.generation
          session.rotatedAt = now()
          session.isSeen = false
          session.idleExpiresAt = Math.min(now() + 20 * MINUTE, session.expiresAt)
          session.tokens.push(grant?.refreshToken ?? '')
        } else if (now() >= session.rotatedAt + 10 * SECOND) {
          session.rotatedAt = now()
          session.idleExpiresAt = Math.min(Math.max(now() + 20 * MINUTE, session.idleExpiresAt), session.expiresAt)
        }
        if (grant?.refreshToken !== session.tokens[expected.generation - 1]) throw new Error('another successor')
        session.grants.push(grant as Grant)
        return grant?.refreshToken
      }
      if (got !== undefined) {
        throw new Error(
        `generation ${generation} of ${session.generation} was accepted: ${expected}`
        )
      }
      if (expected === 'reuse') {
        session.isEnded = true
        warnings++
      }
      return undefined
    }

    const actions: Record<string, () => Promise<void>> = {
      async login () {
        if (model.filter(isLive).length > 5) return
        const owner = random.below(2)
        const started = world.sessions.start(users[owner] as typeof users[number])
        if (disabled[owner] === true) {
          await started.then(() => { throw new Error('a disabled user logged in') }, () => {})
          return
        }
        const grant = await started
        model.push({
          owner,
          generation: 1,
          rotatedAt: now(),
          idleExpiresAt: now() + 20 * MINUTE,
          expiresAt: now() + 60 * MINUTE,
          isEnded: false,
          tokens: [grant.refreshToken],
          grants: [grant],
          held: grant.refreshToken,
          isSeen: false,
          id: grant.sessionId
        })
      },
      async honest () {
        const session = choose()
        if (session === undefined) return
        const wasLive = isLive(session)
        const answer = await present(session, session.held)
        if (wasLive && answer === undefined) throw new Error('an honest client was logged out')
        if (answer === undefined) return
        if (random.next() < 0.3) return
        session.held = answer
        if (random.next() < 0.3) return
        use(world, session.grants.at(-1) as Grant)
        session.isSeen = true
      },
      async tabs () {
        const session = choose()
        if (session === undefined) return
        if (!isLive(session) || session.held !== session.tokens.at(-1)) return
        const grants = await Promise.all([1, 2, 3].map(() => world.sessions.refresh(session.held)))
        if (new Set(grants.map((
          { refreshToken }
        ) => refreshToken)).size !== 1) throw new Error('tabs got different successors')
        session.held = await present(
          session,
          session.tokens.at(-1) === grants[0]?.refreshToken ? session.held : takeIn(session, grants[0] as Grant)
        ) ?? ''
      },
      async thief () {
        const session = choose()
        if (session === undefined) return
        const others = model.filter(other => other !== session).map(other => [other, other.isEnded] as const)
        if (random.next() < 0.6) return
        const stolen = random.pick(session.tokens)
        // The current token in a thief's hand is found out when the honest client comes with the one before it: not
        // modelled.
        if (stolen === session.tokens.at(-1)) return
        await present(session, stolen)
        for (const [other, wasEnded] of others) if (other.isEnded !== wasEnded) throw new Error('another session ended')
      },
      async moveSlightly () { world.wall.move(random.below(6 * SECOND)) },
      async moveFar () { if (random.next() < 0.3) world.wall.move(random.below(15 * MINUTE)) },
      async moveBack () { world.wall.move(-random.below(MINUTE)) },
      async end () {
        const session = choose()
        if (session === undefined || !isLive(session) || random.next() < 0.8) return
        if (!await world.sessions.end(users[session.owner]?.id ?? '', session.id)) throw new Error('was live')
        session.isEnded = true
      },
      async endOthers () {
        const kept = choose()
        if (kept === undefined || random.next() < 0.9) return
        await world.sessions.endOthers(users[kept.owner]?.id ?? '', kept.id)
        for (const session of model) if (session.owner === kept.owner && session !== kept) session.isEnded = true
      },
      async endAll () {
        if (random.next() < 0.95) return
        const owner = random.below(2)
        await world.sessions.endAll(users[owner]?.id ?? '')
        for (const session of model) if (session.owner === owner) session.isEnded = true
      },
      async disable () {
        if (random.next() < (disabled.includes(true) ? 0.2 : 0.95)) return
        const owner = disabled.includes(true) ? disabled.indexOf(true) : random.below(2)
        await world.users[disabled[owner] === true ? 'enable' : 'disable'](users[owner]?.id ?? '')
        disabled[owner] = disabled[owner] !== true
        if (disabled[owner]) for (const session of model) if (session.owner === owner) session.isEnded = true
      },
      async purge () {
        if (random.next() < 0.3) {
          await Promise.all([
            world.revocations.purge(world.wall()), world.sessions.purge(100, world.wall())
          ])
        }
      }
    }

    /** Three tabs rotated once: the model takes that in, and the token that they held is presented again. */
    function takeIn (session: ModelSession, grant: Grant): string {
      session.generation++
      session.rotatedAt = now()
      session.isSeen = false
      session.idleExpiresAt = Math.min(now() + 20 * MINUTE, session.expiresAt)
      session.tokens.push(grant.refreshToken)
      return session.held
    }

    try {
      for (let step = 0; step < 800; step++) {
        const action = random.pick([
          'login', 'honest', 'honest', 'honest', 'honest', 'tabs', 'thief', 'moveSlightly', 'moveSlightly', 'moveFar',
          'moveBack', 'end', 'endOthers', 'endAll', 'disable', 'purge'
        ])
        trace.push(action)
        await actions[action]?.()
        for (const session of model) {
          const grant = session.grants.at(-1) as Grant
          if (session.isEnded !== isDead(world, grant)) {
            throw new Error(
            `the access tokens of a session that ${session.isEnded ? 'ended live' : 'lives are dead'}`
            )
          }
        }
      }
      const listed = (await Promise.all(users.map((
        { id }
      ) => world.sessions.list(id)))).flat().map(({ id }) => id).sort()
      t.same(listed, model.filter(isLive).map(({ id }) => id).sort(), 'the sessions that are live')
      t.equal(world.reuses.length, warnings, 'a warning for each reuse')
      const rows = await world.store.read(db => db.selectFrom('latchkey_sessions').select(['id', 'generation']).execute())
      for (const { id, generation } of rows) {
        if (model.find(
          session => session.id === id
        )?.generation !== generation) t.fail('one row, one generation')
      }
      t.ok(model.some(({ generation }) => generation > 5), 'the walk went somewhere')
      t.ok(warnings > 0, 'and met reuse')
    } catch (error) {
      t.fail(`after ${trace.length} steps (${trace.slice(-6).join(', ')}): ${(error as Error).message}`)
    }
  })
}

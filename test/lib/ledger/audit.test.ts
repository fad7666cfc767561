import t from 'tap'
import { createAudit } from '../../../lib/ledger/audit.js'
import { LatchkeyError } from '../../../lib/errors.js'
import { anonymous, asUser, COMMAND, HOST } from '../../../lib/ledger/events.js'
import type { SecurityEvent } from '../../../schemas/events.js'
import { createWorld, DAY, HOUR, MINUTE, PASSWORD, SECOND } from '../support.js'
import type { World } from '../support.js'
import { revokeToken } from '../../revoke-token.js'

const RETENTION = 90 * DAY

/** What claims say besides whose token it is. */
const CLAIMS = { iss: 'https://auth.example.com', aud: 'api', client_id: 'latchkey', iat: 0, scope: '' }

async function createTrail (t: Parameters<typeof createWorld>[0]) {
  const world = await createWorld(t)
  return { world, audit: createAudit({ store: world.store, retention: RETENTION }) }
}

async function say (world: World, event: Partial<SecurityEvent>): Promise<void> {
  await world.ledger.write([], ({ record }) => record({ type: 'login_failed', actor: HOST, ...event }))
}

t.test('what an account goes through is in the trail: who, whom, from where, and whether it worked', async t => {
  const { world, audit } = await createTrail(t)
  const { users, sessions, revocations } = world
  const alice = await world.addUser()
  const { id: rootId } = await world.addUser('root', ['users:write'])
  const root = asUser(rootId, '192.0.2.1')
  const by = { ...root, scopes: ['users:write'] }
  const one = await sessions.start(alice, { address: '192.0.2.7' })
  const two = await sessions.refresh(one.refreshToken, { address: '192.0.2.7' })
  world.seen.note({ sessionId: two.sessionId, generation: 2 })
  world.wall.move(MINUTE)
  await t.rejects(sessions.refresh(one.refreshToken, { address: '198.51.100.1' }), { code: 'session_stolen' })
  await t.rejects(sessions.refresh(two.refreshToken), { code: 'session_stolen' })
  const three = await sessions.start(alice)
  await sessions.end(alice.id, three.sessionId, asUser(alice.id, '192.0.2.7'))
  t.equal(await sessions.end(alice.id, three.sessionId), false, 'ending what is over')
  await sessions.start(alice)
  const four = await sessions.start(alice)
  await sessions.endOthers(alice.id, four.sessionId)
  await sessions.endAll(alice.id, COMMAND)
  await users.setScopes(alice.id, ['items:read'], by)
  await t.rejects(users.changePassword(alice.id, {
    current: 'wrong', password: 'marble otter sings at noon 2', keepSession: three.sessionId, address: '192.0.2.7'
  }), { code: 'wrong_password' })
  await users.setPassword(alice.id, 'marble otter sings at noon 2', by)
  await users.disable(alice.id, by)
  await users.enable(alice.id, by)
  await revocations.revokeUser(alice.id, root)
  await revokeToken(revocations, 'a token', world.clock.now() + HOUR, root)
  await users.remove(alice.id, by)

  const session = (id: string) => ({ sessionId: id, clientId: 'latchkey' })
  const expected = [
    { type: 'user_added', actor: HOST, details: { username: 'alice', scopes: ['admin', 'items:read'] } },
    { type: 'login', actor: asUser(alice.id, '192.0.2.7'), ...session(one.sessionId) },
    { type: 'refresh_token_reuse', outcome: 'failure', actor: anonymous('198.51.100.1'), ...session(one.sessionId) },
    { type: 'login', actor: asUser(alice.id, null), ...session(three.sessionId) },
    { type: 'session_ended', actor: asUser(alice.id, '192.0.2.7'), sessionId: three.sessionId },
    { type: 'login', actor: asUser(alice.id, null) },
    { type: 'login', actor: asUser(alice.id, null), ...session(four.sessionId) },
    { type: 'sessions_ended', actor: HOST, details: { sessions: 1 } },
    { type: 'sessions_ended', actor: COMMAND, details: { sessions: 1 } },
    { type: 'scopes_changed', actor: root, details: { before: ['admin', 'items:read'], after: ['items:read'] } },
    {
      type: 'password_change_failed',
      outcome: 'failure',
      actor: asUser(alice.id, '192.0.2.7'),
      sessionId: three.sessionId
    },
    { type: 'password_changed', actor: root },
    { type: 'user_disabled', actor: root },
    { type: 'user_enabled', actor: root },
    { type: 'tokens_revoked', actor: root },
    { type: 'token_revoked', actor: root, subject: null, details: { tokenId: 'a token' } },
    { type: 'user_removed', actor: root, details: { username: 'alice' } }
  ]
  const found = (await audit.list()).filter(({ subject }) => subject !== rootId).reverse()
  t.same(
    found.map(({ type }) => type),
    expected.map(({ type }) => type),
    'a refresh is none of it, and ending what is over neither'
  )
  for (const [index, entry] of expected.entries()) {
    t.match(found[index], { subject: alice.id, outcome: 'success', ...entry }, entry.type)
  }
  t.notMatch(JSON.stringify(found), /lkr_|marble otter|hash of/, 'no secret')
})

t.test('what changes nothing is not in the trail, however often it is asked for', async t => {
  const { world, audit } = await createTrail(t)
  const { users, sessions } = world
  const alice = await world.addUser()
  const own = await sessions.start(alice)
  const other = await sessions.start(alice)
  await sessions.endOthers(alice.id, own.sessionId)
  const claims = { ...CLAIMS, sub: alice.id, sid: other.sessionId, exp: world.clock.now() / SECOND + 60 }
  const { length } = await audit.list({ limit: 1_000 })
  for (let turn = 0; turn < 3; turn++) {
    await sessions.endOthers(alice.id, own.sessionId)
    await sessions.endOthers(alice.id, undefined)
    await sessions.end(alice.id, other.sessionId)
    await sessions.endToken({ ...claims, jti: `token ${turn} of an ended session` })
    await users.setScopes(alice.id, ['items:read', 'admin'])
    await users.enable(alice.id)
  }
  // The first of them without a session to keep ended the own one.
  t.equal((await audit.list({ limit: 1_000 })).length, length + 1)
  await users.disable(alice.id)
  for (let turn = 0; turn < 3; turn++) {
    await users.disable(alice.id)
    await sessions.endAll(alice.id)
  }
  t.equal((await audit.list({ limit: 1_000 })).length, length + 2)
})

t.test('enabling an account that was locked is in the trail', async t => {
  const { world, audit } = await createTrail(t)
  const alice = await world.addUser()
  const bucket = await world.throttle.findLoginBucket('alice', { address: '192.0.2.7', sessionId: undefined })
  const who = { actor: HOST, subject: alice.id }
  const fail = async (): Promise<never> => { throw new LatchkeyError('invalid_credentials') }
  await t.rejects(world.throttle.attempt(bucket, who, fail), { code: 'invalid_credentials' })
  for (let turn = 0; turn < 2; turn++) await world.users.enable(alice.id)
  t.equal((await audit.list({ type: 'user_enabled' })).length, 1)
})

t.test('wrong current passwords are counted after the first ones', async t => {
  const { world, audit } = await createTrail(t)
  const alice = await world.addUser()
  for (let turn = 0; turn < 30; turn++) {
    await t.rejects(world.users.changePassword(
      alice.id, { current: 'wrong', password: PASSWORD, keepSession: undefined }
    ))
  }
  t.equal((await audit.list({ type: 'password_change_failed' })).length, 20)
  world.wall.move(MINUTE)
  await world.throttle.recordCounts()
  t.match(await audit.list({ type: 'password_change_failed', limit: 1 }), [
    { subject: alice.id, details: { count: 10 } }
  ])
})

t.test('a transaction that fails leaves nothing in the trail, and nobody hears of it', async t => {
  const { world, audit } = await createTrail(t)
  await t.rejects(world.ledger.write([], async ({ record }) => {
    await record({ type: 'refresh_token_reuse', actor: HOST })
    throw new Error('no')
  }), /no/)
  t.same(await audit.list(), [])
  t.same(world.reuses, [])
})

t.test('each filter narrows, and pages join without a gap or a repetition', async t => {
  const { world, audit } = await createTrail(t)
  const start = world.clock.now()
  for (let turn = 0; turn < 25; turn++) {
    await say(world, {
      type: turn % 2 === 0 ? 'login' : 'login_failed',
      actor: asUser(`actor ${turn % 3}`, null),
      subject: `subject ${turn % 5}`
    })
    world.wall.move(SECOND)
  }
  const all = await audit.list({ limit: 1_000 })
  t.equal(all.length, 25)
  t.ok(all.every((entry, index) => index === 0 || entry.id < (all[index - 1]?.id ?? 0)), 'the newest first')
  t.equal((await audit.list({ type: 'login' })).length, 13)
  t.equal((await audit.list({ outcome: 'failure' })).length, 12)
  t.equal((await audit.list({ actor: 'actor 0' })).length, 9)
  t.equal((await audit.list({ subject: 'subject 0' })).length, 5)
  t.equal((await audit.list({ actor: 'actor 0', subject: 'subject 0', type: 'login' })).length, 1)
  t.equal((await audit.list({ since: start + 20 * SECOND })).length, 5, 'since counts its own moment')
  t.equal((await audit.list({ until: start + 20 * SECOND })).length, 20, 'until does not')
  t.equal((await audit.list({ actor: "' or 1=1 --" })).length, 0)

  const pages = []
  for (let before: number | undefined; ;) {
    const page = await audit.list({ limit: 7, before })
    if (page.length === 0) break
    pages.push(...page)
    before = page.at(-1)?.id
  }
  t.same(pages, all)
})

t.test('a purge deletes what is older than the retention, in steps, and nothing else', async t => {
  const { world, audit } = await createTrail(t)
  for (let turn = 0; turn < 5; turn++) await say(world, {})
  world.wall.move(RETENTION)
  await say(world, {})
  t.equal(await audit.purge(3, world.wall()), false, 'nothing is older yet')
  t.equal((await audit.list()).length, 6)
  world.wall.move(1)
  t.equal(await audit.purge(3, world.wall()), true)
  t.equal((await audit.list()).length, 3)
  t.equal(await audit.purge(3, world.wall()), false)
  t.equal((await audit.list()).length, 1)
})

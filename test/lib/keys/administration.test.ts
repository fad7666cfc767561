import t from 'tap'
import type { Test } from 'tap'
import { KEY_LEAD, KEY_MARGIN } from '../../../lib/keys/life.js'
import type { KeyView } from '../../../lib/keys/keyring.js'
import { createAudit } from '../../../lib/ledger/audit.js'
import {
  connectTo, createWall, createWorld, databaseIn, DAY, KEY_SECRET, MINUTE, openKeys, SECOND
} from '../support.js'

const NEW_SECRET = 'a new secret of at least thirty-two bytes'
const TTL = 15 * MINUTE

/** A process of its own on the file, with a user who is there already or is made. */
async function open (
  t: Test,
  {
    file = databaseIn(t), wall = createWall(), ...options
  }: { file?: string, wall?: ReturnType<typeof createWall> } & Parameters<typeof openKeys>[1] = {}
) {
  const world = await createWorld(t, { file, wall })
  const user = await world.users.findByName('alice') ?? await world.addUser()
  const opened = await openKeys(world, options)
  return {
    ...opened,
    world,
    wall,
    file,
    user,
    issue: async () => await opened.tokens.sign(await world.sessions.start(user)),
    states: async () => (await opened.keys.list()).map(({ state, signs }) => signs ? `${state}, signs` : state).sort()
  }
}

function kidOf (token: string): string {
  return JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid
}

t.test('a rotation: published at once, signs after the lead, verifies until its last token is dead, then is removed and purged', async t => {
  const { keys, tokens, wall, issue, states, file } = await open(t)
  const first = await issue()
  t.same(await states(), ['active, signs'])
  const { outcome, key } = await keys.rotate()
  t.equal(outcome, 'rotated')
  t.match(key, { state: 'pending', signs: false, activatesAt: wall() + KEY_LEAD })
  t.same(await states(), ['active, signs', 'pending'])
  t.equal((await tokens.readJwks()).length, 2, 'both are published')
  t.match(await keys.rotate(), { outcome: 'pending', key: { kid: key.kid } }, 'one at a time')

  wall.move(KEY_LEAD - 1)
  const last = await issue()
  t.equal(kidOf(last), kidOf(first))
  wall.move(1)
  t.same(await states(), ['active, signs', 'retired'])
  t.equal(kidOf(await issue()), key.kid)
  t.match(await tokens.verify(last), { scopes: ['admin', 'items:read'] }, 'the last token of the one before')

  const old = (await keys.list()).find(({ state }) => state === 'retired')
  t.equal(old?.expiresAt, wall() + TTL + KEY_MARGIN)
  wall.move(TTL + KEY_MARGIN - 1)
  t.equal((await tokens.readJwks()).length, 2)
  wall.move(1)
  t.same((await tokens.readJwks()).map(({ kid }) => kid), [key.kid])
  t.same(await states(), ['active, signs', 'removed'])
  const count = (): unknown => connectTo(t, file).prepare('select count(*) from latchkey_keys').pluck().get()
  wall.move(DAY)
  await keys.purge(wall())
  t.equal(count(), 2, 'not before the day is over')
  wall.move(1)
  await keys.purge(wall())
  t.equal(count(), 1)
  t.same(await states(), ['active, signs'])
})

t.test('rotate --now: signs at once; lets a pending one sign at once', async t => {
  const { keys, issue, states, wall, tokens } = await open(t)
  const old = await issue()
  const { key } = await keys.rotate({ immediately: true })
  t.match(key, { state: 'active', signs: true, activatesAt: wall() })
  t.same(await states(), ['active, signs', 'retired'])
  t.equal(kidOf(await issue()), key.kid)
  t.resolves(async () => await tokens.verify(old))
  const pending = await keys.rotate()
  t.match(
    await keys.rotate({ immediately: true }), { outcome: 'activated', key: { kid: pending.key.kid, signs: true } }
  )
  t.same(await states(), ['active, signs', 'retired', 'retired'])
  await keys.rotate({ immediately: true })
  t.same((await states()).filter(state => state.endsWith('signs')).length, 1, 'also twice in one millisecond')
})

t.test('automatic rotation: in time for the next key to be published; of many processes one does it', async t => {
  const file = databaseIn(t)
  const wall = createWall()
  const rotation = 90 * DAY
  const processes = [
    await open(t, { file, wall, rotation }), await open(t, { file, wall, rotation }),
    await open(t, { file, wall, rotation }), await open(t, { file, wall, rotation })
  ]
  const rotateAll = async (): Promise<number> => (await Promise.all(processes.map((
    { keys }
  ) => keys.rotateIfDue()))).filter(key => key !== undefined).length
  wall.move(rotation - KEY_LEAD - 1)
  t.equal(await rotateAll(), 0)
  wall.move(1)
  t.equal(await rotateAll(), 1)
  t.equal(await rotateAll(), 0, 'one is pending')
  for (const { states } of processes) t.same(await states(), ['active, signs', 'pending'])
  wall.move(KEY_LEAD)
  for (const { states } of processes) t.same(await states(), ['active, signs', 'retired'])
  const never = await open(t, { file, wall })
  wall.move(1_000 * DAY)
  t.equal(await never.keys.rotateIfDue(), undefined, 'keyRotation: never')
  t.match(await processes[0]?.keys.rotateIfDue(), { state: 'pending' })
})

t.test('revoke: its tokens are dead at once at both processes, the private key is gone, sessions live on', async t => {
  const file = databaseIn(t)
  const wall = createWall()
  const one = await open(t, { file, wall })
  const two = await open(t, { file, wall })
  const grant = await one.world.sessions.start(one.user)
  const token = await one.tokens.sign(grant)
  for (const { tokens } of [one, two]) t.match(await tokens.verify(token), { id: one.user.id }, 'and cached')
  const revoked = await one.keys.revoke(kidOf(token))
  t.match(revoked, { state: 'revoked', signs: false, revokedAt: wall(), expiresAt: wall() + TTL + KEY_MARGIN })
  t.throws(() => one.tokens.verify(token), { code: 'invalid_token', statusCode: 401 }, 'here without a promise')
  await t.rejects(async () => await two.tokens.verify(token), { code: 'invalid_token' })
  t.equal(one.tokens.decode(token), undefined)
  t.same(await one.states(), ['active, signs', 'revoked'], 'a new one in the same transaction')
  t.equal((await two.tokens.readJwks()).length, 1)
  t.equal(connectTo(t, file).prepare('select sealed from latchkey_keys where kid = ?').pluck().get(revoked.kid), '')
  const next = await two.tokens.sign(await two.world.sessions.refresh(grant.refreshToken))
  for (const { tokens } of [one, two]) t.match(await tokens.verify(next), { id: one.user.id })
  t.match(await two.keys.revoke(revoked.kid), { revokedAt: revoked.revokedAt }, 'again changes nothing')
  t.equal((await one.keys.list()).length, 2)
  await t.rejects(one.keys.revoke('nothing'), { code: 'not_found', message: 'There is no such key.' })
  await t.resolves(open(t, { file, wall }), 'and a new process starts')
})

t.test('revoke a pending key: the one before goes on; revoke the signing key while one is pending: that signs at once', async t => {
  const { keys, states, wall, issue } = await open(t)
  const { key } = await keys.rotate()
  await keys.revoke(key.kid)
  t.same(await states(), ['active, signs', 'revoked'])
  t.match((await keys.list()).find(({ signs }) => signs), { retiresAt: null, expiresAt: null })
  wall.move(KEY_LEAD + TTL + KEY_MARGIN)
  await t.resolves(issue(), 'it was not retired after all')
  const second = await keys.rotate()
  await keys.revoke(kidOf(await issue()))
  t.match((await keys.list()).find(({ signs }) => signs), { kid: second.key.kid, activatesAt: wall() })
})

t.test('a retired key can be revoked, and the one that signs goes on', async t => {
  const { keys, states, issue, tokens } = await open(t)
  const old = await issue()
  await keys.rotate({ immediately: true })
  const current = await issue()
  await keys.revoke(kidOf(old))
  t.same(await states(), ['active, signs', 'revoked'])
  t.throws(() => tokens.verify(old), { code: 'invalid_token' })
  t.doesNotThrow(() => tokens.verify(current))
})

t.test('revoked by a process of another algorithm, a process makes its own new signing key', async t => {
  const file = databaseIn(t)
  const one = await open(t, { file })
  const two = await open(t, { file, algorithm: 'EdDSA' })
  const token = await one.issue()
  await two.keys.revoke(kidOf(token))
  t.same(
    (await two.keys.list()).map(({ algorithm, state }) => `${algorithm} ${state}`).sort(),
    ['ES256 revoked', 'EdDSA active']
  )
  const next = await one.issue()
  t.not(kidOf(next), kidOf(token))
  t.match(await two.tokens.verify(next), { id: one.user.id })
})

t.test('a token that is being made while another process revokes its key is made with the new one', async t => {
  const file = databaseIn(t)
  const one = await open(t, { file })
  const two = await open(t, { file })
  const grant = await two.world.sessions.start(two.user)
  const [{ kid } = { kid: '' }] = await one.keys.list()
  await one.keys.revoke(kid)
  t.match(await one.tokens.verify(await two.tokens.sign(grant)), { id: one.user.id })
})

t.test('secrets rotate: old; new and old; reseal; new only', async t => {
  const { file, issue, keys } = await open(t)
  const token = await issue()
  await keys.importVerifyOnlyKey(Buffer.from('a secret of an older system, long enough'), { algorithm: 'HS256' })
  const running = await open(t, { file })
  const both = await open(t, { file, secrets: [NEW_SECRET, KEY_SECRET] })
  await t.rejects(open(t, { file, secrets: [NEW_SECRET] }), /option secret/)
  t.same(await both.keys.reseal(), { resealed: 2, unchanged: 0 })
  t.same(await both.keys.reseal(), { resealed: 0, unchanged: 2 }, 'idempotent')
  t.match(
    await running.tokens.verify(token), { id: running.user.id },
    'a process that has the old one only goes on with the key that it has'
  )
  t.same(running.warnings, [])
  const after = await open(t, { file, secrets: [NEW_SECRET] })
  t.match(await after.tokens.verify(token), { id: after.user.id })
  t.equal(kidOf(await after.issue()), kidOf(token))
  await t.rejects(open(t, { file }), /option secret/)
})

t.test('every change is in the trail, with who did it', async t => {
  const { keys, world, states } = await open(t, { rotation: 90 * DAY })
  const by = { kind: 'command', id: null, address: null } as const
  const { key } = await keys.rotate({ by })
  await keys.rotate({ immediately: true, by })
  await keys.revoke(key.kid, by)
  await keys.importVerifyOnlyKey(Buffer.from('a secret of an older system, long enough'), {
    algorithm: 'HS256',
    kid: 'old',
    by
  })
  world.wall.move(91 * DAY)
  await keys.rotateIfDue()
  t.equal((await states()).length, 5)
  const trail = await createAudit({ store: world.store, retention: DAY }).list()
  const found = trail.reverse().filter(({ type }) => type.startsWith('key')).map((
    { type, actor, subject }
  ) => `${actor.kind} ${type}${subject === key.kid ? ' this' : ''}`)
  t.same(
    found,
    [
      'system key_added', 'command key_added this', 'command key_activated this', 'command key_revoked this',
      'command key_added', 'command key_added', 'system key_added'
    ]
  )
  t.notMatch(JSON.stringify(trail), /PRIVATE|older system/)
})

t.test('a user who is logged out everywhere stays so for as long as an older system\'s token lives', async t => {
  const { keys, world, file } = await open(t)
  const { expiresAt } = await keys.importVerifyOnlyKey(Buffer.from('a secret of an older system, long enough'), {
    algorithm: 'HS256',
    until: 30 * DAY
  })
  await world.revocations.revokeUser('johndoe')
  t.equal(connectTo(t, file).prepare("select expires_at from latchkey_rules where value = 'johndoe'").pluck().get(), expiresAt)
  const [{ kid } = { kid: '' }] = (await keys.list()).filter(({ state }: KeyView) => state === 'verify-only')
  await keys.revoke(kid)
  await world.revocations.revokeUser('janedoe')
  t.equal(
    connectTo(t, file).prepare("select expires_at from latchkey_rules where value = 'janedoe'").pluck().get(),
    world.clock.now() + TTL, 'as long as a token of ours'
  )
  t.ok(world.clock.now() - world.wall() < SECOND)
})

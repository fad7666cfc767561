import { sql } from 'kysely'
import t from 'tap'
import { createClients } from '../../../lib/clients/clients.js'
import { anonymous, asClient, asUser, COMMAND, HOST, SYSTEM } from '../../../lib/ledger/events.js'
import { PasswordQueueFullError } from '../../../lib/passwords/pool.js'
import { selectUsers } from '../../../lib/users/list.js'
import {
  CATALOGUE, connectTo, createGate, createWall, createWorld, databaseIn, isPending, PASSWORD, SECOND
} from '../support.js'
import type { World } from '../support.js'

const NEW_PASSWORD = 'another lantern walrus cobalt'

function isDead (
  world: World, { user, sessionId, issuedAt }: { user: { id: string }, sessionId: string, issuedAt: number }
): boolean {
  return world.revocations.isRevoked({ tokenId: 'any', sessionId, userId: user.id, clientId: 'app', issuedAt })
}

t.test('adding: what is kept, what is refused', async t => {
  const world = await createWorld(t)
  const { users } = world
  const alice = await users.add({ username: 'Alice', password: PASSWORD, scopes: ['items:read', 'admin', 'admin'] })
  t.match(
    alice,
    {
      username: 'Alice',
      scopes: ['admin', 'items:read'],
      disabled: false,
      createdAt: world.wall(),
      passwordChangedAt: world.wall()
    }
  )
  t.notMatch(JSON.stringify(alice), 'hash of')
  for (const username of ['Alice', 'alice', 'ALICE', '\uff21lice']) {
    await t.rejects(users.add({ username, password: PASSWORD }), { code: 'username_taken', statusCode: 409 }, username)
    t.match(await users.findByName(username), { id: alice.id }, `${username} is found`)
  }
  t.same((await users.add({ username: 'bob', password: PASSWORD })).scopes, [], 'no scopes unless given')
  await t.rejects(
    users.add({ username: 'carol', password: PASSWORD, scopes: ['root'] }),
    { code: 'invalid_scope', statusCode: 400, message: /Unknown scope 'root': the catalogue has users:read, / }
  )
  await t.rejects(
    users.add({ username: 'carol', password: 'short' }),
    { code: 'password_rejected', message: 'It is shorter than 15 characters.' }
  )
  await t.rejects(
    users.add({ username: 'carolcarolcarol', password: 'carolcarolcarol' }), { code: 'password_rejected' }
  )
  t.equal(await users.findByName('carol'), null)
  t.equal(await users.findByName(''), null)
})

t.test('two who add one name at once: one of them does', async t => {
  const file = databaseIn(t)
  const worlds = [await createWorld(t, { file }), await createWorld(t, { file })]
  const results = await Promise.allSettled(worlds.flatMap(
    ({ users }) => ['alice', 'ALICE'].map(username => users.add({ username, password: PASSWORD }))
  ))
  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
  for (const result of results) if (result.status === 'rejected') t.match(result.reason, { code: 'username_taken' })
})

t.test('the first user: only where there is none at all, also for two processes at once', async t => {
  const file = databaseIn(t)
  const worlds = [await createWorld(t, { file }), await createWorld(t, { file })]
  const first = await Promise.all(worlds.map(
    ({ users }, i) => users.addFirst({ username: `admin${i}`, hash: async () => '', scopes: ['admin'] })
  ))
  t.equal(first.filter(user => user !== null).length, 1)
  const [world] = worlds
  t.equal(
    await world?.users.addFirst({
      username: 'again', hash: async () => { throw new Error('It is asked for nothing') }, scopes: []
    }),
    null
  )
  t.equal((await world?.users.list())?.length, 1)
})

t.test('authenticating: unknown, disabled and wrong cost the same one verification and get the same answer', async t => {
  const world = await createWorld(t)
  const alice = await world.addUser()
  await world.addUser('bob')
  await world.users.disable((await world.users.findByName('bob'))?.id ?? '')
  const table: Array<[username: string, password: string, id: string | null, calls: string[]]> = [
    ['alice', PASSWORD, alice.id, ['verify']],
    ['ALICE', PASSWORD, alice.id, ['verify']],
    ['alice', 'wrong', null, ['verify']],
    ['bob', PASSWORD, null, ['verify']],
    ['bob', 'wrong', null, ['verify']],
    ['nobody', PASSWORD, null, ['verify nothing']],
    ['', '', null, ['verify nothing']],
    ["' or 1=1 --", PASSWORD, null, ['verify nothing']]
  ]
  for (const [username, password, id, calls] of table) {
    world.passwords.calls.length = 0
    t.equal((await world.users.authenticate(username, password))?.id ?? null, id, `${username} ${password}`)
    t.same(world.passwords.calls, calls, `${username} ${password}: work`)
  }
})

t.test('a cheaper hash is replaced at login; the password counts as unchanged, sessions go on', async t => {
  const file = databaseIn(t)
  const world = await createWorld(t, { file })
  const alice = await world.addUser()
  const grant = await world.sessions.start(alice)
  const row = connectTo(t, file)
  const hash = row.prepare('select password_hash from latchkey_users').pluck()
  row.exec(`update latchkey_users set password_hash = 'old hash of ${PASSWORD}'`)
  t.equal(await world.users.authenticate('alice', 'wrong'), null)
  t.equal(hash.get(), `old hash of ${PASSWORD}`)
  world.wall.move(SECOND)
  const authenticated = await world.users.authenticate('alice', PASSWORD)
  t.equal(hash.get(), `hash of ${PASSWORD}`)
  t.match(authenticated, { passwordChangedAt: alice.passwordChangedAt })
  t.equal(isDead(world, grant), false)
  await t.resolves(world.sessions.refresh(grant.refreshToken))
})

t.test('a re-hash that finds the queue full lets the login pass; another failure does not hide', async t => {
  const file = databaseIn(t)
  const world = await createWorld(t, { file })
  await world.addUser()
  connectTo(t, file).exec(`update latchkey_users set password_hash = 'old hash of ${PASSWORD}'`)
  world.passwords.hash = async () => { throw new PasswordQueueFullError() }
  t.match(await world.users.authenticate('alice', PASSWORD), { username: 'alice' })
  world.passwords.hash = async () => { throw new Error('a thread died') }
  await t.rejects(world.users.authenticate('alice', PASSWORD), /a thread died/)
  world.passwords.verify = async () => { throw new PasswordQueueFullError() }
  await t.rejects(world.users.authenticate('alice', PASSWORD), { code: 'PASSWORD_QUEUE_FULL' })
})

t.test('a re-hash never undoes a password that was changed while it was made', async t => {
  const file = databaseIn(t)
  const world = await createWorld(t, { file })
  const alice = await world.addUser()
  const other = connectTo(t, file)
  other.exec(`update latchkey_users set password_hash = 'old hash of ${PASSWORD}'`)
  const gate = createGate()
  const hash = world.passwords.hash
  world.passwords.hash = async password => { await gate.pass(); return await hash(password) }
  const login = world.users.authenticate('alice', PASSWORD)
  t.ok(await isPending(login))
  world.passwords.hash = hash
  await world.users.setPassword(alice.id, NEW_PASSWORD)
  gate.open()
  await login
  t.equal(other.prepare('select password_hash from latchkey_users').pluck().get(), `hash of ${NEW_PASSWORD}`)
})

t.test('a new password ends the sessions, but for the one that is kept', async t => {
  const world = await createWorld(t)
  const alice = await world.addUser()
  const [one, two] = [await world.sessions.start(alice), await world.sessions.start(alice)]
  await world.users.changePassword(alice.id, { current: PASSWORD, password: NEW_PASSWORD, keepSession: one.sessionId })
  t.equal(isDead(world, one), false)
  t.equal(isDead(world, two), true)
  t.equal(await world.users.authenticate('alice', PASSWORD), null)
  t.match(await world.users.authenticate('alice', NEW_PASSWORD), { id: alice.id })
  await world.users.setPassword(alice.id, PASSWORD)
  t.equal(isDead(world, one), true)
})

t.test('what setPassword returns is the user as it is now', async t => {
  const world = await createWorld(t)
  const alice = await world.addUser()
  world.wall.move(SECOND)
  const changed = await world.users.setPassword(alice.id, NEW_PASSWORD)
  t.equal(changed.passwordChangedAt, world.wall())
  t.same(changed, await world.users.findByName('alice'))
})

t.test('a new password that is refused changes nothing', async t => {
  const world = await createWorld(t)
  const alice = await world.addUser()
  const grant = await world.sessions.start(alice)
  await t.rejects(world.users.setPassword(alice.id, 'short'), { code: 'password_rejected' })
  await t.rejects(
    world.users.changePassword(alice.id, { current: 'wrong', password: NEW_PASSWORD, keepSession: '' }),
    { code: 'wrong_password', statusCode: 403 }
  )
  await t.rejects(
    world.users.changePassword(alice.id, { current: 'wrong', password: 'short', keepSession: '' }),
    { code: 'wrong_password' }, 'the policy is not told to who does not know the password'
  )
  await t.rejects(
    world.users.changePassword(alice.id, { current: PASSWORD, password: 'short', keepSession: '' }),
    { code: 'password_rejected' }
  )
  t.equal(isDead(world, grant), false)
  t.match(await world.users.authenticate('alice', PASSWORD), { id: alice.id })
})

t.test('two changes at once, with a clock that stands still: one stands, the other is told', async t => {
  const world = await createWorld(t)
  const alice = await world.addUser()
  const results = await Promise.allSettled([NEW_PASSWORD, `${NEW_PASSWORD} 2`].map(
    password => world.users.changePassword(alice.id, { current: PASSWORD, password, keepSession: '' })
  ))
  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
  for (const result of results) if (result.status === 'rejected') t.match(result.reason, { code: 'wrong_password' })
})

t.test('a login that verified the old password does not pass for the new one, in the same millisecond too', async t => {
  const world = await createWorld(t)
  const alice = await world.addUser()
  for (const password of [NEW_PASSWORD, PASSWORD]) {
    const verified = await world.users.findByName('alice')
    await world.users.setPassword(alice.id, password)
    if (verified !== null) await t.rejects(world.sessions.start(verified), { code: 'invalid_credentials' })
  }
})

t.test('scopes: taking one away kills the access tokens, adding one does not', async t => {
  const world = await createWorld(t)
  const alice = await world.addUser()
  const grant = await world.sessions.start(alice)
  t.same(
    (await world.users.setScopes(alice.id, ['items:write', 'items:read', 'admin'])).scopes,
    ['admin', 'items:read', 'items:write']
  )
  t.equal(isDead(world, grant), false)
  await world.users.setScopes(alice.id, ['admin', 'items:read', 'items:write'])
  t.equal(isDead(world, grant), false, 'the same ones')
  t.same((await world.users.setScopes(alice.id, ['admin'])).scopes, ['admin'])
  t.equal(isDead(world, grant), true)
  t.equal((await world.sessions.list(alice.id)).length, 1, 'the session goes on')
  await t.rejects(world.users.setScopes(alice.id, ['root']), { code: 'invalid_scope' })
  t.same((await world.users.findByName('alice'))?.scopes, ['admin'])
})

t.test('disabling, enabling and removing, seen by another process on its next request', async t => {
  const file = databaseIn(t)
  const wall = createWall()
  const service = await createWorld(t, { file, wall })
  const commandLine = await createWorld(t, { file, wall })
  const alice = await service.addUser()
  const grant = await service.sessions.start(alice)
  t.match(await commandLine.users.disable(alice.id), { disabled: true })
  await service.follower.refresh()
  t.equal(isDead(service, grant), true)
  t.equal(await service.users.find(alice.id), null)
  t.match(await service.users.findByName('alice'), { disabled: true })
  t.equal(await service.users.authenticate('alice', PASSWORD), null)
  t.match(await commandLine.users.disable(alice.id), { disabled: true }, 'twice')
  t.match(await commandLine.users.enable(alice.id), { disabled: false })
  t.match(await service.users.find(alice.id), { id: alice.id })
  t.equal(isDead(service, grant), true, 'what died stays dead')
  const next = await service.sessions.start(await service.users.findByName('alice') ?? alice)
  t.equal(isDead(service, next), false)
  t.match(await commandLine.users.remove(alice.id), { username: 'alice' })
  await service.follower.refresh()
  t.equal(isDead(service, next), true)
  t.equal(await service.users.findByName('alice'), null)
  const again = await service.addUser()
  t.not(again.id, alice.id, 'an id is never given to somebody else')
})

t.test('somebody who is not there', async t => {
  const { users } = await createWorld(t)
  const there = { code: 'not_found', message: 'There is no such user.' }
  await t.rejects(users.setScopes('nobody', []), there)
  await t.rejects(users.setPassword('nobody', NEW_PASSWORD), there)
  await t.rejects(users.changePassword('nobody', { current: PASSWORD, password: NEW_PASSWORD, keepSession: '' }), there)
  await t.rejects(users.disable('nobody'), there)
  await t.rejects(users.enable('nobody'), there)
  await t.rejects(users.remove('nobody'), there)
  t.equal(await users.find('nobody'), null)
})

t.test('an account whose name is now refused can log in, be found, listed, changed, imported and removed', async t => {
  const { users, store } = await createWorld(t)
  const { id } = await users.add({ username: 'mallory', password: PASSWORD })
  const username = 'mallory\uFE0F'
  await store.transaction(
    trx => trx.updateTable('latchkey_users').set({ username, username_key: username }).where('id', '=', id).execute()
  )
  t.equal((await users.authenticate(username, PASSWORD))?.id, id)
  t.equal((await users.findByName(username))?.id, id)
  t.same((await users.list({ search: username })).map(user => user.id), [id])
  t.same((await users.setScopes(id, ['items:read'])).scopes, ['items:read'])
  const importRows = users.startImport({ update: true })
  const value = { username, scopes: [] }
  t.match(await importRows([{ line: 1, value }, { line: 2, value: { ...value, username: 'm\uFE0F' } }]), [
    { status: 'updated' },
    { status: 'refused', reason: 'a username cannot contain U+FE0F (a variation selector)' }
  ])
  t.equal((await users.remove(id)).username, username)
})

t.test('a name with the same key as another is taken', async t => {
  const { users } = await createWorld(t)
  for (const [first, ...others] of [
    ['Istanbul', '\u0130stanbul', 'i\u0307stanbul'], ['νικος', 'ΝΙΚΟΣ', 'νικοσ'], ['ivan', '\uFF29van']
  ]) {
    const { id } = await users.add({ username: first ?? '', password: PASSWORD })
    for (const username of others) {
      await t.rejects(users.add({ username, password: PASSWORD }), { code: 'username_taken' }, username)
      t.equal((await users.authenticate(username, PASSWORD))?.id, id)
    }
  }
})

t.test('the list goes by name, in pages that neither miss nor repeat', async t => {
  const { users } = await createWorld(t)
  const names = ['Zoe', 'adam', 'Bert', 'ärger', 'carl', '\ud83d\udd11', 'bert2']
  for (const username of names) await users.add({ username, password: PASSWORD })
  const all = (await users.list()).map(({ username }) => username)
  t.same([...all].sort(), [...names].sort())
  const paged: string[] = []
  for (let after: string | undefined; ;) {
    const page = await users.list({ after, limit: 2 })
    if (page.length === 0) break
    t.ok(page.length <= 2)
    paged.push(...page.map(({ username }) => username))
    after = page.at(-1)?.username
  }
  t.same(paged, all)
})

t.test('a page, a search and the look for another administrator read a range of an index, at any number of users', async t => {
  const { store, users } = await createWorld(t)
  for (const username of ['alice', 'bob', 'bo']) {
    await users.add({
      username, password: PASSWORD, scopes: ['users:write']
    })
  }
  const plan = (query: Parameters<typeof selectUsers>[1]) => store.read(
    async db => (await selectUsers(db, query).explain<{ detail: string }>(
      undefined, sql`query plan`
    )).map(({ detail }) => detail)
  )
  for (const query of [{}, { after: 'a' }]) {
    t.match(
      await plan(query),
      [/^SEARCH latchkey_users USING INDEX \S+ \(username_key>\? AND username_key<\?\)$/],
      JSON.stringify(query)
    )
  }
  for (const query of [
    { search: 'b' }, { search: 'b', after: 'a' }, { search: 'b', after: 'bo' }, { search: 'b', after: 'c' }
  ]) {
    const details = await plan(query)
    t.equal(details.length, 1, 'no sorting')
    t.match(details, [/^SEARCH latchkey_users USING INDEX \S+ \(username_key>\? AND username_key<\?\)$/], JSON.stringify(query))
  }
  t.same((await users.list({ search: 'b', after: 'bo' })).map(({ username }) => username), ['bob'])
  t.same(await users.list({ search: 'b', after: 'c' }), [])
  t.same((await users.list({ search: 'b', after: 'alice' })).map(({ username }) => username), ['bo', 'bob'])
  const another = await store.read(
    db => db.selectFrom('latchkey_users').select('id').where(
      'administrator', 'is not', null
    ).where('id', '!=', 'x').limit(1).explain<{ detail: string }>(undefined, sql`query plan`)
  )
  t.match(another, [{ detail: /USING INDEX latchkey_users_administrator/ }])
})

t.test('several changes at once are one: all of them, or none', async t => {
  const world = await createWorld(t)
  const alice = await world.addUser()
  const before = await world.users.findById(alice.id)
  await t.rejects(
    world.users.update(alice.id, { disabled: true, password: NEW_PASSWORD, scopes: ['root'] }),
    { code: 'invalid_scope' }
  )
  await t.rejects(
    world.users.update(alice.id, { disabled: true, password: 'short', scopes: [] }), { code: 'password_rejected' }
  )
  const update = world.store.transaction
  world.store.transaction = (work, locks) => update(
    async (trx, now) => { await work(trx, now); throw new Error('the process dies on this line') }, locks
  )
  await t.rejects(world.users.update(alice.id, { disabled: true, password: NEW_PASSWORD, scopes: [] }), /this line/)
  world.store.transaction = update
  t.same(await world.users.findById(alice.id), before)
  t.match(await world.users.authenticate('alice', PASSWORD), { scopes: ['admin', 'items:read'] })
  t.match(
    await world.users.update(alice.id, { password: NEW_PASSWORD, scopes: ['items:write'] }),
    { scopes: ['items:write'], disabled: false }
  )
  t.match(await world.users.update(alice.id, {}), { scopes: ['items:write'] }, 'nothing is nothing')
})

t.test('what is taken from an administrator while a hash is being made is not there any more when it is done', async t => {
  const takings: Array<[name: string, code: string, take: (
    world: World, ids: { clerk: string, alice: string }, sessionId: string
  ) => Promise<unknown>]> = [
    ['disabled', 'token_revoked', (world, { clerk }) => world.users.disable(clerk)],
    ['removed', 'token_revoked', (world, { clerk }) => world.users.remove(clerk)],
    ['logged out', 'token_revoked', (world, { clerk }) => world.sessions.endAll(clerk)],
    ['this session ended', 'token_revoked', (world, { clerk }, sessionId) => world.sessions.end(clerk, sessionId)],
    ['the right gone', 'insufficient_scope', (world, { clerk }) => world.users.setScopes(clerk, ['users:read'])],
    ['the other promoted', 'insufficient_scope', (world, { alice }) => world.users.setScopes(alice, ['audit:read'])],
    ['the other removed', 'not_found', (world, { alice }) => world.users.remove(alice)]
  ]
  for (const [name, code, take] of takings) {
    for (const verb of name.startsWith('the other') ? ['update'] as const : ['update', 'add'] as const) {
      const world = await createWorld(t)
      const alice = await world.addUser()
      const clerk = await world.addUser('clerk', ['users:write'])
      const { sessionId } = await world.sessions.start(clerk, {})
      const by = { ...asUser(clerk.id, null), scopes: ['users:write'], sessionId }
      const gate = createGate()
      world.passwords.gate = gate.pass
      const change = verb === 'update'
        ? world.users.update(alice.id, { password: NEW_PASSWORD }, by)
        : world.users.add(
          { username: 'carol', password: NEW_PASSWORD }, by
        )
      t.ok(await isPending(change))
      await take(world, { clerk: clerk.id, alice: alice.id }, sessionId)
      gate.open()
      await t.rejects(change, { code }, `${verb}: ${name}`)
      t.equal(await world.users.authenticate('alice', NEW_PASSWORD), null)
      t.equal(await world.users.findByName('carol'), null)
    }
  }
})

t.test('whoever may not set a password costs no hash', async t => {
  const world = await createWorld(t)
  const root = await world.addUser('root', ['users:write', 'clients:write'])
  const by = { ...asUser((await world.addUser('clerk', ['users:write'])).id, null), scopes: ['users:write'] }
  world.passwords.calls.length = 0
  await t.rejects(
    world.users.update(root.id, { password: NEW_PASSWORD }, by), { code: 'insufficient_scope', scope: 'clients:write' }
  )
  await t.rejects(world.users.update('nobody', { password: NEW_PASSWORD }, by), { code: 'not_found' })
  await t.rejects(world.users.update(by.id ?? '', { password: NEW_PASSWORD }, by), { code: 'invalid_request' })
  await t.rejects(
    world.users.add({ username: 'carol', password: NEW_PASSWORD, scopes: ['clients:write'] }, by),
    { code: 'insufficient_scope' }
  )
  t.same(world.passwords.calls, [])
})

t.test('who may do everything, and who nothing', async t => {
  const { users, addUser, store, clock, ledger, revocations } = await createWorld(t)
  const clients = createClients({ store, clock, ledger, revocations, catalogue: CATALOGUE })
  const { client: { id: clientId } } = await clients.add({ name: 'robot', scopes: ['users:read', 'users:write'] })
  const root = await addUser('root', ['users:write'])
  const { id } = await addUser()
  for (const by of [COMMAND, HOST, SYSTEM]) {
    await users.disable(root.id, by)
    await users.enable(root.id, by)
  }
  const client = asClient(clientId, null)
  for (const by of [
    anonymous(null), asUser(root.id, null), client, { ...client, scopes: ['users:read'] },
    { ...asUser(id, null), scopes: ['users:write'] }
  ]) {
    await t.rejects(
      users.update(id, { disabled: true }, by), { code: 'insufficient_scope', scope: 'users:write' }, by.kind
    )
    await t.rejects(users.remove(id, by), { code: 'insufficient_scope' }, by.kind)
  }
  await t.rejects(
    users.add({ username: 'carol', password: PASSWORD, scopes: ['users:write'] }, anonymous(null)),
    { code: 'insufficient_scope' }
  )
  const machine = { ...client, scopes: ['users:write'] }
  t.match(
    await users.update(id, { disabled: true }, machine), { disabled: true }, 'a machine client may, with the scope'
  )
  await t.rejects(
    users.remove(root.id, machine), { code: 'last_administrator', statusCode: 409 }, 'and counts for no administrator'
  )
  await clients.remove(clientId)
  await t.rejects(
    users.update(id, { disabled: false }, machine), { code: 'token_revoked' }, 'one that was removed may not'
  )
})

t.test('ensure adds a user once, and leaves an existing one as it is', async t => {
  const world = await createWorld(t)
  const { users } = world
  const first = await users.ensure({ username: 'Alice', password: PASSWORD, scopes: ['admin'] })
  t.match(first, { created: true, user: { username: 'Alice', scopes: ['admin'] } })
  await users.disable(first.user.id)
  for (const password of [NEW_PASSWORD, 'short']) {
    const { user, created } = await users.ensure({ username: 'alice', password, scopes: ['items:read'] })
    t.match({ user, created }, { created: false, user: { id: first.user.id, scopes: ['admin'], disabled: true } })
  }
  await users.enable(first.user.id)
  t.match(await users.authenticate('alice', PASSWORD), { id: first.user.id }, 'with the first password')
  await t.rejects(users.ensure({ username: 'alice', password: PASSWORD, scopes: ['nope'] }), { code: 'invalid_scope' })
  await t.rejects(users.ensure({ username: 'bob', password: 'short' }), { code: 'password_rejected' })

  const other = { username: 'carol', password: PASSWORD }
  const results = await Promise.all([users.ensure(other), users.ensure(other), users.ensure(other)])
  t.same(results.map(({ created }) => created).sort(), [false, false, true])
  t.equal(new Set(results.map(({ user }) => user.id)).size, 1)
  await t.rejects(
    users.ensure({ ...other, username: 'dave' }, asUser(first.user.id, null)), { code: 'insufficient_scope' }
  )
})

t.test('a new username: the id, the password and the sessions stay', async t => {
  const world = await createWorld(t)
  const { users, sessions, throttle, store } = world
  const alice = await users.add({ username: 'alice', password: PASSWORD, scopes: ['admin'] })
  await users.add({ username: 'bob', password: PASSWORD })
  const place = throttle.placeOf('alice', '192.0.2.1')
  const session = await sessions.start(alice)
  await store.transaction(trx => trx.updateTable('latchkey_sessions').set(place).where('user_id', '=', alice.id).execute())

  for (const username of ['bob', 'BOB', '\uff22ob']) {
    await t.rejects(users.update(alice.id, { username, disabled: true }), { code: 'username_taken' }, username)
  }
  await t.rejects(users.update(alice.id, { username: ' alice' }), { code: 'invalid_request' })
  await t.rejects(users.update('nobody', { username: 'carol' }), { code: 'not_found' })
  t.match(await users.findById(alice.id), { username: 'alice', disabled: false }, 'all or nothing')

  t.match(await users.update(alice.id, { username: 'Carol' }), { id: alice.id, username: 'Carol', scopes: ['admin'] })
  t.equal(await users.authenticate('alice', PASSWORD), null)
  t.match(await users.authenticate('carol', PASSWORD), { id: alice.id })
  t.notOk(isDead(world, session))
  t.ok(await sessions.refresh(session.refreshToken))
  t.same(
    (await store.read(db => db.selectFrom('latchkey_sessions').select(['account', 'network']).execute())),
    [throttle.placeOf('carol', '192.0.2.1')], 'the place of the session is known for the new name'
  )
  t.match(await users.update(alice.id, { username: 'CAROL' }), { username: 'CAROL' }, 'another case of the own name')
  await users.update(alice.id, { username: 'CAROL' })
  t.same(
    await store.read(db => db.selectFrom('latchkey_events').select(['subject', 'details']).where('type', '=', 'user_renamed')
      .orderBy('seq').execute()),
    [
      { subject: alice.id, details: JSON.stringify({ before: 'alice', after: 'Carol' }) },
      { subject: alice.id, details: JSON.stringify({ before: 'Carol', after: 'CAROL' }) }
    ],
    'a request that changes nothing is not recorded'
  )
  await users.add({ username: 'alice', password: PASSWORD })
  await t.rejects(
    users.update(alice.id, { username: 'dave', password: 'dave dave dave dave' }), { code: 'password_rejected' }
  )
  const raced = await Promise.allSettled(
    ['alice', 'bob'].map(async name => await users.update((await users.findByName(name))?.id ?? '', { username: 'eve' }))
  )
  t.same(raced.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
})

t.test('a login during which the account is renamed is at a known place of the new name', async t => {
  const { users, sessions, throttle, store } = await createWorld(t)
  const alice = await users.add({ username: 'alice', password: PASSWORD })
  const address = '192.0.2.1'
  await users.update(alice.id, { username: 'carol' })
  await sessions.start(alice, { address, place: throttle.placeOf('alice', address) })
  await sessions.start(alice)
  t.same(
    await store.read(db => db.selectFrom('latchkey_sessions').select(['account', 'network']).orderBy('account', 'desc').execute()),
    [throttle.placeOf('carol', address), { account: null, network: null }]
  )
})

t.test("the host's accounts can have another name than the one that their user types", async t => {
  const user = { id: '5', username: 'Ada Lovelace', scopes: [] }
  const directory = { authenticate: async () => user, find: async () => user }
  const { sessions, throttle, store } = await createWorld(t, { directory })
  const place = throttle.placeOf('ada@example.com', '192.0.2.1')
  await sessions.start(user, { address: '192.0.2.1', place })
  t.same(await store.read(db => db.selectFrom('latchkey_sessions').select(['account', 'network']).execute()), [place])
})

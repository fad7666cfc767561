import t from 'tap'
import { COMMAND } from '../../../../lib/ledger/events.js'
import { hashPassword } from '../../../../lib/passwords/hashing.js'
import type { RowOutcome } from '../../../../lib/users/transfer/import.js'
import { connectTo, createGate, createWorld, databaseIn, isPending, PASSWORD, SECOND } from '../../support.js'

const HASH = hashPassword(PASSWORD, 4)
const OTHER_HASH = hashPassword('another lantern walrus cobalt', 4)

const rowsOf = (...values: unknown[]): Array<{ line: number, value: unknown }> => values.map(
  (value, index) => ({ line: index + 1, value })
)
const statusesOf = (outcomes: RowOutcome[]): string[] => outcomes.map(({ status }) => status)

t.test('a row is taken whole, or refused with a reason that tells nothing of it', async t => {
  const world = await createWorld(t)
  await world.addUser('Taken')
  const table: Array<[value: unknown, reason: RegExp | undefined]> = [
    [{ username: 'alice', password_hash: HASH }, undefined],
    [
      {
        username: 'bob',
        password: PASSWORD,
        id: 'bob@example.com',
        scopes: ['items:read', 'admin', 'admin'],
        disabled: true,
        created_at: '2020-02-29T12:00:00+01:00'
      },
      undefined
    ],
    [{ username: 'v1', password_hash: `$bcrypt-sha256$2a,4${HASH.slice(6, 29)}$${HASH.slice(29)}` }, undefined],
    [{ username: '2y', password_hash: HASH.replace('$2b$', '$2y$') }, undefined],
    [{ username: 'ALICE', password_hash: HASH }, /^it has the username of line 1; letter case does not matter$/],
    [{ username: '\uff21lice', password_hash: HASH }, /line 1/],
    [{ username: 'x', password_hash: HASH.replace('$2b$', '$2x$') }, /^its password_hash is not supported: use bcrypt/],
    [{ username: 'x', password_hash: HASH.replace('$04$', '$31$') }, /cost of 4 to 20/],
    [{ username: 'x', password_hash: HASH.replace('$04$', '$03$') }, /password_hash/],
    [{ username: 'x', password_hash: HASH.slice(0, -1) }, /password_hash/],
    [{ username: 'x', password_hash: `${HASH}\n` }, /password_hash/],
    [{ username: 'x', password_hash: 'x'.repeat(1_000) }, /^its password_hash must be text$/],
    [{ username: 'x', password_hash: '' }, /password_hash/],
    [{ username: 'x', password: 'a secret one' }, /^its password was rejected: it is shorter than 15 characters$/],
    [{ username: 'xxxxxxxxxxxxxxxx', password: 'xxxxxxxxxxxxxxxx' }, /rejected/],
    [
      { username: 'x', password: PASSWORD, password_hash: HASH },
      /^it has both password and password_hash: give only one$/
    ],
    [{ username: 'x' }, /^it has neither password_hash nor password: a new user needs one of them$/],
    [{ password_hash: HASH }, /^it has no username$/],
    [{ username: ' x', password_hash: HASH }, /^a username cannot begin or end with a space/],
    [{ username: 'x\u202ey', password_hash: HASH }, /username/],
    [{ username: '\ud800', password_hash: HASH }, /username/],
    [{ username: '\ufdfa'.repeat(100), password_hash: HASH }, /^a username must have 1 to 254 characters$/],
    [{ username: 1, password_hash: HASH }, /username/],
    [
      { username: 'x', password_hash: HASH, scopes: ['items:read', 'root'] },
      /^unknown scope 'root': the catalogue has /
    ],
    [
      { username: 'x', password_hash: HASH, scopes: 'items:read' },
      /^its scopes must be a list of at most 256 names of scopes$/
    ],
    [{ username: 'x', password_hash: HASH, disabled: 'false' }, /^its disabled must be true or false$/],
    [
      { username: 'x', password_hash: HASH, created_at: '2020-02-30T00:00:00Z' },
      /^its created_at must be a date and time/
    ],
    [
      { username: 'x', password_hash: HASH, created_at: '2016-12-31T23:59:60Z' },
      /^its created_at must be a date and time/
    ],
    [
      { username: 'x', password_hash: HASH, created_at: '2026-11-03T12:00:00+05' },
      /^its created_at must be a date and time/
    ],
    [{ username: 'x', password_hash: HASH, id: 'latchkey' }, /^its id must be/],
    [{ username: 'x1', password_hash: HASH, created_at: '2999-01-01T00:00:00Z' }, /^its created_at is in the future$/],
    [{ username: 'x2', password_hash: HASH, id: 'bob@example.com' }, /^its id belongs to another user$/],
    [
      { username: 'x3', password_hash: HASH, id: (await world.users.findByName('taken'))?.id },
      /^its id belongs to another user$/
    ],
    [{ username: 'x', password_hash: HASH, id: 'lkc_0198' }, /^its id must be /],
    [{ username: 'x', password_hash: HASH, id: 'me' }, /^its id must be /],
    [{ username: 'x', password_hash: HASH, id: '|x' }, /^its id must be 1 to 128 of the characters /],
    [{ username: 'x', password_hash: HASH, id: 'x'.repeat(129) }, /^its id must be /],
    [{ username: 'x', password_hash: HASH, id: '../x' }, /^its id must be /],
    [{ username: 'x', password_hash: HASH, pasword: 'a secret one' }, /^it has a member other than id, username/],
    [JSON.parse(`{"username":"x","password_hash":"${HASH}","__proto__":{}}`), /^it has a member other than/],
    [null, /^it is not a JSON object$/],
    [[], /^it is not a JSON object$/],
    ['x', /^it is not a JSON object$/]
  ]
  const outcomes = await world.users.startImport({}, COMMAND)(rowsOf(...table.map(([value]) => value)))
  t.equal(outcomes.length, table.length)
  for (const [index, [value, reason]] of table.entries()) {
    const outcome = outcomes[index]
    t.equal(outcome?.line, index + 1)
    t.equal(outcome?.status, reason === undefined ? 'added' : 'refused', JSON.stringify(value))
    if (reason !== undefined) t.match(outcome?.reason, reason)
    t.notMatch(outcome?.reason ?? '', /a secret one|\$04|x{8}/)
  }
  for (const name of ['x', 'x1', 'x2', 'x3']) t.equal(await world.users.findByName(name), null)
  t.match(
    await world.users.findByName('bob'),
    {
      id: 'bob@example.com',
      scopes: ['admin', 'items:read'],
      disabled: true,
      createdAt: Date.UTC(2020, 1, 29, 11),
      passwordChangedAt: world.wall()
    }
  )
  t.match(await world.users.findByName('alice'), { scopes: [], disabled: false, createdAt: world.wall() })
  t.equal(await world.users.authenticate('bob', PASSWORD), null, 'disabled is disabled')
})

t.test('who is there stays as he is, unless update says otherwise; twice is once', async t => {
  const file = databaseIn(t)
  const world = await createWorld(t, { file })
  const [alice, bob] = [await world.addUser('alice'), await world.addUser('bob')]
  const grants = [await world.sessions.start(alice), await world.sessions.start(bob)]
  const count = connectTo(t, file).prepare('select count(*) from latchkey_events').pluck()
  const before = count.get()
  const rows = rowsOf(
    { username: 'ALICE', password: PASSWORD, scopes: ['admin', 'items:read'] },
    { username: 'bob', password_hash: OTHER_HASH, scopes: ['items:read'] },
    { username: 'carol', password_hash: HASH, scopes: ['admin'] }
  )
  t.same(statusesOf(await world.users.startImport({ dryRun: true })(rows)), ['unchanged', 'kept', 'added'])
  t.same(
    statusesOf(await world.users.startImport({ dryRun: true, update: true })(rows)), ['unchanged', 'updated', 'added']
  )
  t.equal(count.get(), before)
  t.equal(await world.users.findByName('carol'), null, 'a dry run writes nothing')

  t.same(statusesOf(await world.users.startImport()(rows)), ['unchanged', 'kept', 'added'])
  t.match(await world.users.findByName('bob'), { scopes: ['admin', 'items:read'] })
  for (const { refreshToken } of grants) await t.resolves(world.sessions.refresh(refreshToken))
  t.same(statusesOf(await world.users.startImport()(rows)), ['unchanged', 'kept', 'unchanged'])
  t.equal(Number(count.get()), Number(before) + 1, 'one event, for carol')

  world.wall.move(SECOND)
  const [kept, ended] = [await world.sessions.start(alice), await world.sessions.start(bob)]
  t.same(
    statusesOf(await world.users.startImport({ update: true }, COMMAND)(rows)), ['unchanged', 'updated', 'unchanged']
  )
  const isDead = ({ user, sessionId, issuedAt }: typeof kept): boolean => world.revocations.isRevoked({
    tokenId: 'any', sessionId, userId: user.id, clientId: 'app', issuedAt
  })
  t.notOk(isDead(kept))
  t.ok(isDead(ended), 'another password logs out')
  await t.rejects(world.sessions.refresh(ended.refreshToken), { code: 'invalid_refresh_token' })
  t.match(await world.users.findByName('bob'), { scopes: ['items:read'], passwordChangedAt: world.wall() })
  const written = count.get()
  t.same(statusesOf(await world.users.startImport({ update: true })(rows)), ['unchanged', 'unchanged', 'unchanged'])
  t.equal(count.get(), written)
  const [row] = rowsOf({ username: 'carol', id: 'another' })
  t.match(
    await world.users.startImport({ update: true })(row === undefined ? [] : [row]),
    [{ status: 'refused', reason: /under another id/ }]
  )
  t.same(
    statusesOf(
      await world.users.startImport({ update: true })(rowsOf(
        { username: 'carol', disabled: true }, { username: 'alice', disabled: false }
      ))
    ),
    ['updated', 'unchanged']
  )
  t.match(
    await world.users.findByName('carol'), { disabled: true, scopes: ['admin'] }, 'what a row does not name stays'
  )
})

t.test('strict: what is before the first bad row, and nothing after it', async t => {
  const world = await createWorld(t)
  await world.addUser('taken')
  const id = (await world.users.findByName('taken'))?.id
  for (const bad of [
    { username: 'x' }, { username: 'x', password_hash: 'x' }, { username: 'x', password_hash: HASH, id }
  ]) {
    const name = `before${Math.random()}`
    const outcomes = await world.users.startImport({ strict: true })(rowsOf(
      { username: name, password_hash: HASH }, bad, { username: 'after', password_hash: HASH }
    ))
    t.same(statusesOf(outcomes), ['added', 'refused'])
    t.ok(await world.users.findByName(name))
    t.equal(await world.users.findByName('after'), null)
  }
})

t.test('decides as of the transaction: who came, or changed the password, while another one was hashed', async t => {
  const world = await createWorld(t)
  const alice = await world.addUser('alice')
  const gate = createGate()
  world.passwords.gate = gate.pass
  const imported = world.users.startImport({ update: true })(rowsOf(
    { username: 'alice', password: PASSWORD }, { username: 'bob', password: PASSWORD }
  ))
  t.ok(await isPending(imported))
  world.passwords.gate = async () => {}
  await world.users.setPassword(alice.id, 'another lantern walrus cobalt')
  await world.users.add({ username: 'bob', password: 'another lantern walrus cobalt' })
  gate.open()
  t.match(await imported, [{ status: 'refused', reason: /changed during the import/ }, { status: 'updated' }])
  t.equal(await world.users.authenticate('alice', PASSWORD), null)
  t.ok(await world.users.authenticate('bob', PASSWORD), 'update is what was asked for')
})

t.test('export: every account, in pages, as import reads it; and the trail says so', async t => {
  const world = await createWorld(t)
  await world.users.startImport()(rowsOf(
    ...Array.from(
      { length: 1_001 }, (_none, index) => ({ username: `user${index}`, password_hash: HASH, disabled: index === 7 })
    )
  ))
  const pages = []
  for await (const page of world.users.exportAll(COMMAND)) pages.push(page)
  t.same(pages.map(({ length }) => length), [1_000, 1])
  t.match(
    pages.flat().find(({ username }) => username === 'user7'),
    { id: String, password_hash: HASH, scopes: [], disabled: true, created_at: new Date(world.wall()).toISOString() }
  )
  const other = await createWorld(t)
  t.same(new Set(statusesOf(await other.users.startImport()(rowsOf(...pages.flat())))), new Set(['added']))
  t.same(await other.users.findByName('user7'), await world.users.findByName('user7'))
  t.same(
    new Set(statusesOf(await world.users.startImport({ update: true })(rowsOf(...pages.flat())))),
    new Set(['unchanged'])
  )
})

t.test('with update, a row with the id of a user and another username renames the user', async t => {
  const world = await createWorld(t)
  const { users } = world
  const [alice, bob] = [await world.addUser('alice'), await world.addUser('bob')]
  const rename = { id: alice.id, username: 'Carol', scopes: ['admin'] }
  t.match(
    await users.startImport()(rowsOf(rename)), [{ status: 'refused', reason: /^its id belongs to another user$/ }]
  )
  t.same(statusesOf(await users.startImport({ update: true, dryRun: true })(rowsOf(rename))), ['updated'])
  t.match(await users.findById(alice.id), { username: 'alice' })

  const outcomes = await users.startImport({ update: true })(rowsOf(
    rename,
    { username: 'alice', password_hash: HASH },
    { id: alice.id, username: 'dave' },
    { id: bob.id, username: 'bob' },
    { id: bob.id, username: 'erin' },
    { id: alice.id, username: 'bob', scopes: [] }
  ))
  t.same(statusesOf(outcomes), ['updated', 'added', 'refused', 'unchanged', 'refused', 'refused'])
  t.match(await users.findById(alice.id), { username: 'Carol', scopes: ['admin'] })
  t.not((await users.findByName('alice'))?.id, alice.id, 'the name that became free is a new user')
  t.match(await users.findById(bob.id), { username: 'bob' })
  t.match(
    await users.startImport({ update: true })(rowsOf({ id: bob.id, username: 'bo\u200bb' })), [{ status: 'refused' }]
  )
  t.same(
    statusesOf(await users.startImport({ update: true })(rowsOf({ id: bob.id, username: 'erin', password: PASSWORD }))),
    ['updated']
  )
  t.match(await users.authenticate('erin', PASSWORD), { id: bob.id })
})

t.test('a second row for the same user is refused, so it cannot undo the first', async t => {
  const world = await createWorld(t)
  const { users } = world
  const [alice, bob] = [await world.addUser('alice', ['admin']), await world.addUser('bob', ['admin'])]
  const rows = rowsOf(
    { username: 'alice', disabled: true, scopes: [] },
    { username: 'alice2', id: alice.id },
    { username: 'bob2', id: bob.id, scopes: [] },
    { username: 'bob', password_hash: HASH },
    { username: 'bob3', id: bob.id },
    { username: 'new', id: 'n', password_hash: HASH },
    { username: 'newer', id: 'n', password_hash: HASH }
  )
  const expected = [
    { status: 'updated' }, { status: 'refused', reason: 'it is for the user of line 1' },
    { status: 'updated' }, { status: 'added' }, { status: 'refused', reason: 'it is for the user of line 3' },
    { status: 'added' }, { status: 'refused', reason: 'its id belongs to another user' }
  ]
  t.match(await users.startImport({ update: true, dryRun: true })(rows), expected)
  const importRows = users.startImport({ update: true })
  t.match(await importRows(rows), expected)
  t.match(
    await importRows([{ line: 8, value: { username: 'alice3', id: alice.id } }]),
    [{ status: 'refused', reason: 'it is for the user of line 1' }], 'also in a later transaction'
  )
  t.match(await users.findById(alice.id), { username: 'alice', disabled: true, scopes: [] })
  t.match(await users.findById(bob.id), { username: 'bob2', scopes: [] })
})
